"""Reading a data set's folder: instances with their images and label sets, in one order."""

import json
import os
import posixpath
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from densecorr.errors import DatasetNotFoundError, EmptyInstanceError
from densecorr.image_uris import is_remote, is_uri, local_image
from densecorr.images import decode_silhouette
from densecorr.records import ImageRecord, InstanceRecord, LabelRecord

from .rows import table_to_records
from .tables import read_table


@dataclass(frozen=True)
class DatasetInstance:
    """One object with its image's record and the image file."""

    instance: InstanceRecord
    image: ImageRecord
    path: Path | str  # an address (s3://...) is a text; `densecorr.images.read_image` takes either

    def silhouette(self) -> Bool[np.ndarray, "H W"] | None:
        """The object's mask in the whole image, None if it has none."""
        if self.instance.silhouette is None:
            return None
        return decode_silhouette(self.instance.silhouette, self.image.height, self.image.width)


def read_dataset_info(folder: Path) -> dict[str, Any]:
    """`dataset.json`: image_root, categories and what else the importer kept.

    Raises:
        DatasetNotFoundError: the folder is not a data set.
    """
    try:
        return json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DatasetNotFoundError(
            "a data set's folder", f"{folder} without dataset.json", "Name the artifact of an `ingest` stage."
        ) from error


def image_path(folder: Path, root: str, uri: str) -> Path | str:
    """Where an image is: `uri` below the image root, which starts at the data set's folder when relative.

    An address (`uri` itself, or below a root that is one) stays a text, since a path would lose its slashes; one of
    this machine (`file://`) becomes its path. `densecorr.images.read_image` takes either.
    """
    if is_uri(root) and not is_uri(uri):
        uri = f"{root.rstrip('/')}/{uri}"
    if is_uri(uri):
        return uri if is_remote(uri) else local_image(uri)
    return folder / root / uri  # pathlib: an absolute part drops what stands before it


def moved_root(root: str, artifact_id: str) -> str:
    """The image root of a data set, as seen from another artifact beside the one it was written in."""
    if os.path.isabs(root) or is_uri(root):
        return root
    return posixpath.normpath(f"../{artifact_id}/{root}")


def read_instances(
    folder: Path, category: str | None = None, split: str | None = None, *, crowds: bool = False
) -> list[DatasetInstance]:
    """The instances of a data set, in the tables' order; of one category and one split if named.

    Crowds and ignored instances are left out unless `crowds`.

    Raises:
        EmptyInstanceError: none is left.
    """
    root = read_dataset_info(folder).get("image_root", "")
    images = {
        r.image_id: r for r in table_to_records("images", read_table(folder / "images.parquet", "images"))
    }
    records = table_to_records("instances", read_table(folder / "instances.parquet", "instances"))
    kept = [
        DatasetInstance(
            record, images[record.image_id], image_path(folder, root, images[record.image_id].uri)
        )
        for record in records
        if (category is None or record.category == category)
        and (split is None or images[record.image_id].split == split)
        and (crowds or not (record.iscrowd or record.ignore))
    ]
    if not kept:
        known = sorted({record.category for record in records})
        splits = sorted({str(image.split) for image in images.values()})
        raise EmptyInstanceError(
            f"instances of category '{category}' in split '{split}'",
            f"none of {len(records)}; categories {known}, splits {splits}",
            "Correct the category or the split.",
        )
    return kept


def read_labels(folder: Path, sources: tuple[str, ...] = ()) -> dict[str, LabelRecord]:
    """Label sets by instance id, of the given sources if any; of several for one instance, the last counts."""
    records = table_to_records("labels", read_table(folder / "labels.parquet", "labels"))
    return {record.instance_id: record for record in records if not sources or record.source in sources}
