"""Meshes of implicit surfaces that are mirror images of themselves, with even triangles."""

from collections.abc import Callable

import numpy as np
import scipy.sparse
from jaxtyping import Float, Int

Implicit = Callable[[Float[np.ndarray, "P 3"]], Float[np.ndarray, " P"]]
MIRROR = np.array([-1.0, 1.0, 1.0])  # multiplies a point to reflect it in x = 0


def mirrored_marching_cubes(
    implicit: Implicit, low: tuple[float, float, float], high: tuple[float, float, float], spacing: float
) -> tuple[Float[np.ndarray, "V 3"], Int[np.ndarray, "F 3"], Int[np.ndarray, " V"]]:
    """Mesh the left half (x >= 0, a plane of grid nodes) of a symmetric shape and reflect it.

    Args:
        implicit: negative inside, about a distance near the surface; even in x.
        low: corner of the grid in metres, its x is 0.
        high: opposite corner.
        spacing: of the grid, metres.

    Returns:
        Vertices, faces (the second half mirrors the first, in order) and the mirror map.
    """
    from skimage.measure import marching_cubes

    axes = [np.arange(a, b, spacing) for a, b in zip(low, high, strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    values = implicit(grid.reshape(-1, 3)).reshape(grid.shape[:3])
    values[np.abs(values) < 1e-3 * spacing] = (
        1e-3 * spacing
    )  # no vertex exactly on a grid node: no zero-area faces
    half, faces, _, _ = marching_cubes(values, 0.0, spacing=(spacing,) * 3, gradient_direction="descent")
    half, faces = half.astype(np.float64) + np.array(low), faces.astype(np.int64)
    middle = half[:, 0] < 1e-6 * spacing
    half[middle, 0] = 0.0
    n = len(half)
    partner = np.arange(n)
    partner[~middle] = n + np.arange((~middle).sum())
    V = np.concatenate([half, half[~middle] * MIRROR])
    F = np.concatenate([faces, partner[faces][:, ::-1]])
    mirror = np.concatenate([partner, np.flatnonzero(~middle)])
    return V, F, mirror


def relax(
    V: Float[np.ndarray, "V 3"], F: Int[np.ndarray, "F 3"], mirror: Int[np.ndarray, " V"], implicit: Implicit
) -> Float[np.ndarray, "V 3"]:
    """Slide vertices along the surface towards the mean of their neighbours, then back onto the surface."""
    ends = np.concatenate([F[:, [0, 1]], F[:, [1, 2]], F[:, [2, 0]]])
    A = scipy.sparse.csr_matrix((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(len(V), len(V)))
    left = mirror >= np.arange(len(V))  # each pair once, middle vertices included
    step = 0.6 * ((A @ V) / np.asarray(A.sum(axis=1)) - V)[left]
    X, normal = V[left], _gradient(implicit, V[left])
    X = X + step - (step * normal).sum(axis=1, keepdims=True) * normal
    for _ in range(2):
        gradient = _gradient(implicit, X, unit=False)
        X = X - (implicit(X) / (gradient**2).sum(axis=1))[:, None] * gradient
    X[mirror[left] == np.flatnonzero(left), 0] = 0.0
    out = np.empty_like(V)
    out[mirror[left]] = X * MIRROR
    out[left] = X
    return out


def flip_edges(
    V: Float[np.ndarray, "V 3"],
    F: Int[np.ndarray, "F 3"],
    mirror: Int[np.ndarray, " V"],
) -> Int[np.ndarray, "F 3"]:
    """Flip edges of the left half whose opposite angles exceed 180 degrees, and mirror the faces."""
    faces = F[: len(F) // 2].copy()
    halves = np.concatenate(
        [faces[:, [1, 2, 0]], faces[:, [2, 0, 1]], faces]
    )  # edge start, end, opposite vertex
    owner = np.tile(np.arange(len(faces)), 3)
    ab, ac = V[halves[:, 0]] - V[halves[:, 2]], V[halves[:, 1]] - V[halves[:, 2]]
    angle = np.arctan2(np.linalg.norm(np.cross(ab, ac), axis=1), (ab * ac).sum(axis=1))
    key = np.sort(halves[:, :2], axis=1) @ np.array([len(V), 1])
    order = np.argsort(key, kind="stable")
    first = order[:-1][key[order[1:]] == key[order[:-1]]]
    second = order[1:][key[order[1:]] == key[order[:-1]]]
    total = angle[first] + angle[second]
    edges, touched = set(key.tolist()), np.zeros(len(faces), dtype=bool)
    for i in np.flatnonzero(total > np.pi + 1e-6)[np.argsort(-total[total > np.pi + 1e-6], kind="stable")]:
        f, g = owner[first[i]], owner[second[i]]
        (a, b, c), d = halves[first[i]], halves[second[i], 2]
        new = int(min(c, d)) * len(V) + int(max(c, d))
        if touched[f] or touched[g] or new in edges:
            continue
        faces[f], faces[g] = (c, a, d), (d, b, c)
        touched[f] = touched[g] = True
        edges.add(new)
    return np.concatenate([faces, mirror[faces][:, ::-1]])


def _gradient(implicit: Implicit, X: Float[np.ndarray, "P 3"], unit: bool = True) -> Float[np.ndarray, "P 3"]:
    h = 1e-4
    g = np.stack([implicit(X + h * e) - implicit(X - h * e) for e in np.eye(3)], axis=1) / (2 * h)
    return g / np.linalg.norm(g, axis=1, keepdims=True) if unit else g
