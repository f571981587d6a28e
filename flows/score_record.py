"""The JSON that `densecorr score` writes: what it says of its inputs, and reading it back."""

import hashlib
import json
from dataclasses import fields
from pathlib import Path
from typing import Any

from densecorr.config import to_jsonable
from densecorr.errors import AnnotationError, DatasetNotFoundError, SettingsError

from .score import Score
from .whole_file import whole_file

NOT_RECORDED = ("json", "report", "compare", "leaderboard", "runs", "worst")


def settings_of(command: Score) -> dict[str, Any]:
    """The command with absolute paths, and the sha256 of truth and results."""
    placed = command.placed()
    kept = {
        f.name: to_jsonable(getattr(placed, f.name)) for f in fields(placed) if f.name not in NOT_RECORDED
    }
    return kept | {
        f"{name}_sha256": digest(path) for name, path in zip(("gt", "pred"), placed.files(), strict=True)
    }


def digest(path: Path) -> str | None:
    """Sha256 of a file; None for a folder."""
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_record(path: Path, said: dict[str, Any]) -> None:
    """Write the JSON; figures that are undefined are null."""
    with whole_file(path) as part:
        part.write_text(json.dumps(finite(said), indent=1, allow_nan=False) + "\n", encoding="utf-8")


def read_record(path: Path) -> tuple[dict[str, Any], Score]:
    """A record and the command that made it.

    Raises:
        DatasetNotFoundError: no such file.
        AnnotationError: not such a record, or its inputs have changed since.
    """
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        settings = dict(said["settings"])
        digests = {name: settings.pop(f"{name}_sha256") for name in ("gt", "pred")}
        known = {f.name: f for f in fields(Score)}
        values = {name: _typed(name, value) for name, value in settings.items() if name in known}
        command = Score(**values)
    except FileNotFoundError as error:
        raise DatasetNotFoundError(f"a score at {path}", "no such file", "Write it with --json.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise AnnotationError(
            f"a JSON file written by `densecorr score --json` at {path}", repr(error), "Write it again."
        ) from error
    for name, file in zip(("gt", "pred"), command.files(), strict=True):
        if not file.exists():
            raise DatasetNotFoundError(
                f"{file}, which {path} was scored from", "no such file", "Bring it back, or score anew."
            )
        if digest(file) != digests[name]:
            raise AnnotationError(
                f"{file} as it was when {path} was written", "another content", "Score the new file first."
            )
    return said, command


def finite(value: Any) -> Any:
    """Plain data with null for NaN and infinity."""
    if isinstance(value, float):
        return value if abs(value) < float("inf") else None
    if isinstance(value, dict):
        return {str(key): finite(item) for key, item in value.items()}
    return [finite(item) for item in value] if isinstance(value, list | tuple) else value


def check_same(settings: list[Score], names: tuple[str, ...]) -> None:
    """Refuse to compare runs that differ in what must be equal.

    Raises:
        SettingsError: they do.
    """
    for name in names:
        values = [getattr(one, name) for one in settings]
        if values[0] != values[1]:
            raise SettingsError(
                f"the same {name.replace('_', '-')} in both runs",
                f"{values[0]} and {values[1]}",
                "Score both alike.",
            )


def _typed(name: str, value: Any) -> Any:
    if isinstance(value, list):
        return tuple(value)
    return Path(value) if name in ("gt", "pred", "charts", "images") and value is not None else value
