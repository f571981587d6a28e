import time
from importlib.resources import files

import numpy as np
import pytest
import trimesh
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial.transform import Rotation

from densecorr.errors import SettingsError
from densecorr.templates.body import PosableBody, load_body, pose_body, sample_pose, sample_shape, shape_body
from densecorr.templates.posable import PosableShape
from densecorr.templates.skinning import forward_kinematics, pose_vectors

MIRROR = np.array([-1.0, 1.0, 1.0])
MEAN = np.zeros(16)


@pytest.fixture(scope="module")
def body() -> PosableBody:
    return load_body()


def posed_joints(body: PosableBody, pose: np.ndarray) -> dict[str, np.ndarray]:
    T = forward_kinematics(body.joints, body.parents, pose)
    posed = np.einsum("jik,jk->ji", T[:, :, :3], body.joints) + T[:, :, 3]
    return dict(zip(body.bones, posed, strict=True))


def angle(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.degrees(np.arccos(a @ b / np.linalg.norm(a) / np.linalg.norm(b))))


def test_it_is_closed_oriented_and_without_handles(body: PosableBody) -> None:
    mesh = trimesh.Trimesh(body.V, body.F, process=False)
    assert len(body.V) == 13348
    assert mesh.is_watertight
    assert mesh.is_winding_consistent
    assert mesh.body_count == 1
    assert mesh.euler_number == 2
    assert 0.045 < mesh.volume < 0.09  # cubic metres: 45 to 90 kg


def test_the_rest_stands_on_the_ground_and_faces_forward(body: PosableBody) -> None:
    at = dict(zip(body.bones, body.joints, strict=True))
    assert body.V[:, 1].min() == pytest.approx(0.0, abs=1e-6)
    assert 1.55 < body.V[:, 1].max() < 1.8
    assert at["head"][1] > at["spine01"][1] > at["root"][1] > at["foot.L"][1]
    assert at["toes.L"][2] > at["foot.L"][2]  # front is +z
    assert at["wrist.L"][0] > 0.3  # left is +x


def test_left_and_right_mirror_each_other(body: PosableBody) -> None:
    assert_array_equal(body.mirror[body.mirror], np.arange(len(body.V)))
    assert_allclose(body.V[body.mirror] * MIRROR, body.V, atol=1e-6)
    shaped, _ = shape_body(body, body.people[0])
    assert_allclose(shaped[body.mirror] * MIRROR, shaped, atol=1e-3)
    faces = {frozenset(face) for face in body.F.tolist()}
    mirrored = [frozenset(face) for face in body.mirror[body.F].tolist()]
    assert sum(face in faces for face in mirrored) > 0.9 * len(mirrored)  # quads are cut along one diagonal


def test_weights_sum_to_one(body: PosableBody) -> None:
    assert_allclose(np.asarray(body.weights.sum(axis=1)).ravel(), 1.0, atol=1e-12)


def test_no_turn_returns_the_rest(body: PosableBody) -> None:
    assert_allclose(pose_body(body, MEAN, {}), body.rest(), atol=1e-12)


def test_turning_the_root_turns_everything(body: PosableBody) -> None:
    turn = np.array([0.4, -0.3, 0.8])
    R, root = Rotation.from_rotvec(turn).as_matrix(), body.joints[0]
    assert_allclose(pose_body(body, MEAN, {"root": turn}), (body.V - root) @ R.T + root, atol=1e-12)


def test_poses_keep_bone_lengths(body: PosableBody) -> None:
    posed = np.stack(list(posed_joints(body, sample_pose(body, np.random.default_rng(1))).values()))
    before = np.linalg.norm(body.joints[1:] - body.joints[body.parents[1:]], axis=1)
    after = np.linalg.norm(posed[1:] - posed[body.parents[1:]], axis=1)
    assert_allclose(after, before, atol=1e-12)


def test_a_bent_knee_moves_the_shin_back_and_nothing_above(body: PosableBody) -> None:
    V = pose_body(body, MEAN, {"lowerleg01.L": (1.2, 0.0, 0.0)})
    moved = np.linalg.norm(V - body.V, axis=1) > 1e-9
    assert body.V[moved, 1].max() < 0.7
    assert (body.V[moved, 0] > 0).all()
    foot = body.owner == body.bones.index("foot.L")
    assert V[foot, 2].mean() < body.V[foot, 2].mean() - 0.2


@pytest.mark.parametrize("bone", ["wrist.L", "foot.R", "head"])
def test_the_flesh_of_a_bone_surrounds_its_joint(body: PosableBody, bone: str) -> None:
    flesh = body.V[body.owner == body.bones.index(bone)]
    joint = body.joints[body.bones.index(bone)]
    assert (np.linalg.norm(flesh - joint, axis=1).min()) < 0.08


