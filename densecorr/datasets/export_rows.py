"""One row of a table as one object of a COCO file: the inverse of what the readers take into columns."""

from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from .coco_types import ABSENT
from .densepose import LABEL_FIELDS, xy_to_dp
from .segmentations import as_runs

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])


@dataclass(frozen=True)
class Naming:
    """Ids of the file to write: whether they keep their source, and what names stand for."""

    many_sources: bool
    category_ids: dict[str, Any]
    licence_ids: dict[str, Any]

    def plain_id(self, text: str) -> int | str:
        """The original id: `coco/12` was 12; a text stays one."""
        original = text if self.many_sources else text.partition("/")[2] or text
        digits = original.removeprefix("-")
        if digits.isdecimal() and digits.isascii() and str(int(original)) == original:
            return int(original)
        return original


def image_fields(row: dict[str, Any], naming: Naming) -> dict[str, Any]:
    """An image of the file, from a row of the images table."""
    extra, absent = _extra(row, naming, ("id",))
    fields: dict[str, Any] = {
        "id": naming.plain_id(row["image_id"]),
        "file_name": row["uri"],
        "width": row["width"],
        "height": row["height"],
    }
    if row["licence"] in naming.licence_ids:
        fields["license"] = naming.licence_ids[row["licence"]]
    return {name: value for name, value in fields.items() if name not in absent} | extra


def annotation_fields(
    row: dict[str, Any], label: dict[str, Any] | None, naming: Naming, made_silhouettes: bool
) -> dict[str, Any]:
    """An annotation of the file, from a row of the instances table and its label set, if any."""
    extra, absent = _extra(row, naming, ("id", "image_id"))
    fields: dict[str, Any] = {
        "id": naming.plain_id(row["instance_id"]),
        "image_id": naming.plain_id(row["image_id"]),
        "category_id": naming.category_ids[row["category"]],
        "bbox": [_number(value) for value in row["xywh"]],
        "area": _number(row["area"]),
        "iscrowd": int(row["iscrowd"]),
    }
    if row["silhouette"] is not None and (
        row["silhouette_source"] in ("dataset", "correction") or made_silhouettes
    ):
        fields["segmentation"] = _segmentation(row["silhouette"])
    if row["ignore"]:
        fields["ignore"] = 1
    if row["score"] is not None:
        fields["score"] = _number(row["score"])
    fields = {name: value for name, value in fields.items() if name not in absent} | extra
    return fields if label is None else fields | label_fields(label, row["xywh"])


def label_fields(label: dict[str, Any], xywh: list[float]) -> dict[str, Any]:
    """The DensePose fields of a label set: the imported ones untouched, or made from its columns."""
    imported = _fields.decode(label["extra"] or "{}")
    if "dp_x" in imported:
        return {name: imported[name] for name in LABEL_FIELDS if name in imported}
    vertex = np.asarray(label["vertex"], dtype=np.int64)
    has_vertices = bool((vertex >= 0).any())
    use = vertex >= 0 if has_vertices else np.ones(len(vertex), dtype=bool)
    xy = np.stack([label["x"], label["y"]], axis=-1).astype(np.float64).reshape(-1, 2)
    box = np.asarray(xywh, dtype=np.float64)
    dp = xy_to_dp(xy[use], [*box[:2], *np.maximum(box[2:], 1e-9)])
    fields: dict[str, Any] = {"dp_x": dp[:, 0].tolist(), "dp_y": dp[:, 1].tolist()}
    if has_vertices or label.get("part") is None:
        fields |= {"dp_vertex": vertex[use].tolist(), "ref_model": label["template_id"]}
    if label.get("part") is not None:
        for name, column in (("dp_I", "part"), ("dp_U", "u"), ("dp_V", "v")):
            fields[name] = np.asarray(label[column], dtype=np.float64)[use].tolist()
    return fields


def _extra(
    row: dict[str, Any], naming: Naming, ids: tuple[str, ...]
) -> tuple[dict[str, msgspec.Raw], list[str]]:
    """The fields kept as they were written, and the names of those that were not there."""
    extra = _fields.decode(row["extra"] or "{}")
    absent = msgspec.json.decode(extra.pop(ABSENT, b"[]"), type=list[str])
    if naming.many_sources:
        extra = {name: value for name, value in extra.items() if name not in ids}
    return extra, absent


def _segmentation(silhouette: dict[str, Any]) -> Any:
    """Polygons as polygons, anything else as runs."""
    if silhouette.get("polygons") is None:
        return as_runs(silhouette)
    return [[_number(value) for value in polygon] for polygon in silhouette["polygons"]]


def _number(value: float) -> int | float:
    """Whole numbers as such: JSON does not tell 66.0 from 66, and files are shorter."""
    return int(value) if value.is_integer() and abs(value) < 2**53 else value
