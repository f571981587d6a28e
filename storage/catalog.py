"""Reading a store: manifests, tags, and the id a person means.

<root>/artifacts/<id>/manifest.json     the artifact exists because this file does
<root>/artifacts/<id>/...               its files
<root>/refs/<name>.json                 a tag
"""

import json
import logging
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from densecorr.errors import ArtifactError

from .filesystem import Place, list_folder, put_file, read_file
from .manifest import MANIFEST_NAME, Manifest, damaged, decode_manifest
from .recipe import ArtifactId, is_artifact_id

logger = logging.getLogger(__name__)

ARTIFACTS = "artifacts"
REFS = "refs"
_TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_PREFIX = re.compile(r"[0-9a-f]{2,19}")
_SHOWN = 8  # candidates named in an error
_READERS = 16  # an object store answers each read after tens of milliseconds


def artifact_folder(place: Place, artifact_id: ArtifactId) -> str:
    """Where in the store an artifact's manifest lies."""
    return place.join(ARTIFACTS, artifact_id)


def find_manifest(place: Place, artifact_id: ArtifactId) -> Manifest | None:
    """The manifest of an artifact, None if it does not exist.

    Raises:
        ArtifactError: the manifest is damaged, or is that of another recipe.
    """
    where = f"{artifact_folder(place, artifact_id)}/{MANIFEST_NAME}"
    content = read_file(place.filesystem, where)
    if content is None:
        return None
    manifest = decode_manifest(content, where)
    if manifest.artifact_id != artifact_id or manifest.recipe.digest() != artifact_id:
        raise damaged(where, f"the manifest of {manifest.artifact_id}")
    return manifest


def read_manifest(place: Place, artifact_id: ArtifactId) -> Manifest:
    """The manifest of an artifact that must exist."""
    manifest = find_manifest(place, artifact_id)
    if manifest is None:
        raise _unknown(place, artifact_id)
    return manifest


def list_ids(place: Place) -> list[ArtifactId]:
    """The ids that have a folder; whether each holds a manifest is not looked at."""
    infos = list_folder(place.filesystem, place.join(ARTIFACTS))
    return [info.base_name for info in infos if is_artifact_id(info.base_name)]


def list_manifests(place: Place) -> list[Manifest]:
    """The manifests of all artifacts, oldest first; a damaged one is logged and left out."""
    with ThreadPoolExecutor(1 if place.is_local else _READERS) as pool:
        found = list(pool.map(lambda artifact_id: _manifest_or_none(place, artifact_id), list_ids(place)))
    return sorted((m for m in found if m is not None), key=lambda m: (m.created, m.artifact_id))


def _manifest_or_none(place: Place, artifact_id: ArtifactId) -> Manifest | None:
    try:
        return find_manifest(place, artifact_id)
    except ArtifactError as error:
        logger.warning("%s", error)
        return None


def write_tag(place: Place, name: str, artifact_id: ArtifactId) -> None:
    """Let `name` stand for an artifact from now on; a name in use moves.

    Raises:
        ArtifactError: the name cannot be a file name or reads like an id, or there is no such artifact.
    """
    if not _TAG.fullmatch(name) or is_artifact_id(name):
        raise ArtifactError(
            "a tag of letters, digits, '.', '_' and '-' that is no artifact id",
            repr(name),
            "Choose another name.",
        )
    read_manifest(place, artifact_id)
    note = {"artifact_id": artifact_id, "tagged": datetime.now(UTC).isoformat(timespec="seconds")}
    put_file(place, place.join(REFS, f"{name}.json"), json.dumps(note, indent=2).encode() + b"\n")


def read_tags(place: Place) -> dict[str, ArtifactId]:
    """Name to artifact id, by name.

    Raises:
        ArtifactError: a tag's file is damaged.
    """
    tags = {}
    for info in list_folder(place.filesystem, place.join(REFS)):
        name = info.base_name.removesuffix(".json")
        if info.is_file and info.base_name.endswith(".json") and _TAG.fullmatch(name):
            tags[name] = _read_tag(place, info.path)
    return tags


def _read_tag(place: Place, path: str) -> ArtifactId:
    try:
        artifact_id = json.loads(read_file(place.filesystem, path) or b"")["artifact_id"]
    except (ValueError, KeyError, TypeError) as error:
        raise ArtifactError(
            f'{{"artifact_id": ...}} in {path}', f"'{error}'", "Delete the file and tag the artifact again."
        ) from error
    return str(artifact_id)


def resolve(place: Place, text: str) -> ArtifactId:
    """The full id that a person means by a full id, a tag, or the first digits of an id, in that order.

    Raises:
        ArtifactError: nothing or several artifacts fit; the message lists candidates.
    """
    if is_artifact_id(text) and find_manifest(place, text) is not None:
        return text
    tag = place.join(REFS, f"{text}.json")
    if _TAG.fullmatch(text) and read_file(place.filesystem, tag) is not None:
        return _read_tag(place, tag)
    if _PREFIX.fullmatch(text):
        fitting = [
            i for i in list_ids(place) if i.startswith(text) and _manifest_or_none(place, i) is not None
        ]
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            raise ArtifactError(
                "an artifact id, the first digits of one, or a tag",
                f"'{text}', which {len(fitting)} artifacts start with: {_shorten(fitting)}",
                "Give more digits.",
            )
    raise _unknown(place, text)


def _unknown(place: Place, text: str) -> ArtifactError:
    tags = [f"{name} ({artifact_id[:8]})" for name, artifact_id in read_tags(place).items()]
    recent = [f"{m.artifact_id} ({m.stage})" for m in reversed(list_manifests(place))]
    known = f"Tags: {_shorten(tags) or 'none'}. Newest artifacts: {_shorten(recent) or 'none'}."
    return ArtifactError(
        f"an artifact id, the first digits of one, or a tag of the store {place.uri}",
        repr(text),
        f"{known} `densecorr store ls` lists all.",
    )


def _shorten(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
