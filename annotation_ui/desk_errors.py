"""What can go wrong at the desk, as the panel is told: the three parts of an error and its kind."""

import logging
from typing import Any, Literal

from densecorr.errors import ArtifactError, DensecorrError

Kind = Literal["stale", "template", "version", "lease", "database", "storage", "input"]

logger = logging.getLogger(__name__)


class DeskError(DensecorrError):
    """An error of a kind that the panel treats in its own way (see docs/review-protocol.md)."""

    def __init__(self, kind: Kind, expected: str, received: str, remedy: str) -> None:
        super().__init__(expected, received, remedy)
        self.kind: Kind = kind


def error_answer(error: BaseException, kind: Kind = "input") -> dict[str, Any]:
    """What the panel is sent in place of an answer; `kind` is for errors that do not say it themselves."""
    if isinstance(error, DensecorrError):
        expected, received, remedy = error.args
        if isinstance(error, ArtifactError) and expected.startswith("version"):
            kind = "version"  # of a table or a journal: written by another densecorr
        return {"error": _parts(expected, received, remedy, getattr(error, "kind", kind))}
    logger.error("the desk failed", exc_info=error)
    received = f"{type(error).__name__}: {error}"
    return {"error": _parts("an answer", received, "Try again; if it stays, report it with the log.", kind)}


def _parts(expected: str, received: str, remedy: str, kind: Kind) -> dict[str, Any]:
    return {"expected": expected, "received": received, "remedy": remedy, "kind": kind}
