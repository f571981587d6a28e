"""The tables a data set is read into, as Arrow; `storage/tables.py` holds their checked, stored form."""

from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

RLE_TYPE = pa.struct(
    [
        ("size", pa.list_(pa.int32())),  # height, width
        ("counts", pa.string()),  # compressed run lengths, or null and
        ("polygons", pa.list_(pa.list_(pa.float64()))),  # x, y, x, y, ... as the file has them
    ]
)
_TEXT, _REALS = pa.string(), pa.list_(pa.float32())


def _schema(**columns: pa.DataType) -> pa.Schema:
    return pa.schema(list(columns.items()))


IMAGES = _schema(
    image_id=_TEXT,
    uri=_TEXT,
    width=pa.int32(),
    height=pa.int32(),
    sha256=_TEXT,
    split=_TEXT,
    licence=_TEXT,
    source=_TEXT,
    camera_id=_TEXT,
    frame=pa.int64(),
    extra=_TEXT,
)
INSTANCES = _schema(
    instance_id=_TEXT,
    image_id=_TEXT,
    category=_TEXT,
    template_id=_TEXT,
    xywh=pa.list_(pa.float64(), 4),
    silhouette=RLE_TYPE,
    silhouette_source=_TEXT,
    area=pa.float64(),
    iscrowd=pa.bool_(),
    ignore=pa.bool_(),
    score=pa.float64(),
    extra=_TEXT,
)
LABELS = _schema(
    label_id=_TEXT,
    instance_id=_TEXT,
    template_id=_TEXT,
    source=_TEXT,
    producer=_TEXT,
    point_ids=pa.list_(pa.int32()),
    x=_REALS,
    y=_REALS,
    vertex=pa.list_(pa.int32()),
    part=pa.list_(pa.uint8()),
    u=_REALS,
    v=_REALS,
    weight=pa.float64(),
    extra=_TEXT,
)
CAMERAS = _schema(
    camera_id=_TEXT,
    K=pa.list_(pa.float64(), 9),
    R=pa.list_(pa.float64(), 9),
    t=pa.list_(pa.float64(), 3),
    distortion=pa.list_(pa.float64(), 5),
    width=pa.int32(),
    height=pa.int32(),
)
QUARANTINE = _schema(kind=_TEXT, id=_TEXT, image_id=_TEXT, reason=_TEXT, raw=_TEXT)


@dataclass(frozen=True)
class DatasetTables:
    """A data set in memory.

    `quarantine` holds the rows set aside: kind (image, annotation, category), id, image_id, reason and the
    raw JSON. `info` is the content of `dataset.json`: image_root, source, split, label_source, and what the
    source file says besides its rows (info, licenses, categories, other).
    """

    images: pa.Table
    instances: pa.Table
    labels: pa.Table
    quarantine: pa.Table = field(default_factory=QUARANTINE.empty_table)
    cameras: pa.Table = field(default_factory=CAMERAS.empty_table)
    info: dict[str, Any] = field(default_factory=dict)
