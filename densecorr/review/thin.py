"""Fewer points of a label set, spread over it: what a person can look at."""

from dataclasses import replace

import numpy as np
from jaxtyping import Float, Int

from densecorr.records import LabelRecord

_COLUMNS = ("x", "y", "vertex", "score", "margin", "cycle_px", "expected_error", "part", "u", "v", "visible")


def farthest_first(xy: Float[np.ndarray, "n 2"], k: int) -> Int[np.ndarray, " k"]:
    """Places of min(n, k) points: the one nearest to the mean, then always the one farthest from those taken.

    Source: Gonzalez 1985, the greedy 2-approximation of the k-centre problem.
    """
    if not len(xy) or k <= 0:
        return np.zeros(0, dtype=np.int64)
    taken = [int(np.argmin(np.square(xy - xy.mean(axis=0)).sum(axis=1)))]
    nearest = np.square(xy - xy[taken[0]]).sum(axis=1)
    for _ in range(min(k, len(xy)) - 1):
        taken.append(int(np.argmax(nearest)))
        nearest = np.minimum(nearest, np.square(xy - xy[taken[-1]]).sum(axis=1))
    return np.array(taken, dtype=np.int64)


def thin_label(label: LabelRecord, n: int, label_id: str) -> LabelRecord:
    """At most n points with a vertex, spread over the image of the object, in their order; ids of points are kept.

    Args:
        label: the label set.
        n: points.
        label_id: of the result.
    """
    known = np.flatnonzero(np.asarray(label.vertex) >= 0)
    xy = np.stack([label.x, label.y], axis=1).astype(np.float64)
    kept = known[np.sort(farthest_first(xy[known], n))]
    ids = np.arange(len(label.x)) if label.point_ids is None else label.point_ids
    columns = {name: getattr(label, name) for name in _COLUMNS} | {"point_ids": ids}
    thinned = {name: None if one is None else np.asarray(one)[kept] for name, one in columns.items()}
    return replace(label, label_id=label_id, **thinned)
