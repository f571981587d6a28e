import numpy as np
import pytest
import trimesh
from numpy.testing import assert_allclose, assert_array_equal

from densecorr.templates.checks import check_mesh
from densecorr.templates.repair import repair_mesh


def make_sphere() -> tuple[np.ndarray, np.ndarray]:
    sphere = trimesh.creation.icosphere(subdivisions=2)
    return np.array(sphere.vertices), np.array(sphere.faces, dtype=np.int64)


def test_a_mesh_in_order_comes_back_as_it_was() -> None:
    V, F = make_sphere()
    V_mended, F_mended, changes = repair_mesh(V, F)
    assert changes == []
    assert_array_equal(V_mended, V)
    assert_array_equal(F_mended, F)


def test_faces_turned_at_random_are_turned_back() -> None:
    V, F = make_sphere()
    turned = np.random.default_rng(0).random(len(F)) < 0.3
    damaged = np.where(turned[:, None], F[:, ::-1], F)
    V_mended, F_mended, changes = repair_mesh(V, damaged)
    assert check_mesh(V_mended, F_mended).problems == ()
    assert_array_equal(np.sort(F_mended, axis=1), np.sort(F, axis=1))
    assert changes == [f"turned {turned.sum()} faces round"]


def test_an_inside_out_mesh_is_turned() -> None:
    V, F = make_sphere()
    _, F_mended, changes = repair_mesh(V, F[:, ::-1].copy())
    assert check_mesh(V, F_mended).volume > 0
    assert changes == [f"turned {len(F)} faces round"]


@pytest.mark.parametrize("n_missing", [1, 2])
def test_small_holes_are_closed_without_new_vertices(n_missing: int) -> None:
    V, F = make_sphere()
    first = F[0]
    neighbour = next(i for i in range(1, len(F)) if len(set(F[i]) & set(first)) == 2)
    damaged = np.delete(F, [0, neighbour][:n_missing], axis=0)
    V_mended, F_mended, changes = repair_mesh(V, damaged)
    assert_array_equal(V_mended, V)
    assert check_mesh(V, F_mended).problems == ()
    assert f"{n_missing} faces" in changes[0]


def test_a_large_hole_stays_and_is_reported() -> None:
    V, F = make_sphere()
    below = (V[F][:, :, 1] < 0.5).all(axis=1)
    V_mended, F_mended, _ = repair_mesh(V, F[below])
    assert [problem.kind for problem in check_mesh(V_mended, F_mended).problems] == ["open"]


def test_everything_at_once_gives_the_sphere_again_and_says_that_ids_changed() -> None:
    V, F = make_sphere()
    n = len(V)
    split = F.copy()
    split[: len(F) // 2] += n  # a seam; n more vertices, of which some are now without a face
    small = 0.1 * V + 5.0  # a second component
    damaged_V = np.concatenate([V, V + 1e-9, small, [[9.0, 9.0, 9.0]]])
    damaged_F = np.concatenate([split, F + 2 * n, split[:1], [[3, 3, 4]]])
    V_mended, F_mended, changes = repair_mesh(damaged_V, damaged_F)
    assert check_mesh(V_mended, F_mended).problems == ()
    assert len(V_mended) == n
    assert_allclose(np.sort(V_mended, axis=0), np.sort(V, axis=0), atol=1e-8)
    text = "\n".join(changes)
    for word in (
        "joined",
        "used a vertex twice",
        "repeated",
        "largest of 2 components",
        "VERTEX IDS CHANGED",
    ):
        assert word in text
