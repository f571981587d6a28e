"""Errors of points as a map on the surface: where annotators, or label sets, are wrong.

Source: R. A. Guler's thesis, sec. 4.2.2 and Fig. 4.4: errors of sampled points are interpolated over the surface and
averaged over the images. The interpolation is not stated there; here it is a kernel regression on geodesic distances.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from densecorr.evaluation.scored import GeodesicRows


@dataclass(frozen=True)
class ErrorMap:
    """Mean error of each vertex, in the template's unit (NaN: too few points near), and how many points support it."""

    error: Float[np.ndarray, " V"]
    support: Float[np.ndarray, " V"]


def error_map(
    true: Int[np.ndarray, " P"],
    error: Float[np.ndarray, " P"],
    rows: GeodesicRows,
    n_vertices: int,
    bandwidth: float,
    least_support: float = 1.0,
    chunk: int = 256,
) -> ErrorMap:
    """Errors at points of the surface as a mean around every vertex.

    error(v) = sum_p k(v, p) e_p / sum_p k(v, p) with k = exp(-d(v, p)^2 / (2 bandwidth^2)): the kernel regression of
    Nadaraya and Watson (1964) on geodesic distances; the support is the sum of k, so a point at v itself counts one.

    Args:
        true: the points' true vertices.
        error: their errors, finite.
        rows: geodesic distances.
        n_vertices: of the template.
        bandwidth: in the unit of `rows`.
        least_support: below it, the error is NaN.
        chunk: rows at a time.
    """
    vertices, of = np.unique(true, return_inverse=True)
    count = np.bincount(of, minlength=len(vertices)).astype(np.float64)
    total = np.bincount(of, weights=error, minlength=len(vertices))
    support, weighted = np.zeros(n_vertices), np.zeros(n_vertices)
    for start in range(0, len(vertices), chunk):
        part = slice(start, start + chunk)
        kernel = np.exp(-(np.square(np.asarray(rows(vertices[part]), dtype=np.float64))) / (2 * bandwidth**2))
        support += count[part] @ kernel
        weighted += total[part] @ kernel
    enough = support >= least_support
    return ErrorMap(
        np.divide(weighted, support, out=np.full(n_vertices, np.nan), where=enough & (support > 0)), support
    )
