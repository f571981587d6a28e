from collections.abc import Callable

import numpy as np
import pytest
import trimesh
from numpy.testing import assert_array_equal

from densecorr.errors import MeshError
from densecorr.templates.checks import check_mesh, component_labels, count_fans

Mesh = tuple[np.ndarray, np.ndarray]


def make_sphere() -> Mesh:
    sphere = trimesh.creation.icosphere(subdivisions=2)
    return np.array(sphere.vertices), np.array(sphere.faces, dtype=np.int64)


def test_a_sphere_is_in_order() -> None:
    V, F = make_sphere()
    report = check_mesh(V, F)
    assert report.problems == ()
    assert report.is_usable
    assert (report.is_closed, report.is_oriented, report.n_components, report.euler_characteristic) == (
        True,
        True,
        1,
        2,
    )
    assert report.volume == pytest.approx(4 / 3 * np.pi, rel=0.05)
    assert report.area == pytest.approx(4 * np.pi, rel=0.05)
    assert report.n_edges == 3 * len(F) // 2


def test_a_torus_has_euler_characteristic_zero() -> None:
    torus = trimesh.creation.torus(1.0, 0.4)
    assert (
        check_mesh(np.array(torus.vertices), np.array(torus.faces, dtype=np.int64)).euler_characteristic == 0
    )


def flip_one(V: np.ndarray, F: np.ndarray) -> Mesh:
    F[7] = F[7, ::-1]
    return V, F


def split_seam(V: np.ndarray, F: np.ndarray) -> Mesh:
    F[: len(F) // 2] += len(V)
    V = np.concatenate([V, V])
    used, F = np.unique(F, return_inverse=True)
    return V[used], F.reshape(-1, 3)


def pinch(V: np.ndarray, F: np.ndarray) -> Mesh:
    lowest, highest = int(V[:, 1].argmin()), int(V[:, 1].argmax())
    above = F + len(V)
    above[above == lowest + len(V)] = highest  # a second sphere stands on the first one's top vertex
    V = np.concatenate([V, V + np.array([0.0, V[highest, 1] - V[lowest, 1], 0.0])])
    keep = np.delete(np.arange(len(V)), lowest + len(V) // 2)
    number = np.zeros(len(V), dtype=np.int64)
    number[keep] = np.arange(len(keep))
    return V[keep], number[np.concatenate([F, above])]


DAMAGE: dict[tuple[str, str], Callable[[np.ndarray, np.ndarray], Mesh]] = {
    ("open", "warning"): lambda V, F: (V, F[1:]),
    ("winding", "error"): flip_one,
    ("inside out", "error"): lambda V, F: (V, F[:, ::-1].copy()),
    ("components", "warning"): lambda V, F: (np.concatenate([V, V + 3]), np.concatenate([F, F + len(V)])),
    ("unreferenced vertex", "error"): lambda V, F: (np.concatenate([V, [[0.0, 0.0, 0.0]]]), F),
    ("repeated index", "error"): lambda V, F: (V, np.concatenate([F, [[3, 3, 4]]])),
    ("duplicate face", "error"): lambda V, F: (V, np.concatenate([F, np.roll(F[:1], 1, axis=1)])),
    ("non-manifold edge", "warning"): lambda V, F: (
        np.concatenate([V, [[2.0, 2.0, 2.0]]]),
        np.concatenate([F, [[F[0, 0], F[0, 1], len(V)]]]),
    ),
    ("non-manifold vertex", "warning"): pinch,
    ("seam", "error"): split_seam,
    ("duplicate vertex", "warning"): lambda V, F: (np.where(np.arange(len(V))[:, None] == 9, V[80], V), F),
    ("flat face", "warning"): lambda V, F: (
        np.where(np.arange(len(V))[:, None] == F[0, 0], V[F[0, 1:]].mean(axis=0), V),
        F,
    ),
    ("size", "warning"): lambda V, F: (100.0 * V, F),
}


@pytest.mark.parametrize(("kind", "severity"), DAMAGE)
def test_each_damage_is_found_and_comes_with_a_remedy(kind: str, severity: str) -> None:
    V, F = DAMAGE[kind, severity](*make_sphere())
    report = check_mesh(V, F)
    found = {problem.kind: problem for problem in report.problems}
    assert kind in found
    assert found[kind].severity == severity
    assert found[kind].remedy
    assert found[kind].found in str(report)
    assert report.is_usable == (severity == "warning")


def test_the_size_warning_names_the_unit_that_fits() -> None:
    V, F = make_sphere()
    report = check_mesh(90.0 * V, F, "m")
    assert [problem.kind for problem in report.problems] == ["size"]
    assert "unit cm or mm" in report.problems[0].remedy
    assert check_mesh(90.0 * V, F, "cm").problems == ()
    assert check_mesh(1e6 * V, F, "none").problems == ()


def test_component_labels_and_fans_of_two_triangles_in_a_point() -> None:
    F = np.array([[0, 1, 2], [0, 3, 4]])
    assert len(np.unique(component_labels(6, F))) == 2  # vertex 5 stands alone
    assert_array_equal(count_fans(6, F), [2, 1, 1, 1, 1, 0])


@pytest.mark.parametrize(
    ("V", "F", "message"),
    [
        (np.zeros((0, 3)), np.zeros((0, 3), dtype=np.int64), "at least one vertex"),
        (np.zeros((3, 3)), np.array([[0, 1, 3]]), "face 0"),
        (np.zeros((3, 3)), np.array([[0, 1, -1]]), "face 0"),
        (np.full((3, 3), np.inf), np.array([[0, 1, 2]]), "finite"),
    ],
)
def test_what_is_no_mesh_is_refused(V: np.ndarray, F: np.ndarray, message: str) -> None:
    with pytest.raises(MeshError, match=message):
        check_mesh(V, F)
