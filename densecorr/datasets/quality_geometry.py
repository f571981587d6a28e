"""Small geometry of the data checks: boxes, distances to a mask, sides of a template."""

import numpy as np
from jaxtyping import Bool, Float, Int

Box = tuple[float, float, float, float]


def vertex_sides(
    V: Float[np.ndarray, "V 3"], plane: Float[np.ndarray, " 4"], margin: float = 0.05
) -> Int[np.ndarray, " V"]:
    """1 for a vertex on the subject's left, -1 on its right, 0 within `margin` of the half width of the mirror plane.

    `plane` is a unit normal and an offset, `normal @ x = offset`; the subject's left is +x.
    """
    away = (V @ plane[:3] - plane[3]) * (1.0 if plane[0] >= 0 else -1.0)
    return np.where(np.abs(away) < margin * np.abs(away).max(), 0, np.sign(away)).astype(np.int64)


def distance_to_mask(xy: Float[np.ndarray, "P 2"], mask: Bool[np.ndarray, "H W"]) -> Float[np.ndarray, " P"]:
    """Distance (pixels) of each point's pixel to the nearest pixel of the mask; 0 inside."""
    from scipy.spatial import cKDTree

    ys, xs = np.nonzero(mask)
    return np.asarray(cKDTree(np.stack([xs, ys], axis=1)).query(np.rint(xy))[0], dtype=np.float64)


def box_iou(a: Box, b: Box) -> float:
    """Intersection over union of two COCO boxes; 0 where both are empty."""
    sides = [min(a[i] + a[i + 2], b[i] + b[i + 2]) - max(a[i], b[i]) for i in (0, 1)]
    both = max(0.0, sides[0]) * max(0.0, sides[1])
    union = a[2] * a[3] + b[2] * b[3] - both
    return float(both / union) if union > 0 else 0.0


def nearest_distances(
    points: Float[np.ndarray, "P 2"], others: Float[np.ndarray, "Q 2"]
) -> Float[np.ndarray, " P"]:
    """Distance of each point to the nearest of the others; infinite where there are none."""
    if not len(others):
        return np.full(len(points), np.inf)
    return np.linalg.norm(points[:, None] - others[None], axis=2).min(axis=1)
