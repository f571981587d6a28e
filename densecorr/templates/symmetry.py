"""The bilateral symmetry of a template: its plane, and for each vertex the one on the other side.

Source: SHIC, sec. 7.1 (the plane is the best of the three axis mirrors, the partner the nearest mirrored
vertex). Beyond the paper: a tilted plane is taken when it fits clearly better, and where the mesh allows it
the partners are made an involution, so that a left hand's vertex and its right partner name each other.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import trimesh
from jaxtyping import Float, Int
from scipy.spatial import KDTree

SymmetryAxis = Literal["auto", "x", "y", "z"]

_CLEARLY_LOWER = 0.8
"""A tilted plane replaces the axis mirror if its summed distance is below this share of the other's."""

_ICP_STEPS = 20
_N_SEEDS = 50


@dataclass(frozen=True)
class Symmetry:
    """A mirror plane `normal @ x = offset` and the vertex partners across it.

    `residual` is the mean distance of the mirrored vertices to the surface, in the unit of V.
    """

    mirror: Int[np.ndarray, " V"]
    residual: float
    normal: Float[np.ndarray, " 3"]
    offset: float
    is_involution: bool


def find_symmetry(
    V: Float[np.ndarray, "V 3"],
    F: Int[np.ndarray, "F 3"],
    mass: Float[np.ndarray, " V"],
    axis: SymmetryAxis = "auto",
) -> Symmetry:
    """Find the mirror plane and each vertex's partner.

    Args:
        V: vertices.
        F: faces.
        mass: vertex areas; the mesh is centred at its area's centroid, which uneven sampling does not move.
        axis: the plane's normal, or `auto`: the axis with the least summed nearest-neighbour distance (x
            first if equal), or a plane refined from it or from the principal axes if that is clearly better.
    """
    centre = mass @ V / mass.sum()
    tree = KDTree(V)
    axes = np.eye(3) if axis == "auto" else np.eye(3)["xyz".index(axis)][None]
    planes = [(normal, float(normal @ centre)) for normal in axes]
    sums = [_summed_distance(V, tree, plane) for plane in planes]
    negligible = 1e-9 * len(V) * float(np.linalg.norm(np.ptp(V, axis=0)))
    best = next(i for i, value in enumerate(sums) if value <= min(sums) * (1 + 1e-6) + negligible)
    plane = planes[best]
    if axis == "auto" and sums[best] > 1e4 * negligible:
        plane = _refine_plane(V, tree, mass, plane, sums[best])
    normal, offset = plane
    mirrored = reflect(V, normal, offset)
    mirror = _pair_vertices(V, F, mirrored, tree)
    return Symmetry(
        mirror=mirror,
        residual=float(distance_to_surface(mirrored, V, F, tree).mean()),
        normal=normal,
        offset=offset,
        is_involution=bool((mirror[mirror] == np.arange(len(V))).all()),
    )


def reflect(
    X: Float[np.ndarray, "P 3"], normal: Float[np.ndarray, " 3"], offset: float
) -> Float[np.ndarray, "P 3"]:
    """Mirror points across the plane `normal @ x = offset` (unit normal)."""
    return X - 2.0 * (X @ normal - offset)[:, None] * normal


def distance_to_surface(
    X: Float[np.ndarray, "P 3"],
    V: Float[np.ndarray, "V 3"],
    F: Int[np.ndarray, "F 3"],
    tree: KDTree | None = None,
) -> Float[np.ndarray, " P"]:
    """Distance of points near a surface to it: to the faces round the two nearest vertices.

    An upper bound of the true distance, and equal to it unless triangles are much longer than they are far
    away.
    """
    order = np.argsort(
        F.ravel(), kind="stable"
    )  # faces by vertex: those of v are order[start[v]:start[v + 1]] // 3
    start = np.concatenate([[0], np.cumsum(np.bincount(F.ravel(), minlength=len(V)))])
    _, near = (tree or KDTree(V)).query(X, k=min(2, len(V)))
    near = near.reshape(len(X), -1)
    n_faces = (start[near + 1] - start[near]).ravel()
    point = np.repeat(np.repeat(np.arange(len(X)), near.shape[1]), n_faces)
    within = np.arange(n_faces.sum()) - np.repeat(np.cumsum(n_faces) - n_faces, n_faces)
    face = order[np.repeat(start[near].ravel(), n_faces) + within] // 3
    closest = trimesh.triangles.closest_point(V[F[face]], X[point])
    distance = np.full(len(X), np.inf)
    np.minimum.at(distance, point, np.linalg.norm(closest - X[point], axis=1))
    return distance


def _summed_distance(V: Float[np.ndarray, "V 3"], tree: KDTree, plane: tuple[np.ndarray, float]) -> float:
    return float(tree.query(reflect(V, *plane))[0].sum())


