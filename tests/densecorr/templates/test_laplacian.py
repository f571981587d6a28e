import numpy as np
import pytest
import trimesh
from numpy.testing import assert_allclose, assert_array_equal

from densecorr.templates.checks import face_areas
from densecorr.templates.laplacian import fix_signs, laplacian_basis, mesh_laplacian


def make_sphere(subdivisions: int) -> tuple[np.ndarray, np.ndarray]:
    sphere = trimesh.creation.icosphere(subdivisions=subdivisions)
    return np.array(sphere.vertices), np.array(sphere.faces, dtype=np.int64)


def make_grid(n: int) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.meshgrid(np.linspace(0, 1, n), np.linspace(0, 1, n), indexing="ij")
    V = np.stack([x.ravel(), y.ravel(), np.zeros(n * n)], axis=1)
    corner = (np.arange(n - 1)[:, None] * n + np.arange(n - 1)).ravel()
    F = np.concatenate(
        [np.stack([corner, corner + n, corner + n + 1], 1), np.stack([corner, corner + n + 1, corner + 1], 1)]
    )
    return V, F


def test_rows_sum_to_zero_and_areas_to_the_surface() -> None:
    V, F = make_sphere(3)
    L, mass = mesh_laplacian(V, F)
    assert_allclose(np.asarray(L.sum(axis=1)).ravel(), 0.0, atol=1e-12)
    assert_allclose((L - L.T).toarray(), 0.0, atol=1e-12)
    assert mass.sum() == pytest.approx(face_areas(V, F).sum())
    assert np.linalg.eigvalsh(L.toarray()).min() > -1e-12


@pytest.mark.parametrize("subdivisions", [3, 4])  # 642 and 2,562 vertices, both by Lanczos
def test_sphere_spectrum_is_l_times_l_plus_one(subdivisions: int) -> None:
    _, evals, _ = laplacian_basis(*make_sphere(subdivisions), 49)
    expected = np.concatenate([np.full(2 * degree + 1, degree * (degree + 1.0)) for degree in range(7)])
    assert_allclose(evals, expected, rtol=0.07 if subdivisions == 3 else 0.02, atol=1e-9)


def test_square_spectrum_is_that_of_free_edges() -> None:
    _, evals, _ = laplacian_basis(*make_grid(40), 12)
    modes = np.sort([np.pi**2 * (i**2 + j**2) for i in range(6) for j in range(6)])[:12]
    assert_allclose(evals, modes, rtol=0.01, atol=1e-9)


@pytest.mark.parametrize(
    ("subdivisions", "k"), [(2, 162), (3, 100), (4, 100)]
)  # all, dense by share, Lanczos
def test_eigenvectors_are_orthonormal_under_the_mass_and_solve_the_problem(subdivisions: int, k: int) -> None:
    V, F = make_sphere(subdivisions)
    mass, evals, evecs = laplacian_basis(V, F, k)
    L, _ = mesh_laplacian(V, F)
    assert_allclose(evecs.T @ (mass[:, None] * evecs), np.eye(k), atol=1e-9)
    assert_allclose(L @ evecs, mass[:, None] * evecs * evals, atol=1e-8)
    assert (np.diff(evals) >= 0).all()


def test_more_eigenpairs_than_vertices_gives_all() -> None:
    V, F = make_sphere(1)
    assert laplacian_basis(V, F, 256)[2].shape == (len(V), len(V))


@pytest.mark.parametrize("scale", [0.001, 1000.0])
def test_scaling_the_mesh_scales_the_spectrum(scale: float) -> None:
    V, F = make_sphere(4)
    V = V * [1.0, 1.3, 0.8]  # no repeated eigenvalues, so that eigenvectors can be compared
    mass, evals, evecs = laplacian_basis(V, F, 20)
    mass_scaled, evals_scaled, evecs_scaled = laplacian_basis(scale * V, F, 20)
    assert_allclose(mass_scaled, scale**2 * mass, rtol=1e-6)
    assert_allclose(evals_scaled * scale**2, evals, rtol=1e-5, atol=1e-8)
    assert_allclose(evecs_scaled * scale, evecs, atol=1e-4)


def test_two_components_have_two_zero_eigenvalues() -> None:
    V, F = make_sphere(3)
    _, evals, _ = laplacian_basis(np.concatenate([V, V + 5]), np.concatenate([F, F + len(V)]), 8)
    assert_allclose(evals[:2], 0.0, atol=1e-9)
    assert evals[2] == pytest.approx(2.0, rel=0.05)


def test_the_same_mesh_gives_the_same_bytes() -> None:
    V, F = make_sphere(4)
    first, second = laplacian_basis(V, F, 40), laplacian_basis(V.copy(), F.copy(), 40)
    assert [array.tobytes() for array in first] == [array.tobytes() for array in second]


def test_signs_follow_the_largest_entry_and_ties_the_lowest_vertex() -> None:
    evecs = np.array([[0.2, -1.0, 0.0], [-0.9, 0.5, 0.0], [0.1, 1.00001, 0.0]])
    assert_array_equal(np.sign(fix_signs(evecs)), [[-1, 1, 0], [1, -1, 0], [-1, -1, 0]])
