"""The coarse level: a few thousand well-spread vertices that stand for the full mesh in quick training."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int


@dataclass(frozen=True)
class CoarseLevel:
    """Farthest-point samples, the map from every vertex to its nearest sample, and distances between samples.

    `coarse` (C,) vertex ids in the order they were chosen (a prefix is a coarser level); `to_coarse` (V,)
    index into `coarse`; `coarse_D` (C, C) the mean of both directions, in the unit of the mesh; `diameter`
    the largest mean of both directions that was seen: the maximum over samples, then swept from its two ends.
    """

    coarse: Int[np.ndarray, " C"]
    to_coarse: Int[np.ndarray, " V"]
    coarse_D: Float[np.ndarray, "C C"]
    diameter: float


def build_coarse_level(
    distances: Callable[[int], Float[np.ndarray, " V"]], n_coarse: int, mirror: Int[np.ndarray, " V"]
) -> CoarseLevel:
    """Choose vertices by farthest-point sampling, one solve each, together with mirror partners.

    A sample and its partner (where the two name each other) enter together, so that a symmetric template's
    coarse level is symmetric. With one place left, a vertex that is its own partner takes it, or nobody.
    `n_coarse >= V` takes every vertex, in order. Distances may be infinite (several components): each
    component gets a sample first, and the diameter is the largest finite distance.

    Args:
        distances: distance from a vertex to all vertices.
        n_coarse: samples wanted, C.
        mirror: bilateral partner of every vertex.

    Source: Gonzalez 1985 (farthest-point sampling); the double sweep is the usual lower bound of a diameter.
    """
    n = len(mirror)
    if n_coarse >= n:
        D = np.stack([distances(vertex).astype(np.float32) for vertex in range(n)])
        D = 0.5 * (D + D.T)
        everything = np.arange(n)
        return CoarseLevel(everything, everything.copy(), D, _largest(D)[0])
    samples: list[int] = []
    rows = np.empty((n_coarse, n), dtype=np.float32)
    nearest, owner = np.full(n, np.inf), np.zeros(n, dtype=np.int64)
    closed = np.zeros(n, dtype=bool)  # vertices that cannot be chosen (any more)
    paired = (mirror[mirror] == np.arange(n)) & (mirror != np.arange(n))
    first = distances(0)
    candidate = int(np.where(np.isfinite(first), first, -1.0).argmax())
    while True:
        partners = [candidate, int(mirror[candidate])] if paired[candidate] and n_coarse > 1 else [candidate]
        for vertex in partners:
            row = distances(vertex)
            rows[len(samples)] = row
            closer = row < nearest
            closer[vertex] = True  # a sample stands for itself, also on top of another one
            nearest[closer], owner[closer] = row[closer], len(samples)
            samples.append(vertex)
            closed[vertex] = True
        if len(samples) == n_coarse - 1:
            closed |= paired
        spread = np.where(closed, -1.0, nearest)
        candidate = int(spread.argmax())
        if len(samples) == n_coarse or spread[candidate] < 0.0:
            break
    coarse = np.array(samples, dtype=np.int64)
    D = rows[: len(coarse), coarse]
    D = 0.5 * (D + D.T)
    diameter = _sweep_diameter(distances, coarse, D)
    return CoarseLevel(coarse, owner, D, diameter)


def _largest(D: Float[np.ndarray, "N M"]) -> tuple[float, int, int]:
    """Largest finite entry and its place."""
    finite = np.where(np.isfinite(D), D, -1.0)
    i, j = np.unravel_index(finite.argmax(), D.shape)
    return float(finite[i, j]), int(i), int(j)


def _sweep_diameter(
    distances: Callable[[int], Float[np.ndarray, " V"]],
    coarse: Int[np.ndarray, " C"],
    D: Float[np.ndarray, "C C"],
) -> float:
    """From the farthest two samples walk to ever farther pairs of vertices until none is farther."""
    diameter, i, j = _largest(D)
    for start in {int(coarse[i]), int(coarse[j])}:
        row = distances(start)
        while True:
            end = _largest(row[None])[2]
            back = distances(end)
            mean = 0.5 * (row[end] + back[start])
            if mean <= diameter:
                break
            diameter, start, row = float(mean), end, back
    return diameter
