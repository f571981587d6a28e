"""Geodesic error, ratio of correct points and left/right confusion of vertices at annotated points, from arrays.

The metrics that score a store's artifacts (`geodesic`, `rcp`, `left_right`) do the same on `ScoredPoints`.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from ..errors import AnnotationError
from .left_right import confused_points

CURVE_CM = (1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0)  # where tables show the RCP curve
MIN_PLANE_SHARE = 0.05  # of the diameter: nearer to the symmetry plane the sides do not differ


@dataclass(frozen=True)
class PointErrors:
    """Errors of P points on one mesh, in the unit of its geodesics; inf where there is no predicted vertex.

    `confused` is False for points that are not `sided`; both are None without a mirror table.
    """

    distance: Float32[np.ndarray, " P"]
    diameter: float
    sided: Bool[np.ndarray, " P"] | None = None
    confused: Bool[np.ndarray, " P"] | None = None


def point_errors(
    D: Float[np.ndarray, "V V"],
    true: Int[np.ndarray, " P"],
    predicted: Int[np.ndarray, " P"],
    diameter: float,
    mirror: Int[np.ndarray, " V"] | None = None,
) -> PointErrors:
    """Geodesic distance from true to predicted vertices (-1: none), and which points are on the wrong side.

    Args:
        D: geodesic distances; may be mapped from a file, only the rows in question are read.
        true: annotated vertices.
        predicted: predicted vertices, -1 for none.
        diameter: the largest geodesic distance.
        mirror: bilateral partner of each vertex.

    Raises:
        AnnotationError: a vertex that the mesh does not have.
    """
    check_mesh_vertices(true, 0, len(D), "annotated")
    check_mesh_vertices(predicted, -1, len(D), "predicted")
    distance = _look_up(D, true, predicted)
    if mirror is None:
        return PointErrors(distance, diameter)
    partner = mirror[true]
    sided = 0.5 * _look_up(D, true, partner) > MIN_PLANE_SHARE * diameter
    return PointErrors(
        distance, diameter, sided, sided & confused_points(distance, _look_up(D, partner, predicted))
    )


def check_mesh_vertices(vertex: Int[np.ndarray, " P"], lowest: int, n_vertices: int, what: str) -> None:
    """Refuse vertices outside [lowest, n_vertices).

    Raises:
        AnnotationError: there is one.
    """
    wrong = vertex[(vertex < lowest) | (vertex >= n_vertices)]
    if len(wrong):
        raise AnnotationError(
            f"{what} vertices in [{lowest}, {n_vertices}), -1 for none",
            str(wrong[0]),
            "Use the geodesics of the mesh that was annotated.",
        )


def check_mirror(mirror: np.ndarray, n_vertices: int, name: str) -> None:
    """Refuse what is no mirror table.

    Raises:
        AnnotationError: not one whole number in [0, V) a vertex.
    """
    if (
        mirror.shape != (n_vertices,)
        or mirror.dtype.kind not in "iu"
        or not 0 <= mirror.min() <= mirror.max() < n_vertices
    ):
        raise AnnotationError(
            f"the partner of each of the {n_vertices} vertices of {name}",
            f"{mirror.dtype} of shape {mirror.shape}",
            "Save the mirror table as a one-dimensional integer array.",
        )


def _look_up(
    D: Float[np.ndarray, "V V"], source: Int[np.ndarray, " P"], target: Int[np.ndarray, " P"]
) -> Float32[np.ndarray, " P"]:
    distance = np.full(len(source), np.inf, dtype=np.float32)
    known = target >= 0
    distance[known] = D[source[known], target[known]]
    return distance
