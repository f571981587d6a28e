import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.spatial.transform import Rotation

from densecorr.errors import MeshError, SettingsError
from densecorr.templates.skinning import (
    blend,
    check_parents,
    forward_kinematics,
    grounded,
    pose_vectors,
    skin_matrix,
    top_weights,
)

# An arm along x: shoulder at 0, elbow at 1, wrist at 2.
JOINTS = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [2.0, 0.0, 0.0]])
PARENTS = np.array([-1, 0, 1])


def apply(transform: np.ndarray, x: np.ndarray) -> np.ndarray:
    return transform[:, :3] @ x + transform[:, 3]


def test_a_bent_elbow_carries_the_hand_along_a_circle() -> None:
    pose = np.zeros((3, 3))
    pose[1] = (0.0, 0.0, np.pi / 2)
    T = forward_kinematics(JOINTS, PARENTS, pose)
    assert_allclose(apply(T[1], JOINTS[2]), (1.0, 1.0, 0.0), atol=1e-12)
    assert_allclose(apply(T[2], np.array([3.0, 0.0, 0.0])), (1.0, 2.0, 0.0), atol=1e-12)


def test_turns_of_parent_and_child_compose() -> None:
    pose = np.array([[0.0, 0.0, np.pi / 2], [0.0, 0.0, -np.pi / 2], [0.0, 0.0, 0.0]])
    T = forward_kinematics(JOINTS, PARENTS, pose)
    assert_allclose(apply(T[0], JOINTS[1]), (0.0, 1.0, 0.0), atol=1e-12)
    assert_allclose(apply(T[2], JOINTS[2]), (1.0, 1.0, 0.0), atol=1e-12)  # the forearm points along x again


def test_joints_keep_their_distances_in_any_pose(rng: np.random.Generator) -> None:
    T = forward_kinematics(JOINTS, PARENTS, rng.normal(size=(3, 3)))
    posed = np.stack([apply(T[j], JOINTS[j]) for j in range(3)])
    assert_allclose(np.linalg.norm(np.diff(posed, axis=0), axis=1), 1.0)


def test_blend_with_one_bone_a_vertex_is_rigid(rng: np.random.Generator) -> None:
    V = rng.normal(size=(20, 3))
    R = Rotation.from_rotvec([0.3, -0.2, 0.9]).as_matrix()
    transforms = np.stack([np.c_[R, [1.0, 2.0, 3.0]], np.c_[np.eye(3), np.zeros(3)]])
    weights = skin_matrix(np.zeros((20, 1), dtype=np.int64), np.ones((20, 1)), 2)
    assert_allclose(blend(V, weights, transforms), V @ R.T + (1.0, 2.0, 3.0))


def test_blend_of_two_translations_is_their_weighted_mean() -> None:
    transforms = np.stack([np.c_[np.eye(3), [1.0, 0.0, 0.0]], np.c_[np.eye(3), [0.0, 1.0, 0.0]]])
    weights = skin_matrix(np.array([[0, 1]]), np.array([[0.25, 0.75]]), 2)
    assert_allclose(blend(np.zeros((1, 3)), weights, transforms), [[0.25, 0.75, 0.0]])


def test_top_weights_keeps_the_largest_and_normalises() -> None:
    bones, weights = top_weights(np.array([[0.1, 0.6, 0.3], [0.0, 0.2, 0.8]]), 2)
    assert bones.tolist() == [[1, 2], [2, 1]]
    assert_allclose(weights, [[2 / 3, 1 / 3], [0.8, 0.2]])


def test_grounded_puts_the_lowest_point_at_zero() -> None:
    assert_allclose(
        grounded(np.array([[1.0, -2.0, 3.0], [0.0, 5.0, 0.0]])), [[1.0, 0.0, 3.0], [0.0, 7.0, 0.0]]
    )


def test_pose_vectors_leave_other_bones_alone() -> None:
    vectors = pose_vectors(("root", "arm"), {"arm": (1.0, 2.0, 3.0)})
    assert_allclose(vectors, [[0.0, 0.0, 0.0], [1.0, 2.0, 3.0]])


def test_an_unknown_bone_is_named() -> None:
    with pytest.raises(SettingsError, match="wing"):
        pose_vectors(("root", "arm"), {"wing": (0.0, 0.0, 0.0)})


@pytest.mark.parametrize(
    ("bones", "weights"),
    [([[0, 2]], [[0.5, 0.5]]), ([[0, 1]], [[0.5, 0.2]]), ([[0, 1]], [[1.5, -0.5]])],
    ids=["bone out of range", "sum below one", "negative"],
)
def test_bad_weights_are_refused(bones: list, weights: list) -> None:
    with pytest.raises(MeshError):
        skin_matrix(np.array(bones), np.array(weights), 2)


@pytest.mark.parametrize("parents", [[0, 0], [-1, -1], [-1, 2, 1]])
def test_bad_hierarchies_are_refused(parents: list[int]) -> None:
    with pytest.raises(MeshError):
        check_parents(np.array(parents))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)
