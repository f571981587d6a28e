"""What the rows of the leaderboard were made from: stages, pretrained models, and the settings of both."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from storage.lineage import LineageNode

TOLD = ("train", "ingest", "pseudo-label", "calibrate", "features", "encode", "synthesise")
SHORT_ID = 12
N_CHARACTERS = 60  # of an extractor's settings


def made_from(roots: "Sequence[LineageNode]") -> Iterator[str]:
    """A line each stage that matters behind an artifact, and each pretrained model."""
    from storage.reports import format_settings

    for node in _behind(roots):
        if node.stage in TOLD:
            role = f"{node.role.replace('_', ' ')}: " if node.role and node.role != node.stage else ""
            extractor = ""
            if node.stage == "features" and isinstance(node.settings, dict):
                extractor = f" ({format_settings(node.settings.get('settings'), N_CHARACTERS)})"
            yield f"{role}{node.stage} {node.key[:SHORT_ID]}{extractor}"
        elif node.missing:
            yield f"{node.role}: {node.key[:SHORT_ID]} (not in this store)"
        for model in node.models:
            yield f"pretrained: {model.id} {(model.commit or model.revision)[:SHORT_ID]}"


def stage_settings(roots: "Sequence[LineageNode]") -> dict[str, str]:
    """The settings of the stages that matter behind an artifact, by stage and name."""
    found: dict[str, set[str]] = {}
    for node in _behind(roots):
        if node.stage in TOLD and isinstance(node.settings, dict):
            kept = {k: v for k, v in node.settings.items() if k not in ("places", "inputs_inside", "models")}
            for name, value in _flat("", kept):
                found.setdefault(f"{node.stage}.{name.removeprefix('settings.')}", set()).add(value)
    return {name: " | ".join(sorted(values)) for name, values in found.items()}


def _behind(roots: "Sequence[LineageNode]") -> "Iterator[LineageNode]":
    """The roots and what they were made from, each once; what a calibration was learnt on is left to the lineage."""
    seen: set[str] = set()
    waiting = list(roots)
    while waiting:
        node = waiting.pop(0)
        if node.key not in seen:
            seen.add(node.key)
            yield node
            waiting += [] if node.stage == "calibrate" else node.inputs


def _flat(prefix: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key in value:
            yield from _flat(f"{prefix}.{key}" if prefix else str(key), value[key])
    else:
        yield prefix, str(value)
