"""A chosen part of a data set as a folder with a COCO file and its images."""

import json
import shutil
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from ..image_uris import is_uri
from .arrow import DatasetTables
from .coco_json import pack_extra
from .coco_types import ABSENT
from .export import write_coco
from .exports import Progress, Selection, escape_key

ANNOTATIONS, IMAGES = "annotations.json", "images"
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])


def write_coco_folder(
    folder: Path,
    selection: Selection,
    made_silhouettes: bool = False,
    progress: Progress = lambda done, total, text: None,
) -> list[Path]:
    """Write `annotations.json`, as `export.write_coco` does, and copies of the image files below `images/`.

    File names stay what they are, unless one is an address, absolute or points out of the folder: then every image is
    named by its id. An image says its `split`, and `info.densecorr.label_source` who made the label sets if all have
    one source, so an ingest of the folder gives what was chosen.

    Args:
        folder: an empty folder.
        selection: what to write; without `places` file names stay and no image is copied.
        made_silhouettes: also write silhouettes that were made for instances without a segmentation.
        progress: called with the images done, their number and what is done.

    Returns:
        The COCO file.

    Raises:
        AnnotationError: an instance with several label sets.
        DatasetNotFoundError, DependencyError, ImageError: an image that cannot be read.
    """
    names = _file_names(selection)
    images = _named(selection.images, names)
    tables = DatasetTables(images, selection.instances, selection.labels, info=_info(selection))
    path = folder / ANNOTATIONS
    write_coco(path, tables, made_silhouettes=made_silhouettes)
    if selection.places is not None:
        for row, name in enumerate(names):
            copy = folder / IMAGES / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(selection.image_file(row), copy)
            progress(row + 1, len(names), "images")
    return [path]


def labelled_only(selection: Selection) -> Selection:
    """The instances that have a label set, and their images."""
    of_instance = pc.is_in(
        selection.instances["instance_id"], value_set=selection.labels["instance_id"].combine_chunks()
    )
    instances = selection.instances.filter(of_instance)
    kept = pc.is_in(selection.images["image_id"], value_set=instances["image_id"].combine_chunks())
    rows = kept.to_pylist()
    places = selection.places
    if places is not None:
        places = [place for place, is_kept in zip(places, rows, strict=True) if is_kept]
    return replace(selection, images=selection.images.filter(kept), instances=instances, places=places)


def _file_names(selection: Selection) -> list[str]:
    """The name of each image's copy below `images/`: its uri, if all can be, else its id with the suffix."""
    uris = selection.images["uri"].to_pylist()
    if selection.places is None or all(_is_inside(uri) for uri in uris):
        return uris
    ids = selection.images["image_id"].to_pylist()
    return [f"{escape_key(id_)}{selection.image_suffix(row)}" for row, id_ in enumerate(ids)]


def _is_inside(uri: str) -> bool:
    path = PurePosixPath(uri)
    return (
        not is_uri(uri) and not path.is_absolute() and not Path(uri).is_absolute() and ".." not in path.parts
    )


def _named(images: pa.Table, names: list[str]) -> pa.Table:
    """The images table with these file names, and the split among what an image says."""
    extras = []
    rows = images.select(["uri", "split", "extra"]).to_pylist()
    for row, name in zip(rows, names, strict=True):
        fields: dict[str, Any] = _fields.decode(row["extra"] or "{}")
        absent = msgspec.json.decode(fields.pop(ABSENT, b"[]"), type=list[str])
        if name != row["uri"]:
            fields.pop("file_name", None)
            absent = [field for field in absent if field != "file_name"]
        if row["split"] is not None:
            fields["split"] = msgspec.Raw(json.dumps(row["split"]).encode())
        extras.append(pack_extra(fields, absent))
    columns = {"uri": pa.array(names, pa.string()), "extra": pa.array(extras, pa.string())}
    for column, values in columns.items():
        images = images.set_column(images.column_names.index(column), column, values)
    return images


def _info(selection: Selection) -> dict[str, Any]:
    """What the file says besides its rows, with the one source of the label sets."""
    sources = pc.unique(selection.labels["source"]).to_pylist()
    told = selection.info.get("info", {})
    if len(sources) != 1 or not isinstance(told, dict):
        return selection.info
    ours = told.get("densecorr")
    ours = {**(ours if isinstance(ours, dict) else {}), "label_source": sources[0]}
    if ours["label_source"] == "human" and "densecorr" not in told:
        return selection.info
    return {**selection.info, "info": {**told, "densecorr": ours}}
