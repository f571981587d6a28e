"""The manifest: the file that makes a folder an artifact, and what it says about the folder.

`manifest.json` is flat JSON for people and scripts. Its last entry, `digest`, is the sha256 of all bytes
before that entry, so that damage to the manifest itself is seen as well.
"""

import hashlib
from dataclasses import dataclass, field
from typing import Any

import msgspec

from densecorr.errors import ArtifactError

from .recipe import ArtifactId, Recipe

MANIFEST_NAME = "manifest.json"
FORMAT = 1
_DIGEST_KEY = b',\n  "digest": "'


@dataclass(frozen=True)
class FileEntry:
    """One file of an artifact: its path inside (with "/"), size in bytes and sha256 of the content, hex."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """Everything known about one artifact.

    `wall_time_s` is that of the session that finished it (an interrupted one before that is not counted);
    `created` is UTC, ISO 8601. `data_folder` is where in the artifact's folder its files lie: the folder
    itself ("") when it was published by a rename, an own folder for each upload on an object store. `sources`
    gives, as information only, the local paths that source digests among the inputs came from.
    """

    artifact_id: ArtifactId
    recipe: Recipe
    files: list[FileEntry]
    wall_time_s: float
    created: str
    versions: dict[str, str]
    device: str
    threads: int
    machine: str
    data_folder: str = ""
    sources: dict[str, str] = field(default_factory=dict)
    format: int = FORMAT

    @property
    def stage(self) -> str:
        """The stage that made it."""
        return self.recipe.stage

    @property
    def size(self) -> int:
        """Bytes of all files together, the manifest not counted."""
        return sum(entry.size for entry in self.files)


def encode_manifest(manifest: Manifest) -> bytes:
    """The bytes of `manifest.json`."""
    body = msgspec.json.format(msgspec.json.encode(manifest), indent=2).removesuffix(b"\n}")
    return body + _DIGEST_KEY + hashlib.sha256(body).hexdigest().encode() + b'"\n}\n'


def decode_manifest(content: bytes, where: str) -> Manifest:
    """The manifest that `encode_manifest` wrote.

    Raises:
        ArtifactError: cut off, changed since it was written, or of another format; names the file `where`.
    """
    body, _, tail = content.rpartition(_DIGEST_KEY)
    if not body or tail != hashlib.sha256(body).hexdigest().encode() + b'"\n}\n':
        raise damaged(where, "a manifest that changed after it was written")
    try:
        version = msgspec.json.decode(body + b"}", type=dict[str, Any]).get("format")
        if version != FORMAT:
            raise ArtifactError(
                f"a manifest of format {FORMAT}",
                f"format {version} in {where}",
                "Use the densecorr version that wrote this store, or another store.",
            )
        return msgspec.json.decode(body + b"}", type=Manifest)
    except msgspec.MsgspecError as error:
        raise damaged(where, f"'{error}'") from error


def damaged(where: str, what: str) -> ArtifactError:
    """The error for an artifact file that is not as it was published."""
    return ArtifactError(
        f"{where} as it was published",
        what,
        "Delete the artifact's folder and run the same command again; `densecorr store verify` lists damage.",
    )
