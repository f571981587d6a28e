"""Files and folders that appear whole or not at all."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from densecorr.errors import SettingsError


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give the name of a file to fill beside `path`; it takes the name `path` when the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextlib.contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Give an empty folder beside `path` to fill; it takes the name `path` when the block ends without an error.

    Raises:
        SettingsError: there is something at `path` other than an empty folder, or another run fills it.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise SettingsError(
            "a new or an empty folder to write to",
            f"{path}, which holds something",
            "Name another one, or remove it.",
        )
    part = path.with_name(f"{path.name}.part")
    try:
        part.mkdir(parents=True)
    except FileExistsError as error:
        raise SettingsError(
            f"no {part}",
            "one of a run that goes on, or was killed",
            "Wait for the run, or remove it.",
        ) from error
    try:
        yield part
        if path.exists():
            path.rmdir()
        part.rename(path)
    finally:
        shutil.rmtree(part, ignore_errors=True)
