import time
from dataclasses import astuple, replace
from importlib.resources import files

import numpy as np
import pytest
import trimesh
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial.transform import Rotation

from densecorr.errors import SettingsError
from densecorr.templates.posable import PosableShape
from densecorr.templates.quadruped import (
    COW,
    DOG,
    HORSE,
    Quadruped,
    QuadrupedProportions,
    build_quadruped,
    load_quadruped,
    pose_quadruped,
    sample_proportions,
    sample_quadruped_pose,
)
from densecorr.templates.quadruped_reference import implicit, make_reference
from densecorr.templates.skinning import forward_kinematics, pose_vectors

PRESETS = {"horse": HORSE, "cow": COW, "dog": DOG}
MIRROR = np.array([-1.0, 1.0, 1.0])


@pytest.fixture(params=PRESETS, scope="module")
def animal(request: pytest.FixtureRequest) -> Quadruped:
    return build_quadruped(PRESETS[request.param])


def least_angle(V: np.ndarray, F: np.ndarray) -> np.ndarray:
    a, b, c = (V[F[:, i]] for i in range(3))
    return np.degrees(trimesh.triangles.angles(np.stack([a, b, c], axis=1))).min(axis=1)


def test_it_is_closed_oriented_and_without_handles(animal: Quadruped) -> None:
    mesh = trimesh.Trimesh(animal.V, animal.F, process=False)
    assert mesh.is_watertight
    assert mesh.is_winding_consistent
    assert mesh.volume > 0  # outwards
    assert mesh.body_count == 1
    assert mesh.euler_number == 2
    assert 4500 <= len(animal.V) <= 5500


def test_triangles_are_well_shaped(animal: Quadruped) -> None:
    angle = least_angle(animal.V, animal.F)
    assert np.percentile(angle, 1) > 20
    assert angle.min() > 5


def test_left_and_right_mirror_each_other(animal: Quadruped) -> None:
    assert_array_equal(animal.mirror[animal.mirror], np.arange(len(animal.V)))
    assert_allclose(animal.V[animal.mirror] * MIRROR, animal.V, atol=1e-12)
    left = [j for j, bone in enumerate(animal.bones) if bone.endswith(".L")]
    assert (animal.joints[left, 0] > 0).all()  # the subject's left is +x


def test_it_stands_on_the_ground_and_faces_forward(animal: Quadruped) -> None:
    at = dict(zip(animal.bones, animal.joints, strict=True))
    assert animal.V[:, 1].min() == pytest.approx(0.0, abs=1e-12)
    assert at["muzzle"][2] > at["chest"][2] > at["pelvis"][2] > at["tail_3"][2]
    feet = np.array([animal.V[animal.owner == animal.bones.index(f"{foot}.{side}"), 1].min()
                     for foot in ("front_foot", "hind_foot") for side in "LR"])  # fmt: skip
    assert np.ptp(feet) < 0.03 * np.ptp(animal.V[:, 1])


@pytest.mark.parametrize(
    ("name", "low", "high"), [("horse", 1.5, 1.9), ("cow", 1.3, 1.7), ("dog", 0.55, 0.9)]
)
def test_heights_are_in_metres(name: str, low: float, high: float) -> None:
    assert low < np.ptp(build_quadruped(PRESETS[name]).V[:, 1]) < high


def test_presets_share_faces_and_vertex_meaning() -> None:
    horse, cow, dog = (build_quadruped(p) for p in PRESETS.values())
    assert_array_equal(horse.F, cow.F)
    assert_array_equal(horse.F, dog.F)
    # the highest vertex of the dog's left ear is at the tip of the horse's left ear as well
    ear = horse.bones.index("ear.L")
    tip = np.flatnonzero(dog.owner == ear)[dog.V[dog.owner == ear, 1].argmax()]
    assert horse.V[tip, 1] > horse.V[horse.owner == ear, 1].max() - 0.03


def test_weights_sum_to_one(animal: Quadruped) -> None:
    assert_allclose(np.asarray(animal.weights.sum(axis=1)).ravel(), 1.0, atol=1e-12)


def test_no_turn_returns_the_rest(animal: Quadruped) -> None:
    assert_allclose(pose_quadruped(animal, {}), animal.V, atol=1e-12)


