"""Silhouettes of DensePose scoring as clipped rectangles of pixels, and their IoU without full images.

The IoU equals pycocotools' on encoded full-size masks: both are one division of the same two counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int64, Shaped, UInt8

from ..datasets.densepose import N_MASKS
from ..datasets.part_masks import SIDE, part_runs
from ..errors import AnnotationError
from .densepose_types import DensePoseTruth, Xywh


@dataclass(frozen=True)
class Patch:
    """A mask whose pixels outside a rectangle are 0: its corner (x0, y0) in the image, its pixels, their count."""

    x0: int
    y0: int
    pixels: Shaped[np.ndarray, "h w"]
    area: int


def paste(pixels: Shaped[np.ndarray, "h w"], xywh: Xywh, height: int, width: int) -> Patch:
    """A box's mask in its image: the corner cut to whole pixels, what lies outside box or image dropped."""
    x, y, w, h = xywh
    left, top = int(x), int(y)
    x0, x1 = max(left, 0), min(int(x + w), width, left + pixels.shape[1])
    y0, y1 = max(top, 0), min(int(y + h), height, top + pixels.shape[0])
    if x0 >= x1 or y0 >= y1:
        return Patch(0, 0, np.zeros((0, 0), dtype=bool), 0)
    inside = pixels[y0 - top : y1 - top, x0 - left : x1 - left]
    return Patch(x0, y0, inside, int(np.count_nonzero(inside)))


def silhouette_ious(
    detections: Sequence[Patch],
    truths: Sequence[Patch],
    crowd: Sequence[bool],
    wanted: Bool[np.ndarray, "D G"] | None = None,
) -> Float[np.ndarray, "D G"]:
    """Intersection over union; over the detection's area where the truth is a crowd; 0 without intersection.

    Pairs that are not `wanted` stay 0.
    """
    ious = np.zeros((len(detections), len(truths)))
    (left, top, right, bottom), (x0, y0, x1, y1) = _edges(detections), _edges(truths)
    left, top = np.maximum(left[:, None], x0), np.maximum(top[:, None], y0)
    right, bottom = np.minimum(right[:, None], x1), np.minimum(bottom[:, None], y1)
    overlap = (left < right) & (top < bottom)
    rows, columns = np.nonzero(overlap if wanted is None else overlap & wanted)
    rectangles = np.stack([box[rows, columns] for box in (left, top, right, bottom)], axis=1)
    for d, t, (x0, y0, x1, y1) in zip(rows.tolist(), columns.tolist(), rectangles.tolist(), strict=True):
        a, b = detections[d], truths[t]
        both = (
            a.pixels[y0 - a.y0 : y1 - a.y0, x0 - a.x0 : x1 - a.x0]
            & b.pixels[y0 - b.y0 : y1 - b.y0, x0 - b.x0 : x1 - b.x0]
        )
        common = int(np.count_nonzero(both))
        if common:
            ious[d, t] = common / (a.area if crowd[t] else a.area + b.area - common)
    return ious


def _edges(patches: Sequence[Patch]) -> Int64[np.ndarray, "4 N"]:
    rows = [(p.x0, p.y0, p.x0 + p.pixels.shape[1], p.y0 + p.pixels.shape[0]) for p in patches]
    return np.array(rows, dtype=np.int64).reshape(-1, 4).T


def truth_patch(truth: DensePoseTruth, height: int, width: int, *, corner_aligned: bool) -> Patch:
    """The silhouette of an annotation: its part masks if it has them, else its segmentation, else nothing.

    Args:
        truth: the annotation.
        height: of its image.
        width: of its image.
        corner_aligned: resize part masks as the reference evaluator does (the corner pixels' centres coincide), or
            with the edges of frame and box coinciding.

    Raises:
        AnnotationError: run lengths of another size than the image or the frame.
    """
    if truth.part_masks is not None:
        frame = union_of_part_masks(truth.part_masks, truth.id)
        w, h = max(truth.xywh[2], 1), max(truth.xywh[3], 1)
        pixels = enlarge_corner_aligned(frame, h, w) if corner_aligned else enlarge(frame, h, w)
        return paste(pixels, truth.xywh, height, width)
    mask = _decode_segmentation(truth, height, width)
    if mask is None:
        return Patch(0, 0, np.zeros((0, 0), dtype=bool), 0)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return Patch(0, 0, np.zeros((0, 0), dtype=bool), 0)
    pixels = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(bool)
    return Patch(int(columns[0]), int(rows[0]), pixels, int(np.count_nonzero(pixels)))


