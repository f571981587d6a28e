"""The record of the pretrained models that an artifact was made with: `models.json` among its files."""

from pathlib import Path

import msgspec

from densecorr.hub_licences import ModelRecord

from .copies import data_folder
from .filesystem import Place, read_file
from .manifest import Manifest, damaged

MODELS_NAME = "models.json"


def write_models(folder: Path, records: list[ModelRecord]) -> None:
    """Write the record into the folder that is to become an artifact."""
    (folder / MODELS_NAME).write_bytes(msgspec.json.format(msgspec.json.encode(records), indent=2) + b"\n")


def read_models(place: Place, manifest: Manifest) -> tuple[ModelRecord, ...]:
    """The models that an artifact was made with; none if its manifest lists no record.

    Raises:
        ArtifactError: the record is missing, or not as it was written.
    """
    if not any(entry.path == MODELS_NAME for entry in manifest.files):
        return ()
    where = f"{data_folder(place, manifest)}/{MODELS_NAME}"
    content = read_file(place.filesystem, where)
    if content is None:
        raise damaged(where, "no such file")
    try:
        return tuple(msgspec.json.decode(content, type=list[ModelRecord]))
    except msgspec.MsgspecError as error:
        raise damaged(where, f"'{error}'") from error
