"""One frozen type per row of a table. No behaviour: functions elsewhere take and return these.

Positions are full-image pixels with centres at integers; boxes are COCO boxes (x, y, width, height, edge
convention); lengths are metres. Column meanings are those of the tables in `storage/tables.py`.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True)
class Camera:
    """A calibrated OpenCV camera (x right, y down, z forward): `x_cam = R @ x_world + t`.

    K is in pixels for centres at integers; R, t map world (metres) to camera; `distortion` is k1, k2, p1, p2, k3.
    """

    K: Float[np.ndarray, "3 3"]
    R: Float[np.ndarray, "3 3"]
    t: Float[np.ndarray, " 3"]
    width: int
    height: int
    distortion: tuple[float, float, float, float, float] = (0.0, 0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True)
class ImageRecord:
    """One image of a data set; `uri` is absolute or relative to the data set's image root."""

    image_id: str
    uri: str
    width: int
    height: int
    sha256: str | None = None
    split: str | None = None
    licence: str | None = None
    source: str | None = None
    camera_id: str | None = None
    frame: int | None = None
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class InstanceRecord:
    """One object in one image; `silhouette` is a compressed COCO RLE ({"size": [h, w], "counts": str})."""

    instance_id: str
    image_id: str
    category: str
    xywh: tuple[float, float, float, float]
    silhouette: dict[str, Any] | None = None
    silhouette_source: str | None = None
    template_id: str | None = None
    area: float = 0.0
    iscrowd: bool = False
    ignore: bool = False
    score: float | None = None
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class LabelRecord:
    """One label set on one instance: P points, their vertices and what is known about each.

    `x`, `y` are (P,) full-image pixels; `vertex` (P,) is -1 where unknown; the optional arrays are (P,) or None.
    """

    label_id: str
    instance_id: str
    template_id: str
    source: str  # human | zero_shot | model | synthetic | correction
    producer: str
    x: Float[np.ndarray, " P"]
    y: Float[np.ndarray, " P"]
    vertex: np.ndarray
    point_ids: np.ndarray | None = None
    score: np.ndarray | None = None
    margin: np.ndarray | None = None
    cycle_px: np.ndarray | None = None
    expected_error: np.ndarray | None = None
    part: np.ndarray | None = None
    u: np.ndarray | None = None
    v: np.ndarray | None = None
    visible: np.ndarray | None = None
    weight: float = 1.0
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Decision:
    """One act of one reviewer on one label set; `before` and `after` are patches of its review state.

    `decision_id`s of one reviewer sort in the order of the acts (`densecorr/review/acts.py` makes them).
    """

    decision_id: str
    dataset_id: str
    instance_id: str
    label_id: str
    template_id: str
    producer: str  # of the label set that was judged
    action: str
    reviewer: str
    time: datetime  # UTC
    seconds: float  # spent on the act
    point_id: int | None = None
    undoes: str | None = None
    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)
    reason: str | None = None