def _refine_plane(
    V: Float[np.ndarray, "V 3"],
    tree: KDTree,
    mass: Float[np.ndarray, " V"],
    axis_plane: tuple[np.ndarray, float],
    axis_sum: float,
) -> tuple[np.ndarray, float]:
    """Fit a plane by iterated nearest neighbours, from the axis and the principal axes; keep the best.

    For fixed partners u of v the least-squares plane is in closed form: the sum of `|u - reflect(v)|^2` is,
    but for a constant, 4 times the sum of `(n @ v - c) (n @ u - c)`, so c is the mean's and n the eigenvector
    of least eigenvalue of the symmetrised cross-covariance of v and u.
    """
    centre = mass @ V / mass.sum()
    _, principal = np.linalg.eigh(((V - centre) * mass[:, None]).T @ (V - centre))
    best, best_sum = axis_plane, _CLEARLY_LOWER * axis_sum
    for normal, offset in [axis_plane, *((axis, float(axis @ centre)) for axis in principal.T)]:
        for _ in range(_ICP_STEPS):
            U = V[tree.query(reflect(V, normal, offset))[1]]
            middle = mass @ (V + U) / (2.0 * mass.sum())
            covariance = ((V - middle) * mass[:, None]).T @ (U - middle)
            previous, normal = normal, np.linalg.eigh(covariance + covariance.T)[1][:, 0]
            normal = normal * np.sign(normal[np.abs(normal).argmax()])
            offset = float(normal @ middle)
            if abs(previous @ normal) > 1.0 - 1e-12:
                break
        total = _summed_distance(V, tree, (normal, offset))
        if total < best_sum:
            best, best_sum = (normal, offset), total
    return best


def _pair_vertices(
    V: Float[np.ndarray, "V 3"], F: Int[np.ndarray, "F 3"], mirrored: Float[np.ndarray, "V 3"], tree: KDTree
) -> Int[np.ndarray, " V"]:
    """Nearest mirrored vertices, made an involution where the mesh is symmetric.

    If nearest neighbours do not name each other everywhere, the triangles decide: a mesh whose connectivity
    is its own mirror image has exact partners, also where its shape is a few millimetres off. Failing that,
    vertices left without a partner look for one among themselves; who finds none within an edge length keeps
    the nearest.
    """
    distance, nearest = (np.asarray(part) for part in tree.query(mirrored))
    mutual = nearest[nearest] == np.arange(len(V))
    if mutual.all():
        return nearest
    edge = float(np.linalg.norm(V[F[:, 0]] - V[F[:, 1]], axis=1).mean())
    for walked in _walk_mirrored_faces(F, nearest, mutual, distance):
        away = np.linalg.norm(mirrored - V[walked], axis=1)
        if (walked[walked] == np.arange(len(V))).all() and (away <= distance + 2.0 * edge).all():
            return walked
    mirror, left = nearest.copy(), np.flatnonzero(~mutual)
    while left.size:
        away, among = (np.asarray(part) for part in KDTree(V[left]).query(mirrored[left]))
        found = (among[among] == np.arange(len(left))) & (away <= distance[left] + edge)
        if not found.any():
            break
        mirror[left[found]] = left[among[found]]
        left = left[~found]
    return mirror


def _walk_mirrored_faces(
    F: Int[np.ndarray, "F 3"],
    nearest: Int[np.ndarray, " V"],
    mutual: np.ndarray,
    distance: Float[np.ndarray, " V"],
) -> Iterator[Int[np.ndarray, " V"]]:
    """The mirror images of the connectivity that agree with a well-fitting edge, best first.

    An orientation-reversing symmetry of a connected triangulation is settled by the image of one edge: walk
    from face to face on both sides at once. Tried from the `_N_SEEDS` edges whose ends fit best.
    """
    opposite = {(int(a), int(b)): int(c) for k in range(3) for a, b, c in np.roll(F, k, axis=1)}
    fits = mutual[F[:, 0]] & mutual[F[:, 1]] & (nearest[F[:, 0]] != nearest[F[:, 1]])
    seeds = F[fits, :2]
    seeds = seeds[np.argsort(distance[seeds].max(axis=1), kind="stable")[:_N_SEEDS]]
    for a, b in seeds.tolist():
        image = {a: int(nearest[a]), b: int(nearest[b])}
        stack, seen, agrees = [(a, b), (b, a)], set(), True
        while stack and agrees:
            half_edge = stack.pop()
            if half_edge in seen or half_edge not in opposite:
                continue
            seen.add(half_edge)
            u, v = half_edge
            apex, other = opposite[half_edge], opposite.get((image[v], image[u]))
            agrees = other is not None and image.setdefault(apex, other) == other
            stack += [(apex, v), (u, apex)]
        if agrees and len(image) == len(nearest):
            yield np.array([image[vertex] for vertex in range(len(nearest))], dtype=np.int64)
