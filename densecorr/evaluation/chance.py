"""The floor: a uniformly random vertex for each point, a random silhouette pixel for each vertex."""

import hashlib

import numpy as np

from .instances import InstanceTruth, PointPrediction, silhouette_of


def predict_by_chance(truth: InstanceTruth, n_vertices: int, seed: int) -> PointPrediction:
    """A blind guess for one instance; the draw depends on the seed and the instance's id only.

    Pixels are drawn from the true silhouette, or from the box where there is none.
    """
    key = int.from_bytes(hashlib.sha256(truth.instance_id.encode()).digest()[:8], "big")
    rng = np.random.default_rng([seed, key])
    n_points = len(truth.vertex)
    vertex = rng.integers(0, n_vertices, size=n_points)
    silhouette = silhouette_of(truth)
    if silhouette is not None and silhouette.any():
        ys, xs = np.nonzero(silhouette)
        drawn = rng.integers(0, len(xs), size=n_points)
        xy = np.stack([xs[drawn], ys[drawn]], axis=1).astype(np.float64)
    else:
        x, y, w, h = truth.xywh
        xy = np.array([x, y]) - 0.5 + rng.random((n_points, 2)) * np.array([w, h])
    return PointPrediction(truth.instance_id, vertex, xy, 0.0, np.ones(n_points, dtype=bool))
