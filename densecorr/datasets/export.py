"""Tables back to a COCO file: everything `coco.read_coco` took in, and labels made since as CSE points."""

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from ..errors import AnnotationError
from .arrow import DatasetTables
from .export_rows import Naming, annotation_fields, image_fields

CHUNK = 4096  # rows written at once


def write_coco(
    path: Path, tables: DatasetTables, *, labels: pa.Table | None = None, made_silhouettes: bool = False
) -> None:
    """Write a data set as one COCO file; an unchanged import comes back equal as JSON, field by field.

    Columns say what they hold; the rest, and the original form of a segmentation, comes from `extra`. A
    label set that was not imported becomes `dp_x`, `dp_y` and, as far as it has them, `dp_vertex` with
    `ref_model` or `dp_I`, `dp_U`, `dp_V`; with vertices, points without one are left out. Ids lose the
    `<source>/` they got on import, unless the tables hold several sources.

    Args:
        path: the file to write; it appears whole or not at all.
        tables: the data set. Its quarantine is not written.
        labels: label sets instead of the data set's own (pseudo-labels, predictions, corrections).
        made_silhouettes: also write silhouettes that were made for instances without a segmentation.

    Raises:
        AnnotationError: an instance with several label sets, or with an image that the tables do not have.
    """
    label_table = tables.labels if labels is None else labels
    label_rows = _label_rows(label_table)
    image_ids = set(tables.images["image_id"].to_pylist())
    categories = _categories(tables)
    naming = Naming(
        many_sources=len({image_id.split("/")[0] for image_id in image_ids}) > 1,
        category_ids={category["name"]: category["id"] for category in categories},
        licence_ids=_licence_ids(tables.info),
    )

    def annotations() -> Iterator[dict[str, Any]]:
        for row in _rows(tables.instances):
            if row["image_id"] not in image_ids:
                raise AnnotationError(
                    f"the image of {row['instance_id']} in the table images",
                    f"none with id {row['image_id']}",
                    "Write the tables of one data set.",
                )
            index = label_rows.get(row["instance_id"])
            label = None if index is None else label_table.slice(index, 1).to_pylist()[0]
            yield annotation_fields(row, label, naming, made_silhouettes)

    lists: dict[str, Iterable[Any]] = {
        "categories": [msgspec.Raw(json.dumps(category).encode()) for category in categories],
        "images": (image_fields(row, naming) for row in _rows(tables.images)),
        "annotations": annotations(),
    }
    lengths = {"categories": len(categories), "images": len(image_ids), "annotations": len(tables.instances)}
    for name in tables.info.get("absent", ()):
        if not lengths.get(name):
            lists.pop(name, None)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("wb") as file:
            _write(file, _head(tables.info), lists)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _write(file: BinaryIO, head: dict[str, Any], lists: dict[str, Iterable[Any]]) -> None:
    """The file's object, one row a line."""
    opening = b"{\n"
    for key, value in head.items():
        file.write(opening + json.dumps(key).encode() + b": " + json.dumps(value).encode())
        opening = b",\n"
    for name, rows in lists.items():
        file.write(opening + json.dumps(name).encode() + b": [")
        opening = b",\n"
        comma = b"\n"
        for row in rows:
            file.write(comma + msgspec.json.encode(row))
            comma = b",\n"
        file.write(b"\n]")
    file.write(b"\n}\n")


def _head(info: dict[str, Any]) -> dict[str, Any]:
    """What a COCO file says besides its rows."""
    return {key: info[key] for key in ("info", "licenses") if key in info} | info.get("other", {})


def _rows(table: pa.Table) -> Iterator[dict[str, Any]]:
    for batch in table.to_batches(max_chunksize=CHUNK):
        yield from batch.to_pylist()


def _label_rows(labels: pa.Table) -> dict[str, int]:
    """Row of the label set by instance id."""
    instance_ids = labels["instance_id"]
    if pc.count_distinct(instance_ids).as_py() != len(instance_ids):
        counts = pc.value_counts(instance_ids)
        repeated = counts.field(0).filter(pc.greater(counts.field(1), 1))
        raise AnnotationError(
            "one label set an instance, as a COCO file holds",
            f"several for {repeated[0]} and {len(repeated) - 1} others",
            "Choose the label sets to write, by source or producer.",
        )
    return {instance_id: index for index, instance_id in enumerate(instance_ids.to_pylist())}


def _categories(tables: DatasetTables) -> list[dict[str, Any]]:
    """The categories as imported, and new ones for names that came since."""
    categories = list(tables.info.get("categories", ()))
    known = {category["name"] for category in categories}
    numbers = [category["id"] for category in categories if isinstance(category["id"], int)]
    new = sorted(set(pc.unique(tables.instances["category"]).to_pylist()) - known)
    return categories + [{"id": max(numbers, default=0) + 1 + i, "name": name} for i, name in enumerate(new)]


def _licence_ids(info: dict[str, Any]) -> dict[str, Any]:
    """Licence name to id, as the file's "licenses" say."""
    entries = info.get("licenses")
    entries = entries if isinstance(entries, list) else []
    return {
        e["name"]: e["id"]
        for e in entries
        if isinstance(e, dict) and "id" in e and isinstance(e.get("name"), str)
    }
