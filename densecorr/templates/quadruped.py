"""A procedural quadruped: one mesh, any proportions between horse, cow and dog, posable.

The reference mesh (`quadruped_reference.py`, baked into `data/quadruped.npz`) is deformed bone by bone: each
bone is moved, turned and scaled along and across its axis, and the vertices follow by linear blend skinning.
So every animal has the same faces and the same vertex meaning.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files

import numpy as np
import scipy.sparse
from jaxtyping import Float, Int

from densecorr.errors import SettingsError
from densecorr.templates.quadruped_proportions import (
    COW,
    DOG,
    HORSE,
    QuadrupedProportions,
    bone_thickness,
    bone_transforms,
    place_bones,
    sample_proportions,
)
from densecorr.templates.skinning import (
    Vector,
    blend,
    check_parents,
    forward_kinematics,
    grounded,
    pose_vectors,
    skin_matrix,
)

__all__ = [
    "COW",
    "DOG",
    "HORSE",
    "PosableQuadruped",
    "Quadruped",
    "QuadrupedProportions",
    "build_quadruped",
    "load_quadruped",
    "pose_quadruped",
    "sample_proportions",
    "sample_quadruped_pose",
]


@dataclass(frozen=True)
class Quadruped:
    """One animal at rest (standing), ready to pose."""

    V: Float[np.ndarray, "V 3"]
    F: Int[np.ndarray, "F 3"]
    weights: scipy.sparse.csr_matrix  # (V, J), rows sum to one
    bones: tuple[str, ...]
    parents: Int[np.ndarray, " J"]
    joints: Float[np.ndarray, "J 3"]  # the point each bone turns about, metres
    mirror: Int[np.ndarray, " V"]
    owner: Int[np.ndarray, " V"]  # the bone that moves each vertex most
    proportions: QuadrupedProportions


def build_quadruped(proportions: QuadrupedProportions = HORSE) -> Quadruped:
    """The standing animal of these proportions: metres, y up, front +z, left +x, lowest point at y = 0.

    Raises:
        SettingsError: a length or thickness that is not positive.
    """
    for field in fields(proportions):
        value = getattr(proportions, field.name)
        if not field.name.endswith(("_angle", "_curl")) and not value > 0:
            raise SettingsError(
                expected=f"a positive {field.name}",
                received=str(value),
                remedy="Lengths and thicknesses are relative to the reference, 1 keeps them.",
            )
    ref = _reference()
    heads, tails = place_bones(ref.bones, ref.heads, ref.tails, proportions)
    thickness = bone_thickness(ref.bones, proportions)
    transforms = bone_transforms(ref.heads, ref.tails, heads, tails, thickness)
    V = proportions.size * blend(ref.V, ref.weights, transforms)
    floor = np.array([0.0, V[:, 1].min(), 0.0])
    joints = proportions.size * heads - floor
    return Quadruped(
        V - floor,
        ref.F,
        ref.weights,
        ref.bones,
        ref.parents,
        joints,
        ref.mirror,
        ref.owner,
        proportions,
    )


def pose_quadruped(
    quadruped: Quadruped, pose: Mapping[str, Vector] | Float[np.ndarray, "J 3"]
) -> Float[np.ndarray, "V 3"]:
    """Vertices in a pose: axis-angle (radians) a bone, in world axes at rest; a mapping may omit bones."""
    vectors = pose_vectors(quadruped.bones, pose)
    transforms = forward_kinematics(quadruped.joints, quadruped.parents, vectors)
    return blend(quadruped.V, quadruped.weights, transforms)


def sample_quadruped_pose(
    rng: np.random.Generator, spread: float = 1.0, neck_angle: float = HORSE.neck_angle
) -> dict[str, Vector]:
    """A plausible pose: standing, walking, trotting or grazing, with a turn of spine, neck, head and tail.

    Args:
        rng: source of randomness.
        spread: scales every joint angle; 0 is standing straight.
        neck_angle: the animal's neck above horizontal, degrees; a grazing neck is lowered from there.

    Returns:
        Axis-angle in radians of the bones that turn; x pitches down or swings back, y yaws left, z rolls.
    """
    gait = str(rng.choice(("stand", "walk", "trot", "graze"), p=(0.25, 0.35, 0.15, 0.25)))
    phases = (
        {"LF": 0.25, "RF": 0.75, "LH": 0.0, "RH": 0.5}
        if gait != "trot"
        else {"LF": 0, "RF": 0.5, "LH": 0.5, "RH": 0}
    )
    stride = spread * {"stand": 0.12, "walk": 0.42, "trot": 0.5, "graze": 0.2}[gait] * rng.uniform(0.6, 1.1)
    start = rng.uniform()
    pose: dict[str, Vector] = {}
    for side in ("L", "R"):
        for leg in ("F", "H"):
            phase = 2 * np.pi * (start + phases[side + leg] + 0.03 * rng.standard_normal())
            pose |= _leg(leg, side, stride, phase)
    yaw, nod, wag = spread * rng.normal(0.0, (0.22, 0.12, 0.25)).clip(-0.5, 0.5)
    bend = spread * float(np.clip(rng.normal(0.0, 0.07), -0.15, 0.15))
    down = np.radians(neck_angle + rng.uniform(30.0, 55.0)) if gait == "graze" else rng.normal(0.0, 0.15)
    down *= min(spread, 1.0) if gait == "graze" else spread
    pose["loin"] = (0.0, bend, 0.0)
    pose["chest"] = (0.0, bend, 0.0)
    pose["neck_low"] = (0.55 * down, 0.5 * yaw + 0.5 * bend, 0.0)
    pose["neck_high"] = (0.45 * down, 0.6 * yaw, 0.0)
    pose["head"] = (
        nod - (0.35 if gait == "graze" else 0.6) * down,
        0.5 * yaw,
        spread * 0.06 * rng.normal(),
    )
    for ear in ("ear.L", "ear.R"):
        turn = spread * rng.normal(0.0, (0.15, 0.1)).clip(-0.35, 0.35)
        pose[ear] = (float(turn[0]), 0.0, float(turn[1]))
    lift = spread * float(np.clip(rng.normal(0.0, 0.12), -0.2, 0.35))
    for i, tail in enumerate(("tail_1", "tail_2", "tail_3")):
        pose[tail] = (lift * (1.0 - 0.3 * i), float(wag), 0.0)
    return {bone: (float(x), float(y), float(z)) for bone, (x, y, z) in pose.items()}


def _leg(leg: str, side: str, stride: float, phase: float) -> dict[str, Vector]:
    """Joint pitches of a leg at a phase of its step: forward with folded joints, back with a flat foot."""
    swing = stride * np.sin(phase)  # positive: the foot is behind
    fold = 1.6 * stride * max(0.0, -np.cos(phase))  # in the air while the leg comes forward
    if leg == "F":
        angles = {
            "upper_arm": swing - 0.35 * fold,
            "forearm": 0.1 * fold,
            "front_cannon": 1.1 * fold,
        }
        foot = "front_foot"
    else:
        angles = {
            "thigh": swing - 0.55 * fold,
            "gaskin": 1.0 * fold,
            "hind_cannon": -0.55 * fold,
        }
        foot = "hind_foot"
    total = sum(angles.values())
    angles[foot] = -total + 0.9 * fold
    return {f"{bone}.{side}": (angle, 0.0, 0.0) for bone, angle in angles.items()}


@dataclass(frozen=True)
class PosableQuadruped:
    """The quadruped as a `PosableShape`: rest() is the standing HORSE."""

    name: str = "quadruped"

    @property
    def F(self) -> Int[np.ndarray, "F 3"]:
        """Faces of every animal and pose."""
        return _reference().F

    def rest(self) -> Float[np.ndarray, "V 3"]:
        """The standing horse."""
        return build_quadruped(HORSE).V

    def sample(self, rng: np.random.Generator, spread: float = 1.0) -> Float[np.ndarray, "V 3"]:
        """A random animal in a random pose, feet on the ground, head never below it."""
        quadruped = build_quadruped(sample_proportions(rng, spread))
        pose = sample_quadruped_pose(rng, spread, quadruped.proportions.neck_angle)
        is_foot = np.isin(quadruped.owner, [j for j, b in enumerate(quadruped.bones) if "foot" in b])
        for _ in range(12):
            V = pose_quadruped(quadruped, pose)
            floor = V[is_foot, 1].min()
            if V[:, 1].min() >= floor:
                break
            for bone in ("neck_low", "neck_high"):
                x, y, z = pose[bone]
                pose[bone] = (x - 0.08, y, z)
        return grounded(V)


def load_quadruped() -> PosableQuadruped:
    """The posable quadruped of the catalog."""
    return PosableQuadruped()


@dataclass(frozen=True)
class _Reference:
    V: Float[np.ndarray, "V 3"]
    F: Int[np.ndarray, "F 3"]
    mirror: Int[np.ndarray, " V"]
    bones: tuple[str, ...]
    parents: Int[np.ndarray, " J"]
    heads: Float[np.ndarray, "J 3"]
    tails: Float[np.ndarray, "J 3"]
    weights: scipy.sparse.csr_matrix
    owner: Int[np.ndarray, " V"]


@cache
def _reference() -> _Reference:
    with files("densecorr.templates").joinpath("data/quadruped.npz").open("rb") as file:
        z = np.load(file, allow_pickle=False)
        bones = tuple(str(b) for b in z["bones"])
        weights = skin_matrix(
            z["skin_bones"].astype(np.int64),
            z["skin_weights"].astype(np.float64),
            len(bones),
        )
        V, F, mirror = (
            z["V"].astype(np.float64),
            z["F"].astype(np.int64),
            z["mirror"].astype(np.int64),
        )
        parents, owner = (
            z["parents"].astype(np.int64),
            z["skin_bones"][:, 0].astype(np.int64),
        )
        check_parents(parents)
        return _Reference(V, F, mirror, bones, parents, z["heads"], z["tails"], weights, owner)
