"""Distances along the surface: by the heat method (milliseconds a source) or exact (a tenth of a second).

Rows come straight from the solver: `row[j]` is the distance from the source to j. Exact rows are symmetric up
to rounding. Measured on bodies of 5,000 to 13,000 vertices, the heat method is off the exact distance by 0.3
to 0.9% of the diameter on average (4% at most), and off its opposite direction by 0.2% (2% at most). What
needs symmetry takes the mean of both: the all-pairs file, the coarse level, the diameter.
"""

import concurrent.futures
import itertools
import multiprocessing
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal

import numpy as np
import potpourri3d
from jaxtyping import Float, Int

from ..errors import DependencyError, MeshError
from .checks import component_labels, count_fans
from .mesh import check_arrays, count_edges

GeodesicMethod = Literal["heat", "exact"]

MAX_ALL_PAIRS = 15_000
"""Most vertices for which the all-pairs file is written (450 MB); above, rows are solved on demand."""

_BLOCK = 512


class GeodesicSolver:
    """Distances on one mesh: factorise once, solve for many sources.

    `heat`: Crane et al., The Heat Method for Distance Computation, 2017, on the robust Laplacian
    (potpourri3d). `exact`: Mitchell, Mount and Papadimitriou, The Discrete Geodesic Problem, 1987
    (pygeodesic).
    """

    def __init__(
        self, V: Float[np.ndarray, "V 3"], F: Int[np.ndarray, "F 3"], method: GeodesicMethod = "heat"
    ) -> None:
        """Prepare the mesh.

        Raises:
            MeshError: a vertex without a face, or (exact only) an edge or vertex that is not manifold.
            DependencyError: pygeodesic is not installed (exact only).
        """
        check_arrays(V, F)
        V, F = np.ascontiguousarray(V, dtype=np.float64), np.ascontiguousarray(F, dtype=np.int64)
        self._n_vertices = len(V)
        self._component = component_labels(len(V), F)
        self._check_referenced(F)
        self._solve = _build_heat(V, F) if method == "heat" else _build_exact(V, F)

    def distances(self, source: int) -> Float[np.ndarray, " V"]:
        """Distance from one vertex to every vertex, in the unit of V; infinite in other components."""
        if not 0 <= source < self._n_vertices:
            raise MeshError(
                expected=f"a source vertex in [0, {self._n_vertices})",
                received=str(source),
                remedy="Check that the labels belong to this template.",
            )
        row = self._solve(int(source))
        row[self._component != self._component[source]] = np.inf
        row[source] = 0.0
        return row

    def rows(self, sources: Iterable[int] | Int[np.ndarray, " n"]) -> Float[np.ndarray, "n V"]:
        """A row of float32 distances for each source; a repeated source is solved once."""
        ids = np.asarray(list(sources), dtype=np.int64)
        D = np.empty((len(ids), self._n_vertices), dtype=np.float32)
        _, first, place = np.unique(ids, return_index=True, return_inverse=True)
        for i, source in enumerate(ids):
            D[i] = self.distances(int(source)) if first[place[i]] == i else D[first[place[i]]]
        return D

    def _check_referenced(self, F: Int[np.ndarray, "F 3"]) -> None:
        missing = np.flatnonzero(np.bincount(F.ravel(), minlength=self._n_vertices) == 0)
        if missing.size:
            raise MeshError(
                expected="every vertex in a face",
                received=f"{missing.size} vertices in none (first: {missing[0]})",
                remedy="Repair the mesh with repair_mesh, or build the template with repair = true.",
            )


def geodesic_matrix(
    V: Float[np.ndarray, "V 3"], F: Int[np.ndarray, "F 3"], method: GeodesicMethod = "heat"
) -> Float[np.ndarray, "V V"]:
    """All pairs in memory, float32, the mean of both directions: for small meshes."""
    D = GeodesicSolver(V, F, method).rows(range(len(V)))
    return 0.5 * (D + D.T)


