"""The folder to read an artifact from: its own in a local store, else a checked copy in the workspace."""

import os
from dataclasses import replace
from pathlib import Path

from pyarrow import fs

from densecorr.errors import ArtifactError

from .catalog import ARTIFACTS, artifact_folder
from .drafts import Draft, open_draft
from .filesystem import Place, explain_access, read_file, write_atomically
from .manifest import MANIFEST_NAME, Manifest, damaged, decode_manifest, encode_manifest
from .publish import hash_files, set_aside
from .recipe import ArtifactId


def data_folder(place: Place, manifest: Manifest) -> str:
    """Where in the store an artifact's files lie."""
    folder = artifact_folder(place, manifest.artifact_id)
    return f"{folder}/{manifest.data_folder}" if manifest.data_folder else folder


def copy_folder(place: Place, artifact_id: ArtifactId) -> Path:
    """Where the local copy of an artifact of a store that is not local lies, if there is one."""
    return place.workspace / ARTIFACTS / artifact_id


def local_folder(place: Place, manifest: Manifest) -> Path:
    """A local folder with the artifact's files; downloads and checks them once if the store is not local.

    Only presence and size are looked at here; `verify` reads the contents.

    Raises:
        ArtifactError: a file is missing or has another size; the message names it.
    """
    if place.is_local:
        folder = data_folder(place, manifest)
        problem = size_problem(place.filesystem, folder, manifest)
        if problem is not None:
            raise damaged(f"{folder}/{problem[0]}", problem[1])
        return Path(folder)
    folder = copy_folder(place, manifest.artifact_id)
    if not _is_copy(folder):
        _fetch(place, manifest, folder)
    return folder


def size_problem(filesystem: fs.FileSystem, folder: str, manifest: Manifest) -> tuple[str, str] | None:
    """The first file that is not there or has another size than in the manifest, and what it is."""
    infos = filesystem.get_file_info([f"{folder}/{entry.path}" for entry in manifest.files])
    for entry, info in zip(manifest.files, infos, strict=True):
        if info.type != fs.FileType.File:
            return entry.path, "no such file"
        if info.size != entry.size:
            return entry.path, f"{info.size} bytes in place of {entry.size}"
    return None


def _is_copy(folder: Path) -> bool:
    where = str(folder / MANIFEST_NAME)
    content = read_file(fs.LocalFileSystem(), where)
    if content is None:
        return False
    return size_problem(fs.LocalFileSystem(), str(folder), decode_manifest(content, where)) is None


def _fetch(place: Place, manifest: Manifest, target: Path) -> None:
    with open_draft(place, manifest.recipe, resume=False) as draft:
        _download(place, manifest, draft)
        target.parent.mkdir(parents=True, exist_ok=True)
        while True:
            try:
                os.rename(draft.files, target)
            except OSError:
                if not os.path.lexists(target):
                    raise
                if _is_copy(target):
                    return  # another process was faster
                set_aside(place, target)
            else:
                return


def _download(place: Place, manifest: Manifest, draft: Draft) -> None:
    source = data_folder(place, manifest)
    problem = size_problem(place.filesystem, source, manifest)
    if problem is not None:
        raise damaged(f"{source}/{problem[0]}", problem[1])
    with explain_access(source):
        local = fs.LocalFileSystem()
        fs.copy_files(
            source, str(draft.files), source_filesystem=place.filesystem, destination_filesystem=local
        )
    arrived = {entry.path: entry for entry in hash_files(draft.files)}
    for entry in manifest.files:
        if arrived.get(entry.path) != entry:
            raise ArtifactError(
                f"{source}/{entry.path} as it was published",
                "another content",
                "`densecorr store verify` lists all damage; delete the artifact's folder and make it again.",
            )
    write_atomically(draft.files / MANIFEST_NAME, encode_manifest(replace(manifest, data_folder="")))