def test_turning_the_root_turns_everything(animal: Quadruped) -> None:
    turn = np.array([0.4, -0.3, 0.8])
    R, root = Rotation.from_rotvec(turn).as_matrix(), animal.joints[0]
    assert_allclose(pose_quadruped(animal, {"pelvis": turn}), (animal.V - root) @ R.T + root, atol=1e-12)


def test_poses_keep_bone_lengths(animal: Quadruped) -> None:
    pose = pose_vectors(animal.bones, sample_quadruped_pose(np.random.default_rng(3)))
    T = forward_kinematics(animal.joints, animal.parents, pose)
    posed = np.einsum("jik,jk->ji", T[:, :, :3], animal.joints) + T[:, :, 3]
    before = animal.joints[1:] - animal.joints[animal.parents[1:]]
    after = posed[1:] - posed[animal.parents[1:]]
    assert_allclose(np.linalg.norm(after, axis=1), np.linalg.norm(before, axis=1), atol=1e-12)


def test_size_scales_and_longer_legs_lift_the_trunk() -> None:
    horse = build_quadruped(HORSE)
    assert_allclose(build_quadruped(replace(HORSE, size=0.5)).V, 0.5 * horse.V, atol=1e-12)
    chest = horse.bones.index("chest")
    tall = build_quadruped(replace(HORSE, leg_length=1.2))
    assert tall.joints[chest, 1] > horse.joints[chest, 1] + 0.1


def test_reference_proportions_give_the_reference_back() -> None:
    neutral = build_quadruped(QuadrupedProportions(tail_angle=6.0, tail_curl=4.0, ear_angle=23.2))
    on_surface = implicit(neutral.V - [0.0, neutral.V[:, 1].min() + 0.02, 0.0])
    assert np.abs(on_surface).mean() < 2e-3


def test_negative_lengths_are_refused() -> None:
    with pytest.raises(SettingsError, match="neck_length"):
        build_quadruped(replace(HORSE, neck_length=-1.0))


def test_it_is_a_posable_shape() -> None:
    shape = load_quadruped()
    assert isinstance(shape, PosableShape)
    assert_array_equal(shape.rest(), build_quadruped(HORSE).V)


def test_samples_repeat_by_seed_and_differ_between_seeds() -> None:
    shape = load_quadruped()
    one, again, other = (shape.sample(np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert_array_equal(one, again)
    assert np.abs(one - other).max() > 0.05


def test_no_spread_is_the_standing_horse() -> None:
    shape = load_quadruped()
    proportions = sample_proportions(np.random.default_rng(0), 0.0)
    assert_allclose(astuple(proportions), astuple(HORSE))
    assert_allclose(shape.sample(np.random.default_rng(0), 0.0), shape.rest(), atol=1e-9)


def test_sampled_animals_stand_on_their_feet() -> None:
    shape, horse = load_quadruped(), build_quadruped(HORSE)
    is_foot = np.isin(horse.owner, [j for j, bone in enumerate(horse.bones) if "foot" in bone])
    for seed in range(25):
        V = shape.sample(np.random.default_rng(seed))
        assert V[:, 1].min() == 0.0
        assert V[is_foot, 1].min() < 1e-3
        assert trimesh.Trimesh(V, shape.F, process=False).volume > 0
        assert 0.4 < np.ptp(V[:, 1]) < 2.2


def test_a_coarser_reference_can_be_built() -> None:
    coarse = make_reference(spacing=0.06, n_relax=8)
    mesh = trimesh.Trimesh(coarse.V, coarse.F, process=False)
    assert mesh.is_watertight
    assert mesh.euler_number == 2
    assert len(coarse.V) < 2500
    assert_array_equal(coarse.V[coarse.mirror] * MIRROR, coarse.V)
    assert_allclose(coarse.skin_weights.sum(axis=1), 1.0)
    assert np.abs(implicit(coarse.V)).max() < 0.01


def test_the_asset_is_small() -> None:
    assert len(files("densecorr.templates").joinpath("data/quadruped.npz").read_bytes()) < 300_000


def test_sampling_is_quick() -> None:
    shape, rng, seconds = load_quadruped(), np.random.default_rng(0), []
    for _ in range(10):
        start = time.process_time()
        shape.sample(rng)
        seconds.append(time.process_time() - start)
    assert min(seconds) < 0.05  # about 4 ms without type checks; the margin is for slow machines