def test_people_are_of_human_size_and_their_soles_level(body: PosableBody) -> None:
    heights = []
    for coefficients in body.people[:60]:
        V, joints = shape_body(body, coefficients)
        heights.append(np.ptp(V[:, 1]))
        assert abs(V[:, 1].min()) < 0.01
        assert 0.40 * heights[-1] < joints[body.bones.index("upperleg01.L"), 1] < 0.60 * heights[-1]
    assert 1.3 < min(heights) < 1.6
    assert 1.75 < max(heights) < 2.1


def test_sampled_shapes_lie_between_people(body: PosableBody) -> None:
    rng = np.random.default_rng(0)
    shapes = np.stack([sample_shape(body, rng) for _ in range(200)])
    assert (shapes <= body.people.max(axis=0)).all()
    assert (shapes >= body.people.min(axis=0)).all()
    assert shapes[:, :3].std(axis=0).min() > 0.4
    assert_allclose(sample_shape(body, rng, 0.0), 0.0)


def test_a_wrong_number_of_coefficients_is_refused(body: PosableBody) -> None:
    with pytest.raises(SettingsError, match="16"):
        shape_body(body, np.zeros(10))


def test_sampled_joints_stay_in_human_ranges(body: PosableBody) -> None:
    for seed in range(150):
        pose = sample_pose(body, np.random.default_rng(seed))
        at = posed_joints(body, pose)
        chest_up = at["neck01"] - at["spine05"]
        for side in "LR":
            upper = at[f"lowerarm01.{side}"] - at[f"upperarm01.{side}"]
            fore = at[f"wrist.{side}"] - at[f"lowerarm01.{side}"]
            assert 4 < angle(upper, fore) < 131
            thigh = at[f"lowerleg01.{side}"] - at[f"upperleg01.{side}"]
            shin = at[f"foot.{side}"] - at[f"lowerleg01.{side}"]
            assert angle(thigh, shin) < 140
            assert angle(-chest_up, thigh) < 160
        assert angle(chest_up, np.array([0.0, 1.0, 0.0])) < 80


def test_knees_bend_one_way_only(body: PosableBody) -> None:
    for seed in range(60):
        vectors = sample_pose(body, np.random.default_rng(seed))
        for side in "LR":
            assert vectors[body.bones.index(f"lowerleg01.{side}"), 0] >= 0


def test_hands_stay_out_of_the_trunk(body: PosableBody) -> None:
    hands = np.isin(body.owner, [j for j, b in enumerate(body.bones) if b.startswith(("wrist", "finger"))])
    n_inside = 0
    for seed in range(40):
        pose = sample_pose(body, np.random.default_rng(seed))
        V, at = pose_body(body, MEAN, pose), posed_joints(body, pose)
        spine = at["root"] + np.linspace(0.0, 1.0, 12)[:, None] * (at["neck01"] - at["root"])
        n_inside += np.linalg.norm(V[hands][:, None] - spine, axis=2).min() < 0.08
    assert n_inside <= 2  # a dozen tries may all fail


def test_it_is_a_posable_shape(body: PosableBody) -> None:
    assert isinstance(body, PosableShape)


def test_samples_repeat_by_seed_stand_on_the_ground_and_differ(body: PosableBody) -> None:
    one, again, other = (body.sample(np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert_array_equal(one, again)
    assert one[:, 1].min() == 0.0
    assert np.abs(one - other).max() > 0.1


def test_no_spread_is_the_rest(body: PosableBody) -> None:
    assert_allclose(body.sample(np.random.default_rng(0), 0.0), body.rest(), atol=1e-6)


def test_posing_by_name_and_by_array_agree(body: PosableBody) -> None:
    pose = {"head": (0.0, 0.5, 0.0), "upperarm01.R": (0.1, 0.2, 0.3)}
    assert_array_equal(pose_body(body, MEAN, pose), pose_body(body, MEAN, pose_vectors(body.bones, pose)))


def test_the_asset_is_small_and_carries_its_licence() -> None:
    data = files("densecorr.templates").joinpath("data")
    assert len(data.joinpath("body.npz").read_bytes()) < 4_000_000
    assert "CC0" in data.joinpath("LICENSE-body.md").read_text(encoding="utf-8")


def test_sampling_is_quick(body: PosableBody) -> None:
    rng, seconds = np.random.default_rng(0), []
    for _ in range(10):
        start = time.process_time()
        body.sample(rng)
        seconds.append(time.process_time() - start)
    assert min(seconds) < 0.06  # about 5 ms without type checks; the margin is for slow machines
