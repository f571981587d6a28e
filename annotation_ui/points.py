"""Label sets as FiftyOne stores them: documents of the database, written in bulk.

FiftyOne colours a `Keypoint` as a whole, so the points of one label set are grouped by template colour: one `Keypoint`
for each colour that occurs, dozens a label. Made one by one as FiftyOne's objects, with their fields looked up each
time, ten thousand of them take hours; as the documents that those objects become, they take a minute.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from densecorr.records import ImageRecord, InstanceRecord, LabelRecord

from .app import import_fiftyone
from .conversion import color_runs, point_colors, relative_points, stable_object_id

Templates = Mapping[str, UInt8[np.ndarray, "V 3"]]  # vertex colours by template id

_TEXTS = ("color", "instance_key", "label_id", "template_id", "origin")
_INTEGERS, _REALS, _FLAGS = (
    ("point_id", "vertex", "part"),
    ("score", "margin", "cycle_px", "expected_error"),
    ("visible",),
)


def positions(label: LabelRecord) -> Float[np.ndarray, "P 2"]:
    """A label's points, full-image pixels with centres at integers."""
    return np.stack([label.x, label.y], axis=1).astype(np.float64)


def points_document(
    field: str,
    image: ImageRecord,
    pairs: Sequence[tuple[InstanceRecord, LabelRecord]],
    templates: Templates,
) -> dict[str, Any]:
    """The label sets of one image as the document of a `fiftyone.Keypoints`: what its `to_mongo()` gives."""
    keypoints = [one for pair in pairs for one in _keypoint_documents(field, image, *pair, templates)]
    return {"_cls": "Keypoints", "keypoints": keypoints}


def declare_points(dataset: Any, field: str) -> None:
    """Say which fields the points of a label set have, so that FiftyOne need not find out from each."""
    fo = import_fiftyone()
    if not dataset.has_field(field):
        dataset.add_sample_field(field, fo.EmbeddedDocumentField, embedded_doc_type=fo.Keypoints)
    known = dataset.get_field_schema(flat=True)
    for name in _TEXTS:
        if f"{field}.keypoints.{name}" not in known:
            dataset.add_sample_field(f"{field}.keypoints.{name}", fo.StringField)
    # Real numbers have no declared type: an unknown one is None, which FiftyOne's FloatField refuses in a list.
    for names, kind in ((_INTEGERS, fo.IntField), (_REALS, None), (_FLAGS, fo.BooleanField)):
        for name in names:
            if f"{field}.keypoints.{name}" not in known:
                dataset.add_sample_field(f"{field}.keypoints.{name}", fo.ListField, subfield=kind)


def write_documents(dataset: Any, documents: Mapping[str, Mapping[str, dict[str, Any]]]) -> None:
    """Set documents, such as `points_document` makes, by sample id and field, in one bulk write."""
    from bson import ObjectId
    from fiftyone.core.odm import bulk_write
    from pymongo import UpdateOne

    now = datetime.now(UTC)
    updates = [
        UpdateOne({"_id": ObjectId(sample_id)}, {"$set": {**fields, "last_modified_at": now}})
        for sample_id, fields in documents.items()
        if fields
    ]
    if updates:
        bulk_write(updates, dataset._sample_collection, ordered=False)


def _keypoint_documents(
    field: str, image: ImageRecord, instance: InstanceRecord, label: LabelRecord, templates: Templates
) -> list[dict[str, Any]]:
    """One Keypoint for each colour among a label's points."""
    from bson import ObjectId

    xy = relative_points(positions(label), image.width, image.height)
    columns = {"point_id": np.arange(len(xy)) if label.point_ids is None else label.point_ids}
    for name in (*_INTEGERS[1:], *_REALS, *_FLAGS):
        if getattr(label, name) is not None:
            columns[name] = getattr(label, name)
    order, runs = color_runs(point_colors(label.vertex, templates.get(label.template_id)))
    points = xy[order].tolist()
    lists = {name: _plain(column[order]) for name, column in columns.items()}
    return [
        {
            "_id": ObjectId(stable_object_id(field, label.label_id, color)),
            "_cls": "Keypoint",
            "attributes": {},
            "tags": [],
            "label": instance.category,
            "points": points[start:end],
            "confidence": None,
            "color": color,
            "instance_key": instance.instance_id,
            "label_id": label.label_id,
            "template_id": label.template_id,
            "origin": label.source,
            **{name: values[start:end] for name, values in lists.items()},
        }
        for color, start, end in runs
    ]


def _plain(values: np.ndarray) -> list[Any]:
    """A list of Python's own numbers; NaN and infinity as None: the App reads JSON."""
    if values.dtype.kind != "f" or np.isfinite(values).all():
        return values.tolist()
    return [value if np.isfinite(value) else None for value in values.tolist()]