def union_of_part_masks(part_masks: Any, annotation_id: Any) -> UInt8[np.ndarray, "256 256"]:
    """The first 14 body-part masks of an annotation united; a single mask stands for itself."""
    from pycocotools import mask as coco_mask

    slots = [part_masks] if isinstance(part_masks, dict) else list(part_masks)[:N_MASKS]
    place = f"annotation {annotation_id}"
    codes = [part_runs(slot, place) for slot in slots if slot]
    if not codes:
        return np.zeros((SIDE, SIDE), dtype=np.uint8)
    return coco_mask.decode(coco_mask.merge(codes) if len(codes) > 1 else codes[0])


def enlarge_corner_aligned(
    frame: UInt8[np.ndarray, "256 256"], height: float, width: float
) -> Bool[np.ndarray, "h w"]:
    """`scipy.ndimage.zoom(frame, (height / 256, width / 256), order=1) > 0.5`, to the last bit, several times faster.

    Where the four neighbours agree the answer is theirs; only pixels on an edge are interpolated, with scipy's own
    order of operations. Positions that rounding puts past the last pixel are 0, as there.
    """
    import cv2

    y, x = (_axis(SIDE, round(SIDE * (float(side) / SIDE))) for side in (height, width))
    upright = frame.T  # pycocotools decodes column by column: whole lines are copied, first of x, then of y
    columns = upright.take(x.low, axis=0)
    columns |= _shifted(upright.take(x.after, axis=0), 2)
    columns = cv2.transpose(columns)
    corners = columns.take(
        y.low, axis=0
    )  # bits: the pixel, the one below, the one to the right, the one below that
    corners |= _shifted(columns, 1).take(y.after, axis=0)
    out = corners == 15
    edge = np.flatnonzero(corners - np.uint8(1) < 14)  # 0 - 1 is 255 here
    ys = edge // len(x.low)
    of, near_y, near_x = corners.take(edge), y.near.take(ys), x.near.take(edge - ys * len(x.low))
    far_y, far_x = 1.0 - near_y, 1.0 - near_x
    value = (of & 1) * near_y * near_x
    value += (of >> 2 & 1) * near_y * far_x
    value += (of >> 1 & 1) * far_y * near_x
    value += (of >> 3) * far_y * far_x
    out.ravel()[edge] = value > 0.5
    return out if y.whole and x.whole else out & (y.inside[:, None] & x.inside[None, :])


def enlarge(frame: UInt8[np.ndarray, "256 256"], height: float, width: float) -> Bool[np.ndarray, "h w"]:
    """The frame over a box of that size, edges on edges, bilinear, at least half."""
    import cv2

    size = (max(int(width), 1), max(int(height), 1))
    return cv2.resize(frame.astype(np.float32), size, interpolation=cv2.INTER_LINEAR) >= 0.5


@dataclass(frozen=True)
class _Axis:
    """Of each output pixel along one axis: the input pixels before and after it, and the weight of the former."""

    low: Int64[np.ndarray, " m"]
    after: Int64[np.ndarray, " m"]
    near: Float[np.ndarray, " m"]
    inside: Bool[np.ndarray, " m"]
    whole: bool  # all are inside


@lru_cache(maxsize=1024)
def _axis(n: int, count: int) -> _Axis:
    position = np.arange(count) * ((n - 1) / (count - 1) if count > 1 else 1.0)
    below = np.floor(position)
    low = np.minimum(below.astype(np.int64), n - 1)
    inside = position <= n - 1
    return _Axis(low, np.minimum(low + 1, n - 1), 1.0 - (position - below), inside, bool(inside.all()))


def _shifted(zeros_and_ones: UInt8[np.ndarray, "m n"], bits: int) -> UInt8[np.ndarray, "m n"]:
    """Each byte moved up by so many bits, eight at a time; the size is a multiple of eight."""
    eights = zeros_and_ones.reshape(-1).view(np.uint64)
    return (eights << np.uint64(bits)).view(np.uint8).reshape(zeros_and_ones.shape)


def _decode_segmentation(truth: DensePoseTruth, height: int, width: int) -> UInt8[np.ndarray, "H W"] | None:
    from pycocotools import mask as coco_mask

    segmentation = truth.segmentation
    if not segmentation:
        return None
    if isinstance(segmentation, list):
        code: Any = coco_mask.merge(coco_mask.frPyObjects(segmentation, height, width))
    else:
        if list(segmentation["size"]) != [height, width]:
            raise AnnotationError(
                f"a segmentation of size [{height}, {width}], its image's",
                f"{segmentation['size']} in annotation {truth.id}",
                "Encode the mask at the image's size.",
            )
        packed = isinstance(segmentation["counts"], list)
        code = coco_mask.frPyObjects(segmentation, height, width) if packed else segmentation
    return coco_mask.decode(code)
