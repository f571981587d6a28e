"""Boxes (COCO: x, y, width, height in edges): clipping and overlap."""

from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int


def clip_boxes(xywh: Float[np.ndarray, "N 4"], height: int, width: int) -> Float[np.ndarray, "N 4"]:
    """The part of each box inside the image; zero or negative sides for one that lies beside it."""
    corner = np.maximum(xywh[:, :2], 0.0)
    far = np.minimum(xywh[:, :2] + xywh[:, 2:], [width, height])
    return np.concatenate([corner, far - corner], axis=1)


def usable_boxes(xywh: Float[np.ndarray, "N 4"]) -> Bool[np.ndarray, " N"]:
    """Which boxes are finite and at least a pixel wide and high."""
    return np.all(np.isfinite(xywh), axis=1) & np.all(xywh[:, 2:] >= 1.0, axis=1)


def best_boxes(
    xywh: Float[np.ndarray, "N 4"], score: Float[np.ndarray, " N"], nms: float
) -> Int[np.ndarray, " K"]:
    """Non-maximum suppression: indices of the boxes kept, best score first."""
    import cv2

    kept = cv2.dnn.NMSBoxes(xywh.tolist(), score.tolist(), score_threshold=0.0, nms_threshold=nms)
    return np.asarray(kept, dtype=np.int64).reshape(-1)


def overlap(
    xywh: Float[np.ndarray, "N 4"], others: Float[np.ndarray, "M 4"], is_crowd: Bool[np.ndarray, " M"]
) -> Float[np.ndarray, "N M"]:
    """Intersection over union of each pair; with a crowd box, over the area of the first (COCO's rule)."""
    from pycocotools import mask as coco_mask

    if not len(xywh) or not len(others):
        return np.zeros((len(xywh), len(others)))
    iou: Any = coco_mask.iou  # its stub forgets arrays of boxes
    return np.asarray(
        iou(xywh.astype(np.float64), others.astype(np.float64), is_crowd.astype(np.uint8).tolist())
    )
