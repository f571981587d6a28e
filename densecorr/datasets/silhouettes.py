"""Silhouettes for instances that a data set gives only a box for."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, UInt8

from ..errors import ImageError

Xywh = tuple[float, float, float, float]
MAX_ENLARGEMENT = 4.0


@dataclass(frozen=True)
class GrabCut:
    """How GrabCut runs.

    Attributes:
        iterations: rounds of estimating colours and cutting.
        margin: surroundings taken as background, as a share of the box on every side.
        max_side: the crop is resized to this many pixels first (longer side), small ones to four times their
            size at most: time grows with the area, and thin parts of small objects vanish.
        seed: of the colour clustering's start.
    """

    iterations: int = 5
    margin: float = 0.3
    max_side: int = 400
    seed: int = 0


def grabcut_silhouette(
    image: UInt8[np.ndarray, "H W 3"], xywh: Xywh, settings: GrabCut | None = None
) -> tuple[Bool[np.ndarray, "H W"], Literal["grabcut", "box"]]:
    """Cut the object in a COCO box out by its colours (Rother et al. 2004, OpenCV's implementation).

    Outside the box is background. Inside it, the inscribed ellipse starts as probable object and the corners
    as probable background: tight boxes of animals are mostly background, and without that start a small object
    is lost in it. Of what is found, pieces of less than a tenth of the largest one's size are dropped and holes
    of less than a hundredth of it closed.

    Returns:
        The silhouette, and how it was made: "grabcut", or "box" when GrabCut finds nothing: then it is the
        ellipse inside the box.

    Raises:
        ImageError: the box and the image do not overlap.
    """
    import cv2

    settings = settings or GrabCut()
    height, width = image.shape[:2]
    x0, y0, x1, y1 = _pixels(xywh, height, width)
    if x0 >= x1 or y0 >= y1:
        raise ImageError(
            "a box inside the image",
            f"{xywh} in {width} x {height}",
            "Correct the box or leave the instance out.",
        )
    reach = int(np.ceil(settings.margin * max(x1 - x0, y1 - y0)))
    left, top = max(x0 - reach, 0), max(y0 - reach, 0)
    right, bottom = min(x1 + reach, width), min(y1 + reach, height)
    crop = image[top:bottom, left:right]
    scale = min(MAX_ENLARGEMENT, settings.max_side / max(crop.shape[:2]))
    size = (max(1, round(crop.shape[1] * scale)), max(1, round(crop.shape[0] * scale)))
    state = np.full(crop.shape[:2], cv2.GC_BGD, dtype=np.uint8)
    state[y0 - top : y1 - top, x0 - left : x1 - left] = cv2.GC_PR_BGD
    ellipse = _ellipse((xywh[0] - left, xywh[1] - top, xywh[2], xywh[3]), *crop.shape[:2])
    state[ellipse] = cv2.GC_PR_FGD
    state = cv2.resize(state, size, interpolation=cv2.INTER_NEAREST)
    method = cv2.INTER_AREA if scale < 1.0 else cv2.INTER_CUBIC
    found = _cut(cv2.resize(crop, size, interpolation=method), state, settings)
    silhouette = np.zeros((height, width), dtype=bool)
    if found is None:
        return _ellipse(xywh, height, width), "box"
    grey = cv2.resize(found.astype(np.uint8) * 255, crop.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    inside = slice(y0, y1), slice(x0, x1)
    silhouette[inside] = grey[y0 - top : y1 - top, x0 - left : x1 - left] >= 128
    if not silhouette.any():
        return _ellipse(xywh, height, width), "box"
    return silhouette, "grabcut"


def _pixels(xywh: Xywh, height: int, width: int) -> tuple[int, int, int, int]:
    """The pixels a COCO box touches, clipped to the image: first and past-last column and row."""
    x, y, w, h = xywh
    x0, y0 = int(np.clip(np.floor(x), 0, width)), int(np.clip(np.floor(y), 0, height))
    return x0, y0, int(np.clip(np.ceil(x + w), 0, width)), int(np.clip(np.ceil(y + h), 0, height))


def _cut(
    crop: UInt8[np.ndarray, "h w 3"], state: UInt8[np.ndarray, "h w"], settings: GrabCut
) -> Bool[np.ndarray, "h w"] | None:
    import cv2

    is_object = state == cv2.GC_PR_FGD
    if is_object.all() or not is_object.any():
        return None  # nothing to learn the one or the other from: OpenCV would raise
    cv2.setRNGSeed(settings.seed)
    bgr = np.ascontiguousarray(crop[..., ::-1])
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(bgr, state, (0, 0, 0, 0), *models, settings.iterations, cv2.GC_INIT_WITH_MASK)
    found = (state == cv2.GC_FGD) | (state == cv2.GC_PR_FGD)
    return _tidy(found) if found.any() else None


def _tidy(found: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Without specks and pinholes."""
    import cv2

    _, pieces, stats, _ = cv2.connectedComponentsWithStats(found.astype(np.uint8))
    areas = stats[:, cv2.CC_STAT_AREA]
    largest = areas[1:].max()
    keep = areas >= 0.1 * largest
    keep[0] = False
    found = keep[pieces]
    _, holes, stats, _ = cv2.connectedComponentsWithStats((~found).astype(np.uint8))
    small = stats[:, cv2.CC_STAT_AREA] < 0.01 * largest
    small[0] = False
    return found | small[holes]


def _ellipse(xywh: Xywh, height: int, width: int) -> Bool[np.ndarray, "H W"]:
    x, y, w, h = xywh
    ys, xs = np.mgrid[:height, :width]
    return ((xs + 0.5 - x - w / 2) / max(w / 2, 0.5)) ** 2 + (
        (ys + 0.5 - y - h / 2) / max(h / 2, 0.5)
    ) ** 2 <= 1
