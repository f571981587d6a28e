"""Reading everything again and comparing it with what was published."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from pyarrow import fs

from densecorr.errors import ArtifactError

from .catalog import REFS, artifact_folder, find_manifest, list_ids, read_tags
from .copies import data_folder
from .filesystem import Place, hash_stored, list_folder
from .manifest import MANIFEST_NAME, FileEntry, Manifest
from .recipe import ArtifactId

_WORKERS = 4


@dataclass(frozen=True)
class Problem:
    """One damaged file: the artifact it belongs to ("" for a tag), its path in the store, what is wrong."""

    artifact_id: ArtifactId
    file: str
    what: str

    def __str__(self) -> str:
        """One line naming the file."""
        return f"{self.file}: {self.what}"


def verify_artifact(place: Place, artifact_id: ArtifactId) -> list[Problem]:
    """Every file of an artifact that is missing, damaged or not in its manifest; empty if it is whole.

    Raises:
        ArtifactError: there is no such artifact (a damaged manifest is a problem, not an error).
    """
    folder = artifact_folder(place, artifact_id)
    try:
        manifest = find_manifest(place, artifact_id)
    except ArtifactError as error:
        return [Problem(artifact_id, f"{folder}/{MANIFEST_NAME}", f"damaged: {error.args[1]}")]
    if manifest is None:
        raise ArtifactError(
            f"an artifact {artifact_id} in {place.uri}", "none", "`densecorr store ls` lists all."
        )
    data = data_folder(place, manifest)
    with ThreadPoolExecutor(_WORKERS) as pool:
        found = list(
            pool.map(lambda entry: _check_file(place, f"{data}/{entry.path}", entry), manifest.files)
        )
    problems = [Problem(artifact_id, f"{data}/{file.path}", what) for file, what in found if what]
    return problems + _strangers(place, data, manifest)


def verify_store(place: Place) -> list[Problem]:
    """The problems of every artifact, and the tags that lead nowhere."""
    problems: list[Problem] = []
    existing = set()
    for artifact_id in list_ids(place):
        if place.filesystem.get_file_info(f"{artifact_folder(place, artifact_id)}/{MANIFEST_NAME}").is_file:
            existing.add(artifact_id)
            problems.extend(verify_artifact(place, artifact_id))
    return problems + _check_tags(place, existing)


def _check_file(place: Place, path: str, entry: FileEntry) -> tuple[FileEntry, str]:
    """The entry, and what is wrong with its file ("" if nothing)."""
    info = place.filesystem.get_file_info(path)
    if info.type != fs.FileType.File:
        return entry, "missing"
    if info.size != entry.size:
        return entry, f"damaged: {info.size} bytes in place of {entry.size}"
    try:
        digest = hash_stored(place.filesystem, path)
    except OSError as error:
        return entry, f"cannot be read: {error}"
    return entry, "" if digest == entry.sha256 else "damaged: its content is not what was published"


def _strangers(place: Place, data: str, manifest: Manifest) -> list[Problem]:
    """Files beside the published ones; other uploads of an object store are gc's business."""
    expected = {f"{data}/{entry.path}" for entry in manifest.files} | {f"{data}/{MANIFEST_NAME}"}
    found: Iterable[fs.FileInfo] = list_folder(place.filesystem, data, recursive=True)
    return [
        Problem(manifest.artifact_id, info.path, "not part of the artifact")
        for info in found
        if info.type == fs.FileType.File and info.path not in expected
    ]


def _check_tags(place: Place, existing: set[ArtifactId]) -> list[Problem]:
    try:
        tags = read_tags(place)
    except ArtifactError as error:
        return [Problem("", place.join(REFS), f"damaged: {error}")]
    return [
        Problem("", place.join(REFS, f"{name}.json"), f"names {artifact_id}, which does not exist")
        for name, artifact_id in tags.items()
        if artifact_id not in existing
    ]
