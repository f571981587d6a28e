"""How alike an image is, at some of its points, to every vertex of a template: what a label was chosen by."""

import numpy as np
import torch
from jaxtyping import Float, Float32, Int, UInt8

from ..images import to_crop
from ..view_matching import UNSEEN, Pooling, pool_vertices
from .lift import nearest_cells
from .zero_shot import InstanceScores, narrow


def score_points(
    scores: InstanceScores,
    xy: Float[np.ndarray, "P 2"],
    pooling: Pooling,
    columns: Int[np.ndarray, " C"] | None = None,
) -> Float32[np.ndarray, "P C"]:
    """Pooled similarity of each point with each matched vertex, `UNSEEN` where no view sees it.

    Args:
        scores: of the instance.
        xy: full-image pixels; each takes the nearest foreground cell's answer, as in `predict_points`.
        pooling: over views.
        columns: indices in [0, K) of the vertices that are asked for; all by default.
    """
    views = scores.views
    scores, rule = narrow(scores, pooling)
    kept = None if columns is None else torch.from_numpy(columns).to(views.rows.device)
    if not len(xy):
        return np.zeros((0, len(views.vertices) if columns is None else len(columns)), np.float32)
    cell, back = np.unique(nearest_cells(to_crop(xy, scores.frame), scores.centers), return_inverse=True)
    picked, found = torch.from_numpy(cell).to(views.rows.device), []
    for start, block in scores.similarity.blocks():
        inside = picked[(picked >= start) & (picked < start + len(block))]
        if len(inside):
            found.append(pool_vertices(block[inside - start], scores.views, rule, kept).cpu())
    return torch.cat(found).numpy().astype(np.float32)[back]


def quantise_scores(
    scores: Float32[np.ndarray, "P C"],
) -> tuple[UInt8[np.ndarray, "P C"], Float32[np.ndarray, "P 2"]]:
    """Scores as bytes, each point's own least and largest score stretched linearly over 1..255; 0 is `UNSEEN`.

    Returns:
        The bytes, and the least and largest score of each point.
    """
    seen = scores > UNSEEN
    low = np.min(scores, axis=1, where=seen, initial=1.0)
    high = np.max(scores, axis=1, where=seen, initial=-1.0)
    width = np.maximum(high - low, 1e-6)
    levels = 1 + np.rint(254 * (scores - low[:, None]) / width[:, None])
    return np.where(seen, levels, 0).clip(0, 255).astype(np.uint8), np.stack([low, high], axis=1)
