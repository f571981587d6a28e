"""The recipe: how an artifact is made, and so its name."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from densecorr.config import canonical_json, to_jsonable
from densecorr.errors import ArtifactError

ArtifactId = str  # 20 hex digits

_ID = re.compile(r"[0-9a-f]{20}")
_SOURCE = re.compile(r"sha256:[0-9a-f]{64}")
_STAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def is_artifact_id(text: str) -> bool:
    """Whether this is written like an artifact's full id."""
    return _ID.fullmatch(text) is not None


def is_source_digest(text: str) -> bool:
    """Whether this is written like the digest of a source file or folder."""
    return _SOURCE.fullmatch(text) is not None


@dataclass(frozen=True)
class Recipe:
    """How one artifact is made; equal recipes have equal digests on every machine.

    `stage` is the stage's name and `version` its VERSION constant, raised when its output changes. `settings`
    is a frozen dataclass or plain data. `inputs` maps a role to an artifact id, a list of them, or
    "sha256:<64 hex digits>" for a source file or folder (`Store.digest_source`).
    """

    stage: str
    version: int
    settings: Any = None
    inputs: Mapping[str, str | list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what could not be found again: tags, prefixes and paths are no inputs."""
        if not _STAGE.fullmatch(self.stage):
            raise ArtifactError(
                "a stage named by letters, digits, '-', '_' and '.'", repr(self.stage), "Rename it."
            )
        for role, values in self.inputs.items():
            for value in [values] if isinstance(values, str) else values:
                if not (is_artifact_id(value) or is_source_digest(value)):
                    raise ArtifactError(
                        f"an artifact id (20 hex digits) or sha256:<64 hex digits> for input '{role}' of "
                        f"{self.stage}",
                        repr(value),
                        "Turn tags and prefixes into ids with Store.resolve, files with Store.digest_source.",
                    )

    def plain(self) -> dict[str, Any]:
        """The recipe as plain data, as the manifest holds it."""
        return {
            "stage": self.stage,
            "version": self.version,
            "settings": to_jsonable(self.settings),
            "inputs": to_jsonable(dict(self.inputs)),
        }

    def digest(self) -> ArtifactId:
        """The artifact's id: the first 20 hex digits of the sha256 of the recipe's canonical JSON."""
        return hashlib.sha256(canonical_json(_same_numbers(self.plain())).encode()).hexdigest()[:20]

    def input_ids(self) -> list[str]:
        """Every input in the order of the roles' names: artifact ids and source digests."""
        ids: list[str] = []
        for role in sorted(self.inputs):
            values = self.inputs[role]
            ids.extend([values] if isinstance(values, str) else values)
        return ids


def _same_numbers(value: object) -> object:
    """Write 1.0 as 1, as RFC 8785 does: `Settings(scale=1)` and `Settings(scale=1.0)` are one recipe."""
    if isinstance(value, dict):
        return {key: _same_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_same_numbers(item) for item in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value