def write_geodesic_matrix(
    path: Path,
    V: Float[np.ndarray, "V 3"],
    F: Int[np.ndarray, "F 3"],
    method: GeodesicMethod,
    scale: float,
    n_processes: int = 1,
) -> float:
    """Write all pairs, the mean of both directions, as a float16 .npy file of distances divided by `scale`.

    Blocks of rows are solved one by one into a memory map, then made symmetric in place block by block, so no
    (V, V) array of floats is in memory. The bytes do not depend on `n_processes`. The file appears whole,
    under its name, when it is done. Dividing by the diameter keeps any unit inside float16 (relative step
    0.05%).

    Args:
        path: the .npy file.
        V: vertices.
        F: faces.
        method: which distances.
        scale: length that becomes 1.0, about the diameter.
        n_processes: solver processes; a script that asks for more than one needs a `__main__` guard.

    Returns:
        the largest finite distance, in the unit of V.

    Raises:
        MeshError: more than MAX_ALL_PAIRS vertices.
    """
    n = len(V)
    if n > MAX_ALL_PAIRS:
        raise MeshError(
            expected=f"at most {MAX_ALL_PAIRS} vertices for an all-pairs file",
            received=str(n),
            remedy="Leave all_pairs off: rows are then solved on demand.",
        )
    part = path.with_name(path.name + ".part")
    np.lib.format.open_memmap(part, mode="w+", dtype=np.float16, shape=(n, n)).flush()
    if n_processes == 1:
        _solve_rows_into(part, V, F, method, scale, 0, n)
    else:
        # The solvers hold the interpreter lock (measured: two threads are no quicker than one), so:
        # processes.
        context = multiprocessing.get_context("spawn")
        with concurrent.futures.ProcessPoolExecutor(n_processes, mp_context=context) as pool:
            bounds = np.linspace(0, n, n_processes + 1).astype(int).tolist()
            spans = list(itertools.pairwise(bounds))
            jobs = [
                pool.submit(_solve_rows_into, part, V, F, method, scale, start, stop) for start, stop in spans
            ]
            for job in jobs:
                job.result()
    largest = _make_symmetric(part)
    part.replace(path)
    return largest * scale


def _solve_rows_into(
    part: Path,
    V: Float[np.ndarray, "V 3"],
    F: Int[np.ndarray, "F 3"],
    method: GeodesicMethod,
    scale: float,
    start: int,
    stop: int,
) -> None:
    """Fill rows [start, stop) of the map; other processes fill other rows of the same file."""
    D = np.load(part, mmap_mode="r+")
    solver = GeodesicSolver(V, F, method)
    for first in range(start, stop, _BLOCK):
        last = min(first + _BLOCK, stop)
        D[first:last] = solver.rows(range(first, last)) / scale
    D.flush()


def _make_symmetric(part: Path) -> float:
    """Replace both directions by their mean, a pair of blocks at a time; return the largest finite entry."""
    D = np.load(part, mmap_mode="r+")
    n, largest = len(D), 0.0
    for first in range(0, n, 2 * _BLOCK):
        rows = slice(first, first + 2 * _BLOCK)
        for second in range(first, n, 2 * _BLOCK):
            columns = slice(second, second + 2 * _BLOCK)
            mean = (
                0.5 * (D[rows, columns].astype(np.float32) + D[columns, rows].astype(np.float32).T)
            ).astype(np.float16)
            D[rows, columns], D[columns, rows] = mean, mean.T
            largest = max(largest, float(mean.max(where=np.isfinite(mean), initial=0.0)))
    D.flush()
    return largest


def _build_heat(V: Float[np.ndarray, "V 3"], F: Int[np.ndarray, "F 3"]) -> Callable[[int], np.ndarray]:
    solver = potpourri3d.MeshHeatMethodDistanceSolver(V, F)
    return lambda source: np.maximum(solver.compute_distance(source), 0.0)


def _build_exact(V: Float[np.ndarray, "V 3"], F: Int[np.ndarray, "F 3"]) -> Callable[[int], np.ndarray]:
    """The exact solver, guarded: on a non-manifold edge its library would end the process."""
    try:
        from pygeodesic.geodesic import PyGeodesicAlgorithmExact
    except ImportError as error:
        raise DependencyError(
            expected="the package pygeodesic for exact geodesics",
            received="it is not installed",
            remedy='Run "pip install pygeodesic", or take geodesics = "heat".',
        ) from error
    n_bad_edges = int((count_edges(F)[1] > 2).sum())
    n_bad_vertices = int((count_fans(len(V), F) > 1).sum())
    if n_bad_edges or n_bad_vertices:
        raise MeshError(
            expected="a manifold mesh for exact geodesics",
            received=f"{n_bad_edges} edges with more than two faces, {n_bad_vertices} pinched vertices",
            remedy='Mend the mesh, or take geodesics = "heat", which copes.',
        )
    solver = PyGeodesicAlgorithmExact(V, F)
    return lambda source: np.array(solver.geodesicDistances([source], None)[0])
