"""DensePose and CSE point annotations: the box frame, the reference meshes, and label rows.

A DensePose annotation places its points in a frame that stretches the COCO box to 256 x 256: `dp_x`,
`dp_y`, with either a chart part and its coordinates (`dp_I`, `dp_U`, `dp_V`) or a vertex of a reference
mesh (`dp_vertex`, `ref_model`). `dp_masks` holds 14 body-part masks of 256 x 256 as run-length encodings.

The released code disagrees with itself on the side of that frame: training divides by 256, the evaluator by
255. An import follows training; the untouched `dp_*` stay in the label's `extra`, so that an evaluator can
follow the other.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from ..errors import AnnotationError
from .arrow import LABELS
from .checks import check_counts
from .coco_types import CocoAnnotation, Rle
from .reference_meshes import VERTEX_COUNTS

__all__ = [
    "EVALUATION_SIDE",
    "LABEL_FIELDS",
    "N_MASKS",
    "N_PARTS",
    "TRAINING_SIDE",
    "UNIT",
    "VERTEX_COUNTS",
    "check_points",
    "dp_to_xy",
    "has_points",
    "label_table",
    "xy_to_dp",
]

TRAINING_SIDE = 256.0  # the reference training code: dp / 256 of the box
EVALUATION_SIDE = 255.0  # the reference evaluator: dp / 255 of the box
N_PARTS = 24  # chart parts 1..24; 0 is background
UNIT = (-0.01, 1.01)  # dp_U, dp_V, with room for rounding
N_MASKS = 14  # slots of dp_masks

LABEL_FIELDS = ("dp_x", "dp_y", "dp_I", "dp_U", "dp_V", "dp_vertex", "ref_model", "dp_masks")
"""The annotation fields that move, untouched, into the `extra` of the label made from them."""


def dp_to_xy(
    dp: Float[np.ndarray, "*n 2"],
    xywh: Float[np.ndarray, "*n 4"] | Sequence[float],
    side: float = TRAINING_SIDE,
) -> Float[np.ndarray, "*n 2"]:
    """Points of the DensePose box frame as full-image pixels with centres at integers.

    `dp / side` is a share of the box. The box counts edges (COCO), so half a pixel comes off: dp = 0 is the
    box's left or top edge, at x0 - 0.5, and dp = side / 2 its centre.

    Args:
        dp: dp_x, dp_y, in [0, side].
        xywh: the COCO box, one or one a point.
        side: TRAINING_SIDE or EVALUATION_SIDE.
    """
    box = np.asarray(xywh, dtype=np.float64)
    return box[..., :2] + dp * box[..., 2:] / side - 0.5


def xy_to_dp(
    xy: Float[np.ndarray, "*n 2"],
    xywh: Float[np.ndarray, "*n 4"] | Sequence[float],
    side: float = TRAINING_SIDE,
) -> Float[np.ndarray, "*n 2"]:
    """The inverse of `dp_to_xy`: full-image pixels into the DensePose frame of a COCO box."""
    box = np.asarray(xywh, dtype=np.float64)
    return (xy + 0.5 - box[..., :2]) * side / box[..., 2:]


def has_points(annotation: CocoAnnotation) -> bool:
    """Whether an annotation carries DensePose or CSE points; an empty list is a label without points."""
    return annotation.dp_x is not None or annotation.dp_y is not None


def check_points(annotation: CocoAnnotation) -> None:
    """Refuse DensePose fields that contradict each other.

    Raises:
        AnnotationError: arrays of unequal length; neither (dp_I, dp_U, dp_V) nor dp_vertex; a part outside
            0..24; positions or chart coordinates of another scale; a vertex that is negative or past the end of a
            known reference mesh; masks that are not run-length encodings.
    """
    _check_lengths(annotation)
    frame = (-TRAINING_SIDE, 2 * TRAINING_SIDE)
    for name, (low, high) in {"dp_x": frame, "dp_y": frame, "dp_U": UNIT, "dp_V": UNIT}.items():
        values = getattr(annotation, name)
        if values and (min(values) < low or max(values) > high):
            raise AnnotationError(
                f"{name} in {low:g}..{high:g}",
                f"{min(values):g}..{max(values):g}",
                "Points lie in a box scaled to 256 x 256, chart coordinates in 0..1; check their scale.",
            )
    parts = np.asarray(annotation.dp_I if annotation.dp_I is not None else [])
    wrong = parts[(parts < 0) | (parts > N_PARTS) | (parts != np.floor(parts))]
    if wrong.size:
        raise AnnotationError(f"dp_I whole and in 0..{N_PARTS}", f"{wrong[0]:g}", "Correct the part labels.")
    if annotation.dp_vertex:
        _check_vertices(annotation.dp_vertex, annotation.ref_model)
    slots = annotation.dp_masks if isinstance(annotation.dp_masks, list) else [annotation.dp_masks]
    if len(slots) > N_MASKS:
        raise AnnotationError(f"at most {N_MASKS} dp_masks", str(len(slots)), "Keep the fourteen body parts.")
    for slot in slots:
        if isinstance(slot, Rle):
            check_counts(slot)
        elif slot:
            raise AnnotationError(
                "dp_masks of run-length encodings", "a filled list", "Encode each mask as RLE."
            )


def _check_lengths(annotation: CocoAnnotation) -> None:
    names = ("dp_x", "dp_y", "dp_I", "dp_U", "dp_V", "dp_vertex")
    lengths = {n: len(getattr(annotation, n)) for n in names if getattr(annotation, n) is not None}
    if len(set(lengths.values())) > 1:
        received = ", ".join(f"{name} of {length}" for name, length in lengths.items())
        raise AnnotationError("dp arrays of one length", received, "Every point needs all of its values.")
    has_chart = {"dp_I", "dp_U", "dp_V"} <= lengths.keys()
    if not {"dp_x", "dp_y"} <= lengths.keys() or not (has_chart or "dp_vertex" in lengths):
        raise AnnotationError(
            "dp_x and dp_y with dp_vertex or with dp_I, dp_U and dp_V",
            f"only {', '.join(sorted(lengths))}",
            "Add the missing arrays.",
        )


def _check_vertices(vertices: list[int], ref_model: str | None) -> None:
    lowest, highest = min(vertices), max(vertices)
    if lowest < 0:
        raise AnnotationError("dp_vertex of at least 0", str(lowest), "Leave out points without a vertex.")
    count = VERTEX_COUNTS.get(ref_model or "", 2**31 - 1)
    if highest >= count:
        raise AnnotationError(
            f"dp_vertex below {count}, the vertices of {ref_model or 'any mesh'}",
            str(highest),
            "Check that ref_model names the mesh these vertices belong to.",
        )


def label_table(rows: list[dict[str, Any]]) -> pa.Table:
    """Label rows of checked annotations as one table.

    Args:
        rows: dicts of instance_id, xywh, annotation (CocoAnnotation), source, producer and extra (JSON text).

    Returns:
        Columns of `arrow.LABELS`; x, y are full-image pixels (`dp_to_xy` over 256), vertex is -1 without
        dp_vertex, and part, u, v are null without charts.
    """
    lengths = np.array([len(row["annotation"].dp_x) for row in rows], dtype=np.int64)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    dp = np.stack([_flat(rows, "dp_x", lengths, 0.0), _flat(rows, "dp_y", lengths, 0.0)], axis=-1)
    boxes = np.array([row["xywh"] for row in rows], dtype=np.float64).reshape(-1, 4)
    xy = dp_to_xy(dp, np.repeat(boxes, lengths, axis=0)).astype(np.float32)
    first = np.repeat(offsets[:-1], lengths)

    def column(name: str, kind: Any) -> pa.Array:
        absent = np.array([getattr(row["annotation"], name) is None for row in rows], dtype=bool)
        values = _flat(rows, name, lengths, 0.0).astype(kind)
        return _lists(values, offsets, None if not absent.any() else absent)

    arrays = [
        pa.array([f"{row['instance_id']}/{row['source']}" for row in rows], pa.string()),
        pa.array([row["instance_id"] for row in rows], pa.string()),
        pa.array([row["annotation"].ref_model or "" for row in rows], pa.string()),
        pa.array([row["source"] for row in rows], pa.string()),
        pa.array([row["producer"] for row in rows], pa.string()),
        _lists((np.arange(offsets[-1]) - first).astype(np.int32), offsets),
        _lists(xy[:, 0], offsets),
        _lists(xy[:, 1], offsets),
        _lists(_flat(rows, "dp_vertex", lengths, -1.0).astype(np.int32), offsets),
        column("dp_I", np.uint8),
        column("dp_U", np.float32),
        column("dp_V", np.float32),
        pa.array(np.ones(len(rows)), pa.float64()),
        pa.array([row["extra"] for row in rows], pa.string()),
    ]
    return pa.table(arrays, schema=LABELS)


def _flat(rows: list[dict[str, Any]], name: str, lengths: np.ndarray, missing: float) -> np.ndarray:
    parts = [
        np.full(length, missing)
        if (values := getattr(row["annotation"], name)) is None
        else np.asarray(values)
        for row, length in zip(rows, lengths.tolist(), strict=True)
    ]
    return np.concatenate([np.zeros(0), *parts])


def _lists(values: np.ndarray, offsets: np.ndarray, absent: np.ndarray | None = None) -> pa.Array:
    mask = None if absent is None else pa.array(absent)
    return pa.ListArray.from_arrays(
        pa.array(offsets.astype(np.int32), pa.int32()), pa.array(values), mask=mask
    )
