import numpy as np
import pytest
import trimesh
from numpy.testing import assert_allclose, assert_array_equal

from densecorr.templates.coarse import CoarseLevel, build_coarse_level
from densecorr.templates.geodesics import GeodesicSolver, geodesic_matrix
from densecorr.templates.laplacian import mesh_laplacian
from densecorr.templates.symmetry import find_symmetry


def make_sphere(subdivisions: int) -> tuple[np.ndarray, np.ndarray]:
    sphere = trimesh.creation.icosphere(subdivisions=subdivisions)
    return np.array(sphere.vertices), np.array(sphere.faces, dtype=np.int64)


def build(V: np.ndarray, F: np.ndarray, n_coarse: int, mirror: np.ndarray | None = None) -> CoarseLevel:
    mirror = np.arange(len(V)) if mirror is None else mirror
    return build_coarse_level(GeodesicSolver(V, F).distances, n_coarse, mirror)


def test_points_on_a_line_halve_the_gaps() -> None:
    line = np.arange(17, dtype=np.float64)
    level = build_coarse_level(lambda vertex: np.abs(line - line[vertex]), 5, np.arange(17))
    assert_array_equal(level.coarse, [16, 0, 8, 4, 12])
    assert_array_equal(
        level.to_coarse, [1, 1, 1, 3, 3, 3, 2, 2, 2, 2, 2, 4, 4, 4, 0, 0, 0]
    )  # the earlier if equal
    assert_array_equal(level.coarse_D, np.abs(line[level.coarse][:, None] - line[level.coarse]))
    assert level.diameter == 16.0


@pytest.mark.parametrize("n_coarse", [1, 2, 40, 161])
def test_every_vertex_goes_to_its_nearest_sample(n_coarse: int) -> None:
    V, F = make_sphere(2)
    D = GeodesicSolver(V, F).rows(range(len(V)))
    level = build(V, F, n_coarse)
    assert len(level.coarse) == len(np.unique(level.coarse)) == n_coarse
    assert_array_equal(level.to_coarse[level.coarse], np.arange(n_coarse))
    nearest = D[level.coarse].min(axis=0)
    assert_allclose(D[level.coarse][level.to_coarse, np.arange(len(V))], nearest, atol=1e-6)


def test_samples_cover_evenly() -> None:
    V, F = make_sphere(3)
    level = build(V, F, 60)
    D = geodesic_matrix(V, F)
    radius = D[level.coarse].min(axis=0).max()
    spacing = (level.coarse_D + 9 * np.eye(60, dtype=np.float32)).min()
    assert (
        radius <= spacing * 1.05
    )  # farthest-point sampling: no sample is nearer to another than the radius left
    assert radius < 2.5 * np.sqrt(
        4 / 60
    )  # 60 discs of that radius would cover the sphere about 1.5 times over


def test_a_shorter_level_is_a_prefix() -> None:
    V, F = make_sphere(2)
    assert_array_equal(build(V, F, 50).coarse[:20], build(V, F, 20).coarse)


def test_a_symmetric_mesh_has_a_symmetric_level() -> None:
    V, F = make_sphere(3)
    mirror = find_symmetry(V, F, mesh_laplacian(V, F)[1]).mirror
    for n_coarse in (50, 51):
        level = build(V, F, n_coarse, mirror)
        assert len(level.coarse) == n_coarse
        assert_array_equal(np.sort(mirror[level.coarse]), np.sort(level.coarse))


def test_without_a_vertex_on_the_plane_the_last_place_stays_free() -> None:
    line = np.arange(8, dtype=np.float64)
    level = build_coarse_level(lambda vertex: np.abs(line - line[vertex]), 5, np.arange(8)[::-1].copy())
    assert_array_equal(np.sort(level.coarse), [0, 3, 4, 7])


def test_asking_for_more_gives_every_vertex_in_order() -> None:
    V, F = make_sphere(1)
    level = build(V, F, 1000)
    assert_array_equal(level.coarse, np.arange(len(V)))
    assert_array_equal(level.to_coarse, np.arange(len(V)))
    assert_allclose(level.coarse_D, geodesic_matrix(V, F))


def test_the_diameter_is_half_way_round_a_sphere() -> None:
    V, F = make_sphere(3)
    D = geodesic_matrix(V, F)
    for n_coarse in (2, 30, len(V)):
        assert build(V, F, n_coarse).diameter == pytest.approx(float(D.max()), rel=0.01)
    assert float(D.max()) == pytest.approx(np.pi, rel=0.03)


def test_each_component_gets_a_sample_and_the_diameter_is_finite() -> None:
    V, F = make_sphere(1)
    n = len(V)
    level = build(np.concatenate([V, 0.5 * V + 5]), np.concatenate([F, F + n]), 10)
    assert sorted(level.coarse[:2] // n) == [0, 1]
    assert (level.coarse[level.to_coarse] // n == np.arange(2 * n) // n).all()
    assert np.isinf(level.coarse_D).any()
    assert level.diameter == pytest.approx(np.pi, rel=0.1)
