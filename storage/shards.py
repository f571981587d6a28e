"""Numbered pieces of a long stage's output, each there whole or not at all: a killed run resumes.

def write(directory: Path) -> None:  # given to Store.ensure(recipe, write, shards=True)
    done = finished_shards(directory)
    for index, batch in enumerate(batches):
        if index not in done:
            write_shard(directory, index, lambda path: save_file(extract(batch), path), suffix=".safetensors")
"""

import os
import re
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

from densecorr.errors import ArtifactError

from .filesystem import TEMPORARY_PREFIX, flush_folder, remove_folder

_NAME = re.compile(r"shard-(\d{5,})(\..+)?")


def shard_name(index: int, suffix: str = ".parquet") -> str:
    """`shard-00042.parquet` for index 42: names sort by index."""
    return f"shard-{index:05d}{suffix}"


def write_shard(
    directory: Path, index: int, write: Callable[[Path], Any], *, suffix: str = ".parquet"
) -> Path:
    """Write shard `index` whole or not at all: `write(path)` fills a temporary file or folder; then a rename.

    The temporary name ends in `suffix` as well, so that writers which add or read the ending behave. A shard
    that is there already is replaced. Returns the shard's path.

    Raises:
        ArtifactError: `write` left nothing at the path it was given.
    """
    if index < 0:
        raise ArtifactError("a shard index of 0 or more", str(index), "Number the shards from 0.")
    directory.mkdir(parents=True, exist_ok=True)
    target = directory / shard_name(index, suffix)
    temporary = directory / f"{TEMPORARY_PREFIX}{secrets.token_hex(6)}-{target.name}"
    try:
        write(temporary)
        if not temporary.exists():
            raise ArtifactError(
                f"the shard at {temporary.name}", "no such file", "Write to the path as given."
            )
        _flush(temporary)
        if target.is_dir():  # a folder is not replaced by a rename
            remove_folder(target)
        os.replace(temporary, target)
    except BaseException:
        remove_folder(temporary)
        raise
    flush_folder(directory)
    return target


def finished_shards(directory: Path) -> dict[int, Path]:
    """Index to path of the whole shards in a folder, by rising index; half-written ones do not show."""
    if not directory.is_dir():
        return {}
    found = {}
    for path in directory.iterdir():
        if match := _NAME.fullmatch(path.name):
            found[int(match[1])] = path
    return dict(sorted(found.items()))


def remove_unfinished(directory: Path) -> None:
    """Delete what interrupted writers left under temporary names, at any depth."""
    for path in sorted(directory.rglob(f"{TEMPORARY_PREFIX}*")):
        remove_folder(path)


def remove_shards(directory: Path) -> None:
    """Delete a folder of shards, if there is one, once what they were for is written.

    It is renamed first: a kill may leave all of the shards under their names or none, never half of one.
    """
    if directory.is_dir():
        aside = directory.with_name(f"{TEMPORARY_PREFIX}{secrets.token_hex(6)}-{directory.name}")
        os.replace(directory, aside)
        remove_folder(aside)


def _flush(path: Path) -> None:
    for item in [path, *path.rglob("*")] if path.is_dir() else [path]:
        if item.is_dir():
            flush_folder(item)
        else:
            with open(item, "rb") as file:
                os.fsync(file.fileno())
