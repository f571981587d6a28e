from pathlib import Path

import numpy as np
import pytest
import trimesh
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial.transform import Rotation

from densecorr.templates.laplacian import mesh_laplacian
from densecorr.templates.mesh import read_mesh
from densecorr.templates.symmetry import Symmetry, distance_to_surface, find_symmetry, reflect


def make_animal(subdivisions: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """A sphere bent so that only the mirror in x is left; its connectivity is symmetric as well."""
    sphere = trimesh.creation.icosphere(subdivisions=subdivisions)
    x, y, z = np.array(sphere.vertices).T
    V = np.stack([0.6 * x * (1.2 + z), y + 0.3 * z**2 + 0.2 * z, 1.7 * z + 0.4 * np.exp(y) + 0.5 * y], axis=1)
    return V, np.array(sphere.faces, dtype=np.int64)


def find(V: np.ndarray, F: np.ndarray, axis: str = "auto") -> Symmetry:
    return find_symmetry(V, F, mesh_laplacian(V, F)[1], axis)


def test_partners_of_a_symmetric_mesh_are_exact_and_name_each_other() -> None:
    V, F = make_animal()
    symmetry = find(V + np.array([0.7, 0.0, -2.0]), F)
    assert symmetry.is_involution
    assert_allclose(V[symmetry.mirror], V * [-1, 1, 1], atol=1e-9)
    assert_allclose(symmetry.normal, [1, 0, 0], atol=1e-9)
    assert symmetry.offset == pytest.approx(0.7)
    assert symmetry.residual == pytest.approx(0.0, abs=1e-9)


def test_left_and_right_keep_their_partners_when_the_mesh_is_mirrored() -> None:
    V, F = make_animal()
    assert_array_equal(find(V * [-1, 1, 1], F[:, ::-1].copy()).mirror, find(V, F).mirror)


def test_of_equally_good_axes_left_right_is_taken() -> None:
    sphere = trimesh.creation.icosphere(subdivisions=2)
    V, F = np.array(sphere.vertices), np.array(sphere.faces, dtype=np.int64)
    assert_allclose(find(V, F).normal, [1, 0, 0])


@pytest.mark.parametrize("axis", ["x", "y", "z"])
def test_an_axis_that_is_asked_for_is_taken(axis: str) -> None:
    V, F = make_animal(2)
    symmetry = find(V, F, axis)
    assert_array_equal(symmetry.normal, np.eye(3)["xyz".index(axis)])
    assert (symmetry.residual < 1e-9) == (axis == "x")


@pytest.mark.parametrize("degrees", [5.0, 40.0])
def test_a_tilted_plane_is_found_and_partners_stay(degrees: float) -> None:
    V, F = make_animal()
    turn = Rotation.from_rotvec(np.deg2rad(degrees) * np.array([0.6, 0.0, 0.8])).as_matrix()
    symmetry = find(V @ turn.T, F)
    expected = turn[:, 0] * np.sign(turn[np.abs(turn[:, 0]).argmax(), 0])
    assert_allclose(symmetry.normal, expected, atol=1e-6)
    assert_array_equal(symmetry.mirror, find(V, F).mirror)


def test_connectivity_gives_exact_partners_where_the_shape_is_a_little_off() -> None:
    V, F = make_animal()
    exact = find(V, F).mirror
    edge = np.linalg.norm(V[F[:, 0]] - V[F[:, 1]], axis=1).mean()
    noisy = V + 0.3 * edge * np.random.default_rng(1).uniform(-1, 1, V.shape)
    symmetry = find(noisy, F)
    assert_array_equal(symmetry.mirror, exact)
    assert 0 < symmetry.residual < edge


def test_without_symmetric_connectivity_most_partners_still_name_each_other() -> None:
    V, F = make_animal()
    edge = np.linalg.norm(V[F[:, 0]] - V[F[:, 1]], axis=1).mean()
    V = V + 0.1 * edge * np.random.default_rng(0).uniform(-1, 1, V.shape)
    F = np.delete(F, np.flatnonzero((F == 11).any(axis=1)), axis=0)  # a hole on one side only
    keep, F = np.unique(F, return_inverse=True)
    symmetry = find(V[keep], F.reshape(-1, 3))
    named = (symmetry.mirror[symmetry.mirror] == np.arange(len(keep))).mean()
    assert named > 0.99


def test_reflecting_twice_is_the_identity() -> None:
    X = np.random.default_rng(0).standard_normal((20, 3))
    normal = np.array([0.6, 0.0, 0.8])
    assert_allclose(reflect(reflect(X, normal, 0.3), normal, 0.3), X)
    assert_allclose(reflect(X, normal, 0.3) @ normal - 0.3, 0.3 - X @ normal)


def test_distance_to_a_surface_is_the_height_above_a_triangle() -> None:
    V = np.array([[0, 0, 0], [4, 0, 0], [0, 4, 0], [4, 4, 0.0]])
    F = np.array([[0, 1, 2], [1, 3, 2]])
    X = np.array([[1, 1, 0.5], [3, 3, -0.25], [2, 2, 0], [-3, 0, 4]])
    assert_allclose(distance_to_surface(X, V, F), [0.5, 0.25, 0, 5], atol=1e-12)


@pytest.mark.parametrize("name", ["human_man", "human_woman"])
def test_shared_left_hand_is_partner_of_the_right_hand(shared_meshes: Path, name: str) -> None:
    V, F = read_mesh(shared_meshes / f"{name}.obj")
    symmetry = find(V, F)
    assert symmetry.is_involution
    left_hand, right_hand = V[:, 0] > 0.75, V[:, 0] < -0.75
    assert left_hand.sum() > 400
    assert (V[symmetry.mirror[left_hand], 0] < -0.7).all()
    assert (V[symmetry.mirror[right_hand], 0] > 0.7).all()
    away = np.linalg.norm(V[symmetry.mirror] - V * [-1, 1, 1], axis=1)
    assert away.max() < 0.03


def test_shared_makehuman_is_exactly_symmetric(shared_meshes: Path) -> None:
    V, F = read_mesh(shared_meshes / "makehuman_base.obj", group="body")
    symmetry = find(V, F)
    assert symmetry.is_involution
    assert_allclose(V[symmetry.mirror], V * [-1, 1, 1], atol=1e-3)
