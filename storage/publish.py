"""From a filled draft to an artifact, in one step that either happened or did not.

On a local file system the manifest is written into the draft, everything is flushed to the disk, and the
draft's folder is renamed to the artifact's. On an object store the files go up into a folder of their own,
one an attempt, and the manifest that names this folder goes last: two publishers never mix their files, the
later manifest wins whole.
"""

import logging
import os
import secrets
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from pyarrow import fs

from densecorr.errors import ArtifactError

from .catalog import artifact_folder, find_manifest, read_manifest
from .drafts import Draft, drafts_folder
from .environment import describe_environment
from .filesystem import (
    Place,
    explain_access,
    flush_folder,
    hash_local,
    put_file,
    remove_folder,
    write_atomically,
)
from .manifest import MANIFEST_NAME, FileEntry, Manifest, encode_manifest
from .recipe import ArtifactId, Recipe
from .shards import remove_unfinished

logger = logging.getLogger(__name__)

_WORKERS = 8  # hashing leaves the interpreter lock, and concurrent flushes share one journal commit


def publish(
    place: Place, draft: Draft, recipe: Recipe, wall_time_s: float, sources: dict[str, str]
) -> ArtifactId:
    """Make the draft the artifact of its recipe; if another process was faster, that artifact stands.

    Raises:
        ArtifactError: the draft holds no file, a link, or a `manifest.json` of its own.
    """
    remove_unfinished(draft.files)
    environment = describe_environment()
    manifest = Manifest(
        artifact_id=draft.artifact_id,
        recipe=Recipe(**recipe.plain()),
        files=hash_files(draft.files),
        wall_time_s=round(wall_time_s, 3),
        created=datetime.now(UTC).isoformat(timespec="milliseconds"),
        versions=environment.versions,
        device=environment.device,
        threads=environment.threads,
        machine=environment.machine,
        sources=sources,
    )
    won = _rename(place, draft, manifest) if place.is_local else _upload(place, draft, manifest)
    if not won:
        logger.info("%s %s was published by another run meanwhile", recipe.stage, draft.artifact_id)
    return draft.artifact_id


def hash_files(folder: Path) -> list[FileEntry]:
    """Size and sha256 of every file in a folder, by path; each is flushed to the disk.

    Raises:
        ArtifactError: no file, a link, or the manifest's name taken.
    """
    paths = sorted(path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    for path in paths:
        if path.is_symlink() or not path.is_file():
            raise ArtifactError(
                "plain files and folders in a stage's output",
                f"a link or special file at {path.relative_to(folder)}",
                "Write a copy: an artifact holds all of its own content.",
            )
    if not paths:
        raise ArtifactError(
            "at least one file in a stage's output", "none", "Let the stage write its result."
        )
    if folder / MANIFEST_NAME in paths:
        raise ArtifactError(
            f"no '{MANIFEST_NAME}' in a stage's output",
            "one",
            "Give it another name: the store writes that file.",
        )
    with ThreadPoolExecutor(_WORKERS) as pool:
        return list(pool.map(lambda path: _hash_file(folder, path), paths))


def _hash_file(folder: Path, path: Path) -> FileEntry:
    with open(path, "rb") as file:
        os.fsync(file.fileno())
    return FileEntry(path.relative_to(folder).as_posix(), path.stat().st_size, hash_local(path))


def _rename(place: Place, draft: Draft, manifest: Manifest) -> bool:
    write_atomically(draft.files / MANIFEST_NAME, encode_manifest(manifest))
    for folder in [*(path for path in draft.files.rglob("*") if path.is_dir()), draft.files]:
        flush_folder(folder)
    target = Path(artifact_folder(place, draft.artifact_id))
    target.parent.mkdir(parents=True, exist_ok=True)
    while True:
        try:
            os.rename(draft.files, target)
        except OSError:
            if not os.path.lexists(target):
                raise
            if find_manifest(place, draft.artifact_id) is not None:
                return False
            set_aside(place, target)  # a folder without a manifest is nobody's
        else:
            flush_folder(target.parent)
            return True


def set_aside(place: Place, folder: Path) -> None:
    """Take a local folder out of sight in one step, then delete it; interrupted, it is a stale draft."""
    trash = drafts_folder(place) / f"trash-{secrets.token_hex(8)}"
    trash.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.rename(folder, trash)
    except FileNotFoundError:
        return  # another process was faster
    remove_folder(trash)


def _upload(place: Place, draft: Draft, manifest: Manifest) -> bool:
    attempt = secrets.token_hex(8)
    folder = artifact_folder(place, draft.artifact_id)
    target = f"{folder}/{attempt}"
    with explain_access(target):
        place.filesystem.create_dir(target, recursive=True)
        local = fs.LocalFileSystem()
        fs.copy_files(
            str(draft.files), target, source_filesystem=local, destination_filesystem=place.filesystem
        )
    if find_manifest(place, draft.artifact_id) is None:
        put_file(place, f"{folder}/{MANIFEST_NAME}", encode_manifest(replace(manifest, data_folder=attempt)))
    if read_manifest(place, draft.artifact_id).data_folder == attempt:
        return True
    place.filesystem.delete_dir(target)
    return False
