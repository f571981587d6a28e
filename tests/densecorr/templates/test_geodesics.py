from pathlib import Path

import numpy as np
import pytest
import trimesh
from numpy.testing import assert_allclose, assert_array_equal

from densecorr.errors import MeshError
from densecorr.templates import geodesics
from densecorr.templates.geodesics import GeodesicSolver, geodesic_matrix, write_geodesic_matrix

METHODS = ["heat", "exact"]


def make_sphere(subdivisions: int) -> tuple[np.ndarray, np.ndarray]:
    sphere = trimesh.creation.icosphere(subdivisions=subdivisions)
    return np.array(sphere.vertices), np.array(sphere.faces, dtype=np.int64)


def make_plane(n: int = 25) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.meshgrid(np.linspace(0, 1, n), np.linspace(0, 1, n), indexing="ij")
    V = np.stack([x.ravel(), np.zeros(n * n), y.ravel()], axis=1)
    corner = (np.arange(n - 1)[:, None] * n + np.arange(n - 1)).ravel()
    F = np.concatenate(
        [np.stack([corner, corner + n, corner + n + 1], 1), np.stack([corner, corner + n + 1, corner + 1], 1)]
    )
    return V, F


@pytest.mark.parametrize(("method", "atol"), [("heat", 0.05), ("exact", 0.01)])
def test_distances_on_a_sphere_are_great_circles(method: str, atol: float) -> None:
    V, F = make_sphere(4)
    exact = np.arccos(np.clip(V @ V[17], -1.0, 1.0))
    assert_allclose(GeodesicSolver(V, F, method).distances(17), exact, atol=atol)


def test_exact_distances_on_a_convex_plane_are_euclidean() -> None:
    V, F = make_plane()
    for source in (0, 300, 624):
        assert_allclose(
            GeodesicSolver(V, F, "exact").distances(source), np.linalg.norm(V - V[source], axis=1), atol=1e-9
        )


def test_exact_distances_go_round_a_corner_of_a_box() -> None:
    box = trimesh.creation.box((1.0, 1.0, 1.0)).subdivide().subdivide()
    V, F = np.array(box.vertices), np.array(box.faces, dtype=np.int64)
    corner, opposite = (int(np.linalg.norm(V - point, axis=1).argmin()) for point in ([0.5] * 3, [-0.5] * 3))
    assert GeodesicSolver(V, F, "exact").distances(corner)[opposite] == pytest.approx(np.sqrt(5))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("scale", [0.01, 100.0])
def test_distances_scale_with_the_mesh(method: str, scale: float) -> None:
    V, F = make_sphere(2)
    assert_allclose(
        geodesic_matrix(scale * V, F, method), scale * geodesic_matrix(V, F, method), atol=1e-4 * scale
    )


@pytest.mark.parametrize("method", METHODS)
def test_other_components_are_infinitely_far(method: str) -> None:
    V, F = make_sphere(1)
    solver = GeodesicSolver(np.concatenate([V, V + 5]), np.concatenate([F, F + len(V)]), method)
    row = solver.distances(3)
    assert np.isinf(row[len(V) :]).all()
    assert_allclose(row[: len(V)], GeodesicSolver(V, F, method).distances(3), atol=1e-6)


def test_rows_follow_the_order_asked_for() -> None:
    solver = GeodesicSolver(*make_sphere(2))
    rows = solver.rows([9, 2, 9, 0])
    assert rows.dtype == np.float32
    assert_array_equal(rows[0], rows[2])
    assert_array_equal(rows.argmin(axis=1), [9, 2, 9, 0])
    assert_array_equal(rows[1], solver.distances(2).astype(np.float32))
    assert solver.rows([]).shape == (0, 162)


@pytest.mark.parametrize("method", METHODS)
def test_the_matrix_is_a_metric_near_enough(method: str) -> None:
    V, F = make_sphere(2)
    D = geodesic_matrix(V, F, method)
    assert_array_equal(D, D.T)
    assert_array_equal(np.diag(D), 0.0)
    detour = (D[:, :, None] + D[None]).min(axis=1)
    assert (D <= detour + 0.05 * D.max()).all()
    if method == "exact":
        assert (D >= np.linalg.norm(V[:, None] - V[None], axis=2) - 1e-6).all()


def test_the_all_pairs_file_holds_the_matrix_in_half_precision(tmp_path: Path) -> None:
    V, F = make_sphere(3)
    path = tmp_path / "geodesics.npy"
    largest = write_geodesic_matrix(path, 1e6 * V, F, "heat", 3.1e6)
    stored, D = np.load(path, allow_pickle=False), geodesic_matrix(1e6 * V, F)
    assert stored.dtype == np.float16
    assert_array_equal(stored, stored.T)
    assert_allclose(stored.astype(np.float64) * 3.1e6, D, rtol=2e-3)
    assert largest == pytest.approx(D.max(), rel=1e-3)
    assert [file.name for file in tmp_path.iterdir()] == ["geodesics.npy"]


def test_the_all_pairs_file_does_not_depend_on_the_processes(tmp_path: Path) -> None:
    V, F = make_sphere(2)
    for n_processes in (1, 2):
        write_geodesic_matrix(tmp_path / f"{n_processes}.npy", V, F, "heat", 3.1, n_processes)
    assert (tmp_path / "1.npy").read_bytes() == (tmp_path / "2.npy").read_bytes()


def test_an_all_pairs_file_of_a_large_mesh_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(geodesics, "MAX_ALL_PAIRS", 100)
    with pytest.raises(MeshError, match="at most 100"):
        write_geodesic_matrix(tmp_path / "large.npy", *make_sphere(2), "heat", 1.0)
    assert list(tmp_path.iterdir()) == []


def test_exact_geodesics_refuse_what_would_crash_their_library() -> None:
    V = np.array([[0, 0, 0], [1, 0, 0], [0.5, 1, 0], [0.5, -1, 0], [0.5, 0, 1.0]])
    fin = np.array([[0, 1, 2], [1, 0, 3], [0, 1, 4]])
    with pytest.raises(MeshError, match="1 edges with more than two faces"):
        GeodesicSolver(V, fin, "exact")
    assert np.isfinite(GeodesicSolver(V, fin, "heat").distances(0)).all()
    with pytest.raises(MeshError, match="1 pinched vertices"):
        GeodesicSolver(V, np.array([[0, 1, 2], [0, 3, 4]]), "exact")


@pytest.mark.parametrize("method", METHODS)
def test_a_vertex_without_a_face_and_a_wrong_source_are_refused(method: str) -> None:
    V, F = make_sphere(1)
    with pytest.raises(MeshError, match="every vertex in a face"):
        GeodesicSolver(np.concatenate([V, [[9.0, 9.0, 9.0]]]), F, method)
    for source in (-1, len(V)):
        with pytest.raises(MeshError, match="source vertex"):
            GeodesicSolver(V, F, method).distances(source)
