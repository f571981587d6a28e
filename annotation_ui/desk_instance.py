"""One instance as the panel gets it: picture, outline, points, acts."""

import base64
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8

from densecorr.images import read_image
from densecorr.records import Decision, LabelRecord
from densecorr.review.state import PointState, ReviewState, initial_state
from storage.datasets import DatasetInstance

_MARGIN = 0.15  # of the longer side, around the box
_LARGEST = 2048  # pixels of the picture's longer side
_LEAST_AREA = 4.0  # square pixels of a polygon that is worth drawing


def picture(found: DatasetInstance) -> dict[str, Any]:
    """`image` and `silhouette` of an instance: what depends on files and is slow to make.

    Raises:
        ImageError: the file cannot be read.
    """
    image = read_image(found.path)
    height, width = image.shape[:2]
    x0, y0, x1, y1 = crop_box(found.instance.xywh, width, height)
    mask = found.silhouette()
    return {
        "image": {
            "width": width,
            "height": height,
            "crop": [x0, y0, x1, y1],
            "png": encode_png(image[y0:y1, x0:x1]),
        },
        "silhouette": [] if mask is None else outlines(mask),
    }


def crop_box(xywh: tuple[float, float, float, float], width: int, height: int) -> tuple[int, int, int, int]:
    """Whole pixels around a COCO box, x1 and y1 exclusive; the whole image if the box lies outside it."""
    x, y, w, h = xywh
    margin = _MARGIN * max(w, h)
    x0, y0 = max(0, int(np.floor(x - margin))), max(0, int(np.floor(y - margin)))
    x1, y1 = min(width, int(np.ceil(x + w + margin))), min(height, int(np.ceil(y + h + margin)))
    return (x0, y0, x1, y1) if x1 > x0 and y1 > y0 and w > 0 and h > 0 else (0, 0, width, height)


def encode_png(image: UInt8[np.ndarray, "h w 3"]) -> str:
    """A data URI; a very large picture is made smaller, to be drawn over the same crop."""
    import cv2

    scale = _LARGEST / max(image.shape[:2])
    if scale < 1:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA).astype(np.uint8)
    done, data = cv2.imencode(".png", image[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 1])
    if not done:
        raise ValueError("the picture could not be encoded")
    return "data:image/png;base64," + base64.b64encode(data.tobytes()).decode()


def outlines(mask: Bool[np.ndarray, "H W"]) -> list[list[float]]:
    """The outer borders of a mask as polygons (x, y, x, y, ...) through its outermost pixels."""
    import cv2

    found, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_TC89_L1)
    kept = [contour for contour in found if len(contour) > 2 and cv2.contourArea(contour) >= _LEAST_AREA]
    return [contour.reshape(-1).astype(float).tolist() for contour in kept]


def describe_points(label: LabelRecord, state: ReviewState) -> list[dict[str, Any]]:
    """The points as they are now; what was known of a point that changed is left out."""
    known = known_of_points(label, state)
    return [
        {
            "point_id": key,
            "x": point.x,
            "y": point.y,
            "vertex": point.vertex,
            "visible": point.visible,
            "score": known[key][0],
            "expected_error": known[key][1],
        }
        for key, point in sorted(state.points.items())
    ]


def known_of_points(label: LabelRecord, state: ReviewState) -> dict[int, tuple[float | None, float | None]]:
    """Score and expected error by point id; None where unknown or where the point was changed."""
    before = initial_state(label).points
    values = {
        key: (_number(label.score, row), _number(label.expected_error, row)) for row, key in enumerate(before)
    }
    return {
        key: values[key] if key in before and _same(before[key], point) else (None, None)
        for key, point in state.points.items()
    }


def _same(one: PointState, other: PointState) -> bool:
    return (one.x, one.y, one.vertex) == (other.x, other.y, other.vertex)


def _number(column: np.ndarray | None, row: int) -> float | None:
    """A value of an optional column; JSON has neither NaN nor infinity."""
    return float(column[row]) if column is not None and np.isfinite(column[row]) else None


def undone_ids(decisions: Iterable[Decision]) -> set[str]:
    """The acts that were undone; an undo that was undone itself (a redo) is among them."""
    undone: set[str] = set()
    for act in sorted(decisions, key=lambda one: one.decision_id, reverse=True):
        if act.undoes is not None and act.decision_id not in undone:
            undone.add(act.undoes)
    return undone


def describe_acts(decisions: Sequence[Decision], undone: set[str]) -> list[dict[str, Any]]:
    """One reviewer's acts on an instance, oldest first."""
    return [
        {
            "decision_id": act.decision_id,
            "action": act.action,
            "point_id": act.point_id,
            "undone": act.decision_id in undone,
        }
        for act in decisions
    ]
