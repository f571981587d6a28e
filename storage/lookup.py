"""The annotations of some images of a stored data set, without reading the others; and what LVIS says of an image."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from densecorr.errors import AnnotationError

from .datasets import read_dataset_info
from .tables import open_table, read_table

LOOKUP = "instances.lookup.parquet"
__all__ = ["annotations_of_images", "exhaustive_categories", "negative_categories", "write_lookup"]


def annotations_of_images(folder: Path, image_ids: Sequence[str]) -> pa.Table:
    """The instances of some images, in the table's order; an image without any, or unknown, has no row.

    Only the image ids of all rows are read, then the groups of rows that hold a wanted one: quick where a file is
    grouped by image, as LVIS is.

    Args:
        folder: a data set's artifact.
        image_ids: as in the tables, `<source>/<original id>`.

    Raises:
        ArtifactError: no table of instances in the folder.
    """
    wanted = pa.array(list(image_ids), pa.string())
    with open_table(folder / "instances.parquet", "instances") as file:
        ids = _image_of_each_row(folder, file)
        found = np.flatnonzero(pc.is_in(ids, wanted).to_numpy())
        sizes = [file.metadata.row_group(index).num_rows for index in range(file.num_row_groups)]
        starts = np.concatenate([[0], np.cumsum(sizes)])
        groups = np.unique(np.searchsorted(starts, found, side="right") - 1)
        table = file.read_row_groups(groups.tolist())
    return table.filter(pc.is_in(table["image_id"], wanted))


def write_lookup(folder: Path, image_ids: pa.ChunkedArray) -> None:
    """Keep the column image_id of a data set's instances beside them, where it is read at once."""
    pq.write_table(pa.table({"image_id": image_ids}), folder / LOOKUP, compression="zstd")


def _image_of_each_row(folder: Path, file: pq.ParquetFile) -> pa.ChunkedArray:
    if (folder / LOOKUP).exists():
        kept = pq.read_table(folder / LOOKUP)["image_id"]
        if len(kept) == file.metadata.num_rows:
            return kept
    return file.read(columns=["image_id"])["image_id"]


def negative_categories(folder: Path, image_ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Categories that LVIS found to be absent from an image, by image id; none for another kind of file.

    Raises:
        AnnotationError: the data set has no such image, or the image names a category that it does not have.
    """
    return _categories(folder, image_ids, "neg_category_ids")


def exhaustive_categories(folder: Path, image_ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Categories of which an image has every object annotated, by image id, as LVIS says it.

    They are those of the image's annotations, less its `not_exhaustive_category_ids`.

    Raises:
        AnnotationError: as `negative_categories`.
    """
    partial = _categories(folder, image_ids, "not_exhaustive_category_ids")
    present: dict[str, set[str]] = {image_id: set() for image_id in image_ids}
    rows = annotations_of_images(folder, image_ids).select(["image_id", "category"])
    for row in rows.to_pylist():
        present[row["image_id"]].add(row["category"])
    return {image_id: tuple(sorted(present[image_id] - set(partial[image_id]))) for image_id in image_ids}


def _categories(folder: Path, image_ids: Sequence[str], field: str) -> dict[str, tuple[str, ...]]:
    names = {str(c["id"]): c["name"] for c in read_dataset_info(folder).get("categories", ())}
    wanted = [("image_id", "in", list(image_ids))]
    rows = read_table(folder / "images.parquet", "images", ["image_id", "extra"], wanted).to_pylist()
    found = {row["image_id"]: json.loads(row["extra"] or "{}").get(field, []) for row in rows}
    remedy = "See the ids in images.parquet and the categories in dataset.json."
    for image_id in image_ids:
        if image_id not in found:
            raise AnnotationError("ids of images of the data set", repr(image_id), remedy)
        strangers = [str(key) for key in found[image_id] if str(key) not in names]
        if strangers:
            raise AnnotationError(
                f"{field} of known categories in image {image_id}", ", ".join(strangers), remedy
            )
    return {image_id: tuple(names[str(key)] for key in found[image_id]) for image_id in image_ids}
