"""The columns of every table, as Arrow schemas that say their name and version.

A row of each is described in `densecorr/records.py`. Positions are full-image pixels with centres at
integers, boxes COCO boxes (edge convention), lengths metres; `extra`, `before` and `after` are JSON texts; a
camera's matrices are flat, row by row.
"""

from collections.abc import Sequence

import pyarrow as pa

from densecorr.errors import ArtifactError

VERSION = "2"
READABLE = ("1", VERSION)  # version 1: a silhouette had no polygons
NAME_KEY, VERSION_KEY = b"densecorr.table", b"densecorr.version"


def _schema(name: str, fields: Sequence[pa.Field]) -> pa.Schema:
    return pa.schema(fields, metadata={NAME_KEY: name.encode(), VERSION_KEY: VERSION.encode()})


def _required(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)


def _list(kind: pa.DataType, size: int = -1) -> pa.DataType:
    return pa.list_(
        pa.field("element", kind), size
    )  # the name Parquet gives entries: what is read back is equal


_TEXT, _REAL, _FLAG = pa.string(), pa.float64(), pa.bool_()
_REALS, _INTS = _list(pa.float32()), _list(pa.int32())
SILHOUETTE = pa.struct(  # size (h, w), and either a compressed COCO RLE or polygons (x, y, x, y, ...)
    [pa.field("size", _INTS), pa.field("counts", _TEXT), pa.field("polygons", _list(_list(_REAL)))]
)

IMAGES = _schema(
    "images",
    [
        _required("image_id", _TEXT),
        _required("uri", _TEXT),
        _required("width", pa.int32()),
        _required("height", pa.int32()),
        pa.field("sha256", _TEXT),
        pa.field("split", _TEXT),
        pa.field("licence", _TEXT),
        pa.field("source", _TEXT),
        pa.field("camera_id", _TEXT),
        pa.field("frame", pa.int64()),
        pa.field("extra", _TEXT),
    ],
)

INSTANCES = _schema(
    "instances",
    [
        _required("instance_id", _TEXT),
        _required("image_id", _TEXT),
        _required("category", _TEXT),
        pa.field("template_id", _TEXT),
        _required("xywh", _list(_REAL, 4)),
        pa.field("silhouette", SILHOUETTE),
        pa.field("silhouette_source", _TEXT),
        _required("area", _REAL),
        _required("iscrowd", _FLAG),
        _required("ignore", _FLAG),
        pa.field("score", _REAL),
        pa.field("extra", _TEXT),
    ],
)

LABELS = _schema(
    "labels",
    [
        _required("label_id", _TEXT),
        _required("instance_id", _TEXT),
        _required("template_id", _TEXT),
        _required("source", _TEXT),
        _required("producer", _TEXT),
        pa.field("point_ids", _INTS),
        _required("x", _REALS),
        _required("y", _REALS),
        _required("vertex", _INTS),
        pa.field("score", _REALS),
        pa.field("margin", _REALS),
        pa.field("cycle_px", _REALS),
        pa.field("expected_error", _REALS),
        pa.field("part", _list(pa.uint8())),
        pa.field("u", _REALS),
        pa.field("v", _REALS),
        pa.field("visible", _list(_FLAG)),
        _required("weight", _REAL),
        pa.field("extra", _TEXT),
    ],
)

CAMERAS = _schema(
    "cameras",
    [
        _required("camera_id", _TEXT),
        _required("K", _list(_REAL, 9)),
        _required("R", _list(_REAL, 9)),
        _required("t", _list(_REAL, 3)),
        _required("distortion", _list(_REAL, 5)),
        _required("width", pa.int32()),
        _required("height", pa.int32()),
    ],
)

DECISIONS = _schema(
    "decisions",
    [
        _required("decision_id", _TEXT),
        _required("dataset_id", _TEXT),
        _required("instance_id", _TEXT),
        _required("label_id", _TEXT),
        _required("template_id", _TEXT),
        _required("producer", _TEXT),
        pa.field("point_id", pa.int32()),
        _required("action", _TEXT),
        pa.field("undoes", _TEXT),
        pa.field("before", _TEXT),
        pa.field("after", _TEXT),
        _required("reviewer", _TEXT),
        pa.field("reason", _TEXT),
        _required("time", pa.timestamp("us", tz="UTC")),
        _required("seconds", _REAL),
    ],
)

SCHEMAS: dict[str, pa.Schema] = {
    "images": IMAGES,
    "instances": INSTANCES,
    "labels": LABELS,
    "cameras": CAMERAS,
    "decisions": DECISIONS,
}
KEYS = {
    "images": "image_id",
    "instances": "instance_id",
    "labels": "label_id",
    "cameras": "camera_id",
    "decisions": "decision_id",
}
POINT_COLUMNS = tuple(field.name for field in LABELS if pa.types.is_list(field.type))
CHOICES = {
    ("labels", "source"): ("human", "zero_shot", "model", "synthetic", "correction"),
    ("decisions", "action"): (
        *("accept", "reject", "skip", "unsure", "not_visible", "assign"),
        *("move", "add", "delete", "mirror", "drop_region", "delineate", "undo"),
    ),
}


def schema_of(name: str) -> pa.Schema:
    """The columns of a table.

    Raises:
        ArtifactError: there is no such table.
    """
    if name not in SCHEMAS:
        raise ArtifactError(f"a table named {', '.join(SCHEMAS)}", repr(name), "Correct the name.")
    return SCHEMAS[name]
