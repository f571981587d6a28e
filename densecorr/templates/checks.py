"""What is wrong with a mesh, said before hours of work, each problem with its remedy."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from .mesh import METRES, Unit, check_arrays, count_edges

PLAUSIBLE_METRES = (0.02, 30.0)
"""Longest side of a plausible animal, person or vehicle; outside, the unit is probably wrong."""

_REPAIR = "Repair the mesh (`repair_mesh`, or `repair = true` in the template settings)"


@dataclass(frozen=True)
class MeshProblem:
    """One finding; an `error` makes the mesh unusable as a template, a `warning` limits it."""

    kind: str
    severity: Literal["error", "warning"]
    found: str
    remedy: str

    def __str__(self) -> str:
        """One line."""
        return f"{self.severity}: {self.found}. {self.remedy}."


@dataclass(frozen=True)
class MeshReport:
    """Counts, sizes and problems of one mesh, in the unit of V; `str()` is for people."""

    n_vertices: int
    n_faces: int
    n_edges: int
    n_components: int
    n_boundary_edges: int
    euler_characteristic: int
    is_closed: bool
    is_oriented: bool
    area: float
    volume: float
    size: tuple[float, float, float]
    unit: str
    problems: tuple[MeshProblem, ...]

    @property
    def is_usable(self) -> bool:
        """No problem is an error."""
        return all(problem.severity != "error" for problem in self.problems)

    def __str__(self) -> str:
        """Facts first, then a line a problem."""
        size = " x ".join(f"{side:.4g}" for side in self.size)
        lines = [
            f"{self.n_vertices} vertices, {self.n_faces} faces, {self.n_components} component(s), "
            f"Euler characteristic {self.euler_characteristic}",
            f"{'closed' if self.is_closed else f'open ({self.n_boundary_edges} boundary edges)'}, "
            f"{'consistently wound' if self.is_oriented else 'inconsistently wound'}, "
            f"bounding box {size} {self.unit if self.unit != 'none' else '(no unit)'}",
        ]
        return "\n".join(lines + [str(problem) for problem in self.problems])


def check_mesh(V: Float[np.ndarray, "V 3"], F: Int[np.ndarray, "F 3"], unit: Unit = "m") -> MeshReport:
    """Examine a mesh: closed, oriented, in one piece, no degenerate or repeated parts, a plausible size.

    Args:
        V: vertices in `unit`.
        F: faces, meant to be counter-clockwise from outside.
        unit: what the numbers of V are; `none` skips the check of the size.

    Raises:
        MeshError: the arrays are no mesh at all (empty, not finite, index out of range).
    """
    check_arrays(V, F)
    edges, count = count_edges(F)
    used = np.bincount(F.ravel(), minlength=len(V)) > 0
    label = component_labels(len(V), F)
    n_components = len(np.unique(label[used]))
    is_closed, is_oriented = bool((count == 2).all()), bool(_count_misoriented(F) == 0)
    volume = signed_volume(V, F)
    size = np.ptp(V[used], axis=0)
    problems = [
        *_check_faces(V, F),
        *_check_vertices(V, edges[count == 1], used),
        *_check_edges(edges, count, F, n_components),
    ]
    if not is_oriented:
        problems.append(_problem("winding", "error", "neighbouring faces wind opposite ways", _REPAIR))
    elif volume < 0:
        severity = "error" if is_closed else "warning"
        problems.append(_problem("inside out", severity, "faces are clockwise seen from outside", _REPAIR))
    problems += _check_size(float(size.max()), unit)
    return MeshReport(
        n_vertices=len(V),
        n_faces=len(F),
        n_edges=len(edges),
        n_components=n_components,
        n_boundary_edges=int((count == 1).sum()),
        euler_characteristic=int(used.sum()) - len(edges) + len(F),
        is_closed=is_closed,
        is_oriented=is_oriented,
        area=float(face_areas(V, F).sum()),
        volume=float(volume),
        size=(float(size[0]), float(size[1]), float(size[2])),
        unit=unit,
        problems=tuple(problems),
    )


def face_areas(V: Float[np.ndarray, "V 3"], F: Int[np.ndarray, "F 3"]) -> Float[np.ndarray, " F"]:
    """Area of each triangle, in the squared unit of V."""
    A, B, C = V[F[:, 0]], V[F[:, 1]], V[F[:, 2]]
    return 0.5 * np.linalg.norm(np.cross(B - A, C - A), axis=1)


def signed_volume(V: Float[np.ndarray, "V 3"], F: Int[np.ndarray, "F 3"]) -> float:
    """Volume inside, positive if faces are counter-clockwise from outside; about the mean corner if open."""
    A, B, C = (V[F[:, corner]] - V[F].mean(axis=(0, 1)) for corner in range(3))
    return float(np.einsum("ij,ij->", A, np.cross(B, C)) / 6.0)


def component_labels(n_vertices: int, F: Int[np.ndarray, "F 3"]) -> Int[np.ndarray, " V"]:
    """Number of the connected component of each vertex; an unreferenced vertex is one of its own."""
    rows, columns = F.ravel(), np.roll(F, 1, axis=1).ravel()
    graph = coo_array((np.ones(len(rows)), (rows, columns)), shape=(n_vertices, n_vertices))
    return connected_components(graph, directed=False)[1]


def count_fans(n_vertices: int, F: Int[np.ndarray, "F 3"]) -> Int[np.ndarray, " V"]:
    """How many fans of faces meet at each vertex: 1 on a manifold, more where sheets touch in a point."""
    corner = np.arange(F.size).reshape(F.shape)
    starts, ends = F.ravel(), np.roll(F, -1, axis=1).ravel()
    low, high = np.minimum(starts, ends), np.maximum(starts, ends)
    # The two corners of an edge, those at its lower and at its higher vertex, in every face that has the
    # edge.
    first, second = corner.ravel(), np.roll(corner, -1, axis=1).ravel()
    at_low, at_high = np.where(starts == low, first, second), np.where(starts == low, second, first)
    order = np.lexsort((high, low))
    same = (np.diff(low[order]) == 0) & (np.diff(high[order]) == 0)
    links = [(ids[order][:-1][same], ids[order][1:][same]) for ids in (at_low, at_high)]
    rows, columns = np.concatenate([a for a, _ in links]), np.concatenate([b for _, b in links])
    graph = coo_array((np.ones(len(rows)), (rows, columns)), shape=(F.size, F.size))
    label = connected_components(graph, directed=False)[1]
    fans = np.unique(np.stack([F.ravel(), label], axis=1), axis=0)
    return np.bincount(fans[:, 0], minlength=n_vertices)


def _problem(kind: str, severity: Literal["error", "warning"], found: str, remedy: str) -> MeshProblem:
    return MeshProblem(kind, severity, found, remedy)


def _count_misoriented(F: Int[np.ndarray, "F 3"]) -> int:
    """Edges whose two faces run along them the same way (edges with more faces have no right answer)."""
    directed = F[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    sign = np.where(directed[:, 0] < directed[:, 1], 1, -1)
    _, edge, count = np.unique(np.sort(directed, axis=1), axis=0, return_inverse=True, return_counts=True)
    return int(((np.bincount(edge.ravel(), sign) != 0) & (count == 2)).sum())


def _check_faces(V: Float[np.ndarray, "V 3"], F: Int[np.ndarray, "F 3"]) -> list[MeshProblem]:
    problems = []
    repeated = (F[:, 0] == F[:, 1]) | (F[:, 1] == F[:, 2]) | (F[:, 2] == F[:, 0])
    if repeated.any():
        found = f"{repeated.sum()} faces use a vertex twice (first: face {int(repeated.argmax())})"
        problems.append(_problem("repeated index", "error", found, _REPAIR))
    flat = (face_areas(V, F) <= 1e-12 * np.ptp(V, axis=0).max() ** 2) & ~repeated
    if flat.any():
        found = f"{flat.sum()} faces have no area (first: face {int(flat.argmax())})"
        problems.append(
            _problem("flat face", "warning", found, "The robust Laplacian copes; remesh if results look odd")
        )
    n_duplicates = len(F) - len(np.unique(np.sort(F, axis=1), axis=0))
    if n_duplicates:
        problems.append(
            _problem("duplicate face", "error", f"{n_duplicates} faces repeat another face", _REPAIR)
        )
    return problems


def _check_vertices(
    V: Float[np.ndarray, "V 3"], boundary_edges: Int[np.ndarray, "B 2"], used: np.ndarray
) -> list[MeshProblem]:
    problems = []
    if not used.all():
        found = f"{(~used).sum()} vertices belong to no face (first: vertex {int((~used).argmax())})"
        problems.append(_problem("unreferenced vertex", "error", found, _REPAIR))
    pairs = KDTree(V).query_pairs(0.0, output_type="ndarray")
    seam = np.isin(pairs, boundary_edges).all(axis=1)
    if seam.any():
        found = f"{len(np.unique(pairs[seam]))} boundary vertices lie on another one: split along seams"
        remedy = f"{_REPAIR}, or export it without uv and normal seams"
        problems.append(_problem("seam", "error", found, remedy))
    if not seam.all():
        found = (
            f"{len(np.unique(pairs[~seam]))} vertices inside the surface share their position with another"
        )
        problems.append(
            _problem("duplicate vertex", "warning", found, "Harmless where sheets touch, such as lips")
        )
    return problems


def _check_edges(
    edges: Int[np.ndarray, "E 2"], count: Int[np.ndarray, " E"], F: Int[np.ndarray, "F 3"], n_components: int
) -> list[MeshProblem]:
    problems = []
    if (count == 1).any():
        found = f"the surface is open: {(count == 1).sum()} boundary edges"
        remedy = "Close the holes if they are not meant; through them renders show the inside"
        problems.append(_problem("open", "warning", found, remedy))
    if (count > 2).any():
        found = f"{(count > 2).sum()} edges have more than two faces (first: {edges[count > 2][0].tolist()})"
        remedy = f"{_REPAIR}; heat-method geodesics work, exact ones do not"
        problems.append(_problem("non-manifold edge", "warning", found, remedy))
    pinched = np.flatnonzero(count_fans(int(F.max()) + 1, F) > 1)
    if pinched.size and not (count > 2).any():
        found = f"{pinched.size} vertices join parts that touch only there (first: vertex {pinched[0]})"
        remedy = "Separate or weld the parts in a modelling program; exact geodesics refuse such a mesh"
        problems.append(_problem("non-manifold vertex", "warning", found, remedy))
    if n_components > 1:
        found = f"{n_components} separate components"
        remedy = (
            "Keep the main one (repair does), join them, or accept that distances between them are infinite"
        )
        problems.append(_problem("components", "warning", found, remedy))
    return problems


def _check_size(longest: float, unit: Unit) -> list[MeshProblem]:
    low, high = PLAUSIBLE_METRES
    if unit == "none" or low <= longest * METRES[unit] <= high:
        return []
    fitting = [name for name in ("m", "cm", "mm") if low <= longest * METRES[name] <= high]
    remedy = f"Pass unit {' or '.join(fitting) or 'none'}" + (
        "" if "none" in fitting else ", or none if it has no unit"
    )
    found = f"the longest side is {longest * METRES[unit]:.4g} m when read in {unit}"
    return [_problem("size", "warning", found, remedy)]
