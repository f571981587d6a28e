"""Pipeline files: TOML in, the runs of stages it asks for out.

    [templates]
    cow = "cow.obj"                       # a path relative to this file, or a shape that densecorr brings
    antelope = { mesh = "spot.obj", unit = "cm" }

    [stages.ingest]
    command = "ingest"
    annotations = "annotations.json"

    [stages.labels]
    command = "pseudo-label"
    dataset = "@ingest"                   # also "@world/annotations.json": a path inside its artifact
    settings.n_points = 100

A stage whose command has a `category` and does not set it runs once for each template. Inside such a stage
`@name` is the same category's artifact; elsewhere it is the artifacts of all categories, and `@name[cow]` is
the one of the cow.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any, Literal

from densecorr.config import from_jsonable
from densecorr.errors import SettingsError

from .expand import Node, PipelineFile, check_key, expand_stages, read_entry, read_templates
from .stage import input_fields, input_texts


@dataclass(frozen=True)
class RunSettings:
    """How the stages of a pipeline are run: `[run]` in the file. It never changes a result."""

    runner: Literal["threads"] = "threads"
    max_workers: int = 2  # stages at once


@dataclass(frozen=True)
class Pipeline:
    """A pipeline file, checked and expanded; every node comes after those it needs."""

    name: str
    nodes: tuple[Node, ...]
    settings: RunSettings = RunSettings()


def read_pipeline(path: Path | str) -> Pipeline:
    """Read, check and expand a pipeline file.

    Raises:
        SettingsError: no such file, not TOML, an unknown key (its nearest valid name is given), a reference
        to no stage,
            a cycle.
    """
    path = Path(path)
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise SettingsError(
            "a pipeline file", f"no file at {path}", "`densecorr init` writes one."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise SettingsError(f"a TOML file at {path}", str(error), "Correct it.") from error
    return expand_pipeline(data, path.absolute().parent, path.stem)


def expand_pipeline(data: dict[str, Any], folder: Path, name: str) -> Pipeline:
    """The runs of stages that the data of a pipeline file asks for; its relative paths start at `folder`."""
    for key in data:
        check_key(key, ("templates", "stages", "run"), f"'{key}' at the top level")
    settings = from_jsonable(RunSettings, data.get("run", {}), "run")
    if settings.max_workers < 1:
        raise SettingsError("at least 1 at 'run.max_workers'", str(settings.max_workers), "Correct it.")
    stages = data.get("stages", {})
    if not isinstance(stages, dict) or not stages:
        raise SettingsError(
            "at least one [stages.<name>] table", "none", "`densecorr init` writes a whole file."
        )
    templates = read_templates(data.get("templates", {}), folder)
    entries = {key: read_entry(key, table, templates) for key, table in stages.items()}
    return Pipeline(name, _in_order(expand_stages(PipelineFile(folder, templates, entries))), settings)


def with_ids(node: Node, ids: Mapping[str, str]) -> Any:
    """The node's command with every `@key` replaced by that node's artifact id."""
    changed = {}
    for name in input_fields(node.stage.command):
        texts = tuple(_with_id(text, ids) for text in input_texts(node.command, name))
        value = getattr(node.command, name)
        if value is not None:
            changed[name] = texts[0] if isinstance(value, str) else texts
    return replace(node.command, **changed)


def _with_id(text: str, ids: Mapping[str, str]) -> str:
    if not text.startswith("@"):
        return text
    key, slash, inside = text[1:].partition("/")
    return ids[key] + slash + inside


def _in_order(nodes: list[Node]) -> tuple[Node, ...]:
    by_key = {node.key: node for node in nodes}
    try:
        order = list(TopologicalSorter({node.key: node.needs for node in nodes}).static_order())
    except CycleError as error:
        circle = " -> ".join(reversed(error.args[1]))
        raise SettingsError("stages that do not wait for each other", circle, "Break the circle.") from error
    return tuple(by_key[key] for key in order)
