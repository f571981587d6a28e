"""Records of one image as the fields of its FiftyOne sample: boxes, coloured points, dense overlays."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, UInt8

from densecorr.images import decode_silhouette
from densecorr.records import ImageRecord, InstanceRecord, LabelRecord

from .app import import_fiftyone
from .conversion import (
    crop_silhouette,
    paint_nearest,
    point_colors,
    relative_box,
    stable_object_id,
)
from .points import Templates, points_document, positions

BOXES = "instances"
Overlay = Literal["colors", "iuv", "error"]
OVERLAYS: dict[Overlay, str] = {"colors": "_dense", "iuv": "_iuv", "error": "_error"}
ENDINGS = ("", "_points", "_score", "_expected_error", "_mirrored")  # of the fields of one label set
_OVERLAY_SIDE = 256  # cells along the longer side of a dense overlay; it is stored in the database
_HOTTEST = 0.25  # expected error, share of the diameter, that is painted hottest
_PART_STEP = 10  # DensePose's own pictures of (part, u, v) multiply the part by this

Labels = Mapping[str, Sequence[LabelRecord]]  # by instance id


def image_fields(
    image: ImageRecord,
    instances: Sequence[InstanceRecord],
    sets: Mapping[str, Labels],
    templates: Templates,
    overlays: Sequence[Overlay] = (),
) -> dict[str, Any]:
    """Every field of one sample but its file path; boxes and label sets as documents for `points.write_documents`.

    Args:
        image: the image.
        instances: its objects.
        sets: the label sets to show, by field name.
        templates: vertex colours by template id; points of others are grey.
        overlays: also paint each silhouette like its nearest labelled point: with its vertex's colour, its chart
            part and coordinates (where the labels have them) or its expected error (where they have one).
    """
    fo = import_fiftyone()
    silhouettes = {
        instance.instance_id: decode_silhouette(instance.silhouette, image.height, image.width)
        for instance in instances
        if instance.silhouette is not None
    }
    boxes = [_box_document(image, one, silhouettes.get(one.instance_id)) for one in instances]
    values: dict[str, Any] = {
        "metadata": fo.ImageMetadata(width=image.width, height=image.height),
        BOXES: {"_cls": "Detections", "detections": boxes},
        "split": image.split,
        "licence": image.licence,
        "source": image.source,
        "camera_id": image.camera_id,
        "frame": image.frame,
    }
    for field, labels in sets.items():
        values |= _label_fields(field, labels, image, instances, templates)
        for kind in overlays:
            painted = _overlay(kind, labels, image, instances, silhouettes, templates)
            values[field + OVERLAYS[kind]] = None if painted is None else _as_label(kind, painted)
    return values


def declare_boxes(dataset: Any) -> None:
    """Say which fields boxes have, so that FiftyOne need not find out from each."""
    fo = import_fiftyone()
    if not dataset.has_field(BOXES):
        dataset.add_sample_field(BOXES, fo.EmbeddedDocumentField, embedded_doc_type=fo.Detections)
    known = dataset.get_field_schema(flat=True)
    kinds = {fo.StringField: ("instance_key", "template_id", "silhouette_source")}
    kinds |= {fo.FloatField: ("area",), fo.BooleanField: ("iscrowd", "ignore")}
    for kind, names in kinds.items():
        for name in names:
            if f"{BOXES}.detections.{name}" not in known:
                dataset.add_sample_field(f"{BOXES}.detections.{name}", kind)


def _label_fields(
    field: str, labels: Labels, image: ImageRecord, instances: Sequence[InstanceRecord], templates: Templates
) -> dict[str, Any]:
    """The points of one label set, how many they are, and what to sort images by.

    That is their mean known score, their mean expected error (a share of the template's diameter), and how many of
    the image's label sets are probably left for right.
    """
    pairs = [(instance, label) for instance in instances for label in labels.get(instance.instance_id, ())]
    return {
        field: points_document(field, image, pairs, templates),
        f"{field}_points": sum(len(label.x) for _, label in pairs),
        f"{field}_score": _mean([label.score for _, label in pairs]),
        f"{field}_expected_error": _mean([label.expected_error for _, label in pairs]),
        f"{field}_mirrored": sum(bool(label.extra.get("probably_mirrored")) for _, label in pairs),
    }


def _mean(columns: Sequence[np.ndarray | None]) -> float | None:
    """The mean of the finite values of the columns that are there."""
    known = [column[np.isfinite(column)] for column in columns if column is not None]
    return float(np.concatenate(known).mean()) if sum(map(len, known)) else None


def _box_document(
    image: ImageRecord, instance: InstanceRecord, silhouette: Bool[np.ndarray, "H W"] | None
) -> dict[str, Any]:
    """One object as the document of a `fiftyone.Detection`."""
    from bson import ObjectId
    from fiftyone.core.utils import serialize_numpy_array

    mask = None if silhouette is None else crop_silhouette(silhouette, instance.xywh)
    document = {
        "_id": ObjectId(stable_object_id(BOXES, instance.instance_id)),
        "_cls": "Detection",
        "attributes": {},
        "tags": [],
        "label": instance.category,
        "bounding_box": relative_box(instance.xywh, image.width, image.height),
        "mask": None if mask is None else serialize_numpy_array(mask),
        "confidence": instance.score,
        "instance_key": instance.instance_id,  # FiftyOne keeps the name `instance_id` for itself
        "template_id": instance.template_id,
        "silhouette_source": instance.silhouette_source,
        "area": instance.area,
        "iscrowd": instance.iscrowd,
        "ignore": instance.ignore,
    }
    return {key: value for key, value in document.items() if value is not None}


def _as_label(kind: Overlay, painted: UInt8[np.ndarray, "h w 3"]) -> Any:
    fo = import_fiftyone()
    return fo.Heatmap(map=painted[..., 0]) if kind == "error" else fo.Segmentation(mask=painted)


def _paint_of(kind: Overlay, label: LabelRecord, templates: Templates) -> UInt8[np.ndarray, "P 3"] | None:
    """What an overlay paints of each point; None where the label set does not know it."""
    if kind == "colors":
        return point_colors(label.vertex, templates.get(label.template_id))
    if kind == "iuv":
        if label.part is None or label.u is None or label.v is None:
            return None
        uv = [np.clip(255 * np.nan_to_num(one), 0, 255) for one in (label.u, label.v)]
        return np.stack([np.minimum(_PART_STEP * label.part.astype(np.int64), 255), *uv], axis=1).astype(
            np.uint8
        )
    if label.expected_error is None:
        return None
    heat = np.clip(np.nan_to_num(label.expected_error, nan=_HOTTEST) / _HOTTEST, 0, 1)
    return np.repeat(np.maximum(255 * heat, 1).astype(np.uint8)[:, None], 3, axis=1)  # 0 is outside


def _overlay(
    kind: Overlay,
    labels: Labels,
    image: ImageRecord,
    instances: Sequence[InstanceRecord],
    silhouettes: Mapping[str, Bool[np.ndarray, "H W"]],
    templates: Templates,
) -> UInt8[np.ndarray, "h w 3"] | None:
    """The image's silhouettes painted by their points, small ones on top; None if there is nothing to paint."""
    scale = min(1.0, _OVERLAY_SIDE / max(image.width, image.height))
    shape = (max(1, round(image.height * scale)), max(1, round(image.width * scale)), 3)
    canvas = np.zeros(shape, dtype=np.uint8)
    for instance in sorted(instances, key=lambda one: -one.area):
        for label in labels.get(instance.instance_id, ()):
            colors = _paint_of(kind, label, templates)
            if colors is not None and instance.instance_id in silhouettes:
                paint_nearest(canvas, silhouettes[instance.instance_id], positions(label), colors)
    return canvas if canvas.any() else None
