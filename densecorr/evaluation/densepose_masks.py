"""Silhouettes of DensePose scoring as clipped rectangles of pixels, and their IoU without full images.

The IoU equals pycocotools' on encoded full-size masks: both are one division of the same two counts.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Shaped, UInt8

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


def patch_iou(detection: Patch, truth: Patch, crowd: bool) -> float:
    """Intersection over union; over the detection's area where the truth is a crowd; 0 without intersection."""
    x0, y0 = max(detection.x0, truth.x0), max(detection.y0, truth.y0)
    x1 = min(detection.x0 + detection.pixels.shape[1], truth.x0 + truth.pixels.shape[1])
    y1 = min(detection.y0 + detection.pixels.shape[0], truth.y0 + truth.pixels.shape[0])
    if x0 >= x1 or y0 >= y1:
        return 0.0
    a = detection.pixels[y0 - detection.y0 : y1 - detection.y0, x0 - detection.x0 : x1 - detection.x0]
    b = truth.pixels[y0 - truth.y0 : y1 - truth.y0, x0 - truth.x0 : x1 - truth.x0]
    common = int(np.count_nonzero(a & b))
    if common == 0:
        return 0.0
    return common / (detection.area if crowd else detection.area + truth.area - common)


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
    codes = [part_runs(slot, f"annotation {annotation_id}") for slot in slots if slot]
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
    (y0, y1, wy, fy), (x0, x1, wx, fx) = (_axis(frame.shape[0], side) for side in (height, width))
    upright = frame.T  # pycocotools decodes column by column: whole lines are copied, first of x, then of y
    columns = np.ascontiguousarray((upright.take(x0, axis=0) + upright.take(x1, axis=0)).T)
    total = columns.take(y0, axis=0) + columns.take(y1, axis=0)  # 0..4 neighbours set
    out = total == 4
    edge = np.flatnonzero(total - np.uint8(1) < 3)  # 0 - 1 is 255 here
    ys, xs = np.divmod(edge, max(len(x0), 1))
    padded = np.zeros((SIDE + 1, SIDE + 1), dtype=np.uint8)  # the last pixels have a neighbour of weight 0
    padded[:SIDE, :SIDE] = upright
    flat, at = padded.ravel(), x0[xs] * (SIDE + 1) + y0[ys]
    wx, wy = wx[xs], wy[ys]
    near_x, near_y = 1.0 - wx, 1.0 - wy
    far_x, far_y = 1.0 - near_x, 1.0 - near_y
    value = flat.take(at) * near_y * near_x
    value += flat.take(at + SIDE + 1) * near_y * far_x
    value += flat.take(at + 1) * far_y * near_x
    value += flat.take(at + SIDE + 2) * far_y * far_x
    out.ravel()[edge] = value > 0.5
    return out & (fy[:, None] & fx[None, :]) if not (fy.all() and fx.all()) else out


def enlarge(frame: UInt8[np.ndarray, "256 256"], height: float, width: float) -> Bool[np.ndarray, "h w"]:
    """The frame over a box of that size, edges on edges, bilinear, at least half."""
    import cv2

    size = (max(int(width), 1), max(int(height), 1))
    return cv2.resize(frame.astype(np.float32), size, interpolation=cv2.INTER_LINEAR) >= 0.5


def _axis(
    n: int, side: float
) -> tuple[np.ndarray, np.ndarray, Float[np.ndarray, " m"], Bool[np.ndarray, " m"]]:
    """Of each output pixel along one axis: the two input pixels, how far between them it lies, whether it is inside."""
    count = round(n * (float(side) / n))
    position = np.arange(count) * ((n - 1) / (count - 1) if count > 1 else 1.0)
    below = np.floor(position)
    inside = position <= n - 1
    low = np.minimum(below.astype(np.int64), n - 1)
    return low, np.minimum(low + 1, n - 1), position - below, inside


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
