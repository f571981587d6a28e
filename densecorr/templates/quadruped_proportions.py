"""Proportions of the procedural quadruped, and the bones they imply."""

from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation


@dataclass(frozen=True)
class QuadrupedProportions:
    """A horse, a cow, a dog: lengths and thicknesses relative to the reference, angles in degrees."""

    size: float = 1.0  # of the whole animal; at 1 the trunk's axis is 1 m above ground
    body_length: float = 1.0  # hip to shoulder
    body_depth: float = 1.0  # height of the trunk's cross-section
    body_width: float = 1.0
    belly: float = 1.0  # loin against chest
    croup: float = 1.0  # pelvis against chest
    leg_length: float = 1.0  # height of hip and shoulder joints
    hock_height: float = 1.0  # of carpus and hock, against the leg
    fetlock_height: float = 1.0  # of fetlock and hind fetlock, against the leg
    stance: float = 1.0  # distance between left and right feet
    leg_thickness: float = 1.0
    thigh_thickness: float = 1.0
    foot_size: float = 1.0
    neck_length: float = 1.0
    neck_thickness: float = 1.0
    neck_angle: float = 51.0  # above horizontal
    head_length: float = 1.0
    head_thickness: float = 1.0
    head_angle: float = 35.0  # below horizontal
    muzzle_length: float = 1.0
    muzzle_thickness: float = 1.0
    ear_length: float = 1.0
    ear_thickness: float = 1.0
    ear_angle: float = 23.0  # outwards from straight up
    tail_length: float = 1.0
    tail_thickness: float = 1.0
    tail_angle: float = 10.0  # below horizontal, at the root
    tail_curl: float = 4.0  # further down at each of the two following segments


HORSE = QuadrupedProportions(
    body_depth=1.06, body_length=1.04, leg_thickness=0.62, thigh_thickness=0.98, foot_size=0.72,
    neck_thickness=1.04, head_angle=48.0, head_thickness=0.95, muzzle_thickness=0.88, ear_length=0.62,
    ear_thickness=0.55, ear_angle=14.0, tail_length=1.1, tail_thickness=0.95, tail_angle=42.0,
    tail_curl=18.0, stance=0.9, hock_height=1.03,
)  # fmt: skip
COW = QuadrupedProportions(
    size=1.02, body_length=1.2, body_depth=1.28, body_width=1.25, belly=1.04, croup=0.98, leg_length=0.92,
    leg_thickness=0.7, thigh_thickness=0.98, foot_size=0.8, hock_height=0.92, stance=1.05, neck_length=0.8,
    neck_thickness=1.05, neck_angle=28.0, head_length=1.0, head_thickness=1.2, head_angle=42.0,
    muzzle_length=0.8, muzzle_thickness=1.2, ear_length=0.75, ear_thickness=0.8, ear_angle=80.0,
    tail_length=1.1, tail_thickness=0.5, tail_angle=60.0, tail_curl=13.0,
)  # fmt: skip
DOG = QuadrupedProportions(
    size=0.46, body_length=0.98, body_depth=0.95, body_width=0.92, belly=0.84, croup=0.86, leg_length=0.92,
    hock_height=0.86, fetlock_height=0.72, stance=0.95, leg_thickness=0.72, thigh_thickness=0.9,
    foot_size=0.95, neck_length=0.68, neck_thickness=0.92, neck_angle=48.0, head_length=0.95,
    head_thickness=1.15, head_angle=16.0, muzzle_length=0.72, muzzle_thickness=0.82, ear_length=0.8,
    ear_thickness=0.72, ear_angle=24.0, tail_length=1.05, tail_thickness=0.72, tail_angle=-25.0,
    tail_curl=-16.0,
)  # fmt: skip


def sample_proportions(rng: np.random.Generator, spread: float = 1.0) -> QuadrupedProportions:
    """A random animal: HORSE at spread 0, any mixture of the three presets at 1, with some noise."""
    share = rng.dirichlet((0.5, 0.5, 0.5))
    share = (1 - min(spread, 1.0)) * np.array([1.0, 0.0, 0.0]) + min(spread, 1.0) * share
    out = {}
    for field in fields(QuadrupedProportions):
        presets = np.array([getattr(preset, field.name) for preset in (HORSE, COW, DOG)])
        noise = spread * float(np.clip(rng.standard_normal(), -2.0, 2.0))
        is_angle = field.name.endswith(("_angle", "_curl"))
        mean = share @ presets if is_angle else np.exp(share @ np.log(presets))
        out[field.name] = float(mean + 4.0 * noise) if is_angle else float(mean * np.exp(0.04 * noise))
    return QuadrupedProportions(**out)


def place_bones(
    bones: tuple[str, ...],
    ref_heads: Float[np.ndarray, "J 3"],
    ref_tails: Float[np.ndarray, "J 3"],
    p: QuadrupedProportions,
) -> tuple[Float[np.ndarray, "J 3"], Float[np.ndarray, "J 3"]]:
    """Where each bone starts and ends for these proportions (before `size`)."""
    heads, tails = ref_heads.copy(), ref_tails.copy()
    index = {bone: j for j, bone in enumerate(bones)}
    lift = np.array([0.0, (p.leg_length - 1.0), 0.0])  # the trunk's axis is about 1 m above ground
    trunk = [index[b] for b in ("pelvis", "loin", "chest")]
    for ends in (heads, tails):
        ends[trunk] = ends[trunk] * (1.0, 1.0, p.body_length) + lift

    def chain(
        names: tuple[str, ...],
        start: Float[np.ndarray, " 3"],
        lengths: tuple[float, ...],
        turn: list[float],
    ) -> None:
        """Lay bones end to end from `start`, each scaled in length and pitched by `turn` degrees."""
        for bone, length, degrees in zip(names, lengths, turn, strict=True):
            j = index[bone]
            heads[j] = start
            tails[j] = start = start + length * _pitched(ref_tails[j] - ref_heads[j], degrees)

    chest, pelvis, neck_low, head = (index[b] for b in ("chest", "pelvis", "neck_low", "head"))
    body = np.array([p.body_width, p.body_depth, p.body_length])
    nape = heads[chest] + (ref_heads[neck_low] - ref_heads[chest]) * body
    chain(("neck_low", "neck_high"), nape, (p.neck_length,) * 2, [51.0 - p.neck_angle] * 2)
    gap = ref_heads[head] - ref_tails[index["neck_high"]]
    nod = p.head_angle - 35.0
    poll = tails[index["neck_high"]] + p.head_thickness * _pitched(gap, nod)
    chain(("head", "muzzle"), poll, (p.head_length, p.muzzle_length), [nod] * 2)
    rump = heads[pelvis] + (ref_heads[index["tail_1"]] - ref_heads[pelvis]) * (
        1.0,
        p.croup * p.body_depth,
        p.croup,
    )
    droop = [
        6.0 - p.tail_angle + i * (4.0 - p.tail_curl) for i in range(3)
    ]  # it points backwards: pitch lifts it
    chain(("tail_1", "tail_2", "tail_3"), rump, (p.tail_length,) * 3, droop)
    for side, sign in (("L", 1.0), ("R", -1.0)):
        ear = index[f"ear.{side}"]
        offset = (ref_heads[ear] - ref_heads[head]) * p.head_thickness
        heads[ear] = heads[head] + _pitched(offset, nod)
        out = np.radians(p.ear_angle)
        length = p.ear_length * np.linalg.norm(ref_tails[ear] - ref_heads[ear])
        tails[ear] = heads[ear] + length * np.array([sign * np.sin(out), np.cos(out), -0.05])
        front = ("upper_arm", "forearm", "front_cannon", "front_foot")
        hind = ("thigh", "gaskin", "hind_cannon", "hind_foot")
        for limb, girth in ((front, 1.0), (hind, p.croup)):
            joints = np.array(
                [ref_heads[index[f"{b}.{side}"]] for b in limb] + [ref_tails[index[f"{limb[-1]}.{side}"]]]
            )
            root = joints[0].copy()
            height = p.leg_length * np.array([1.0, 1.0, p.hock_height, p.fetlock_height, p.fetlock_height])
            placed = joints.copy()
            placed[:, 0] *= np.array([p.body_width * girth, p.stance, p.stance, p.stance, p.stance])
            placed[:, 1] *= height
            placed[:, 2] = root[2] * p.body_length + (joints[:, 2] - root[2]) * p.leg_length
            for j, bone in enumerate(limb):
                heads[index[f"{bone}.{side}"]], tails[index[f"{bone}.{side}"]] = (
                    placed[j],
                    placed[j + 1],
                )
    return heads, tails


def bone_thickness(bones: tuple[str, ...], p: QuadrupedProportions) -> Float[np.ndarray, "J 2"]:
    """Scale of every bone's flesh across its axis: sideways, and in the sagittal plane."""
    trunk = np.array([p.body_width, p.body_depth])
    table = {
        "pelvis": trunk * p.croup, "loin": trunk * p.belly, "chest": trunk, "neck_low": p.neck_thickness,
        "neck_high": p.neck_thickness, "head": p.head_thickness, "muzzle": p.muzzle_thickness,
        "ear": p.ear_thickness, "tail_1": p.tail_thickness, "tail_2": p.tail_thickness,
        "tail_3": p.tail_thickness,
        "upper_arm": p.thigh_thickness, "forearm": (p.leg_thickness * p.thigh_thickness) ** 0.5,
        "front_cannon": p.leg_thickness, "front_foot": p.foot_size, "thigh": p.thigh_thickness,
        "gaskin": (p.leg_thickness * p.thigh_thickness) ** 0.5, "hind_cannon": p.leg_thickness,
        "hind_foot": p.foot_size,
    }  # fmt: skip
    return np.array([np.broadcast_to(table[bone.split(".")[0]], 2) for bone in bones])


def bone_transforms(
    ref_heads: Float[np.ndarray, "J 3"],
    ref_tails: Float[np.ndarray, "J 3"],
    heads: Float[np.ndarray, "J 3"],
    tails: Float[np.ndarray, "J 3"],
    thickness: Float[np.ndarray, "J 2"],
) -> Float[np.ndarray, "J 3 4"]:
    """Affine map of each bone: scale in its own frame, turn from the reference axis to the new one, move."""
    out = np.empty((len(heads), 3, 4))
    for j in range(len(heads)):
        old, new = ref_tails[j] - ref_heads[j], tails[j] - heads[j]
        axis, target = old / np.linalg.norm(old), new / np.linalg.norm(new)
        side = np.array([1.0, 0.0, 0.0]) - axis[0] * axis
        side /= np.linalg.norm(side)
        E = np.stack([side, np.cross(axis, side), axis], axis=1)
        scale = np.array([*thickness[j], np.linalg.norm(new) / np.linalg.norm(old)])
        normal = np.cross(axis, target)
        sine = np.linalg.norm(normal)
        turn = normal / max(sine, 1e-12) * np.arctan2(sine, axis @ target)
        A = Rotation.from_rotvec(turn).as_matrix() @ (E * scale) @ E.T
        out[j, :, :3], out[j, :, 3] = A, heads[j] - A @ ref_heads[j]
    return out


def _pitched(x: Float[np.ndarray, " 3"], degrees: float) -> Float[np.ndarray, " 3"]:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([x[0], c * x[1] - s * x[2], s * x[1] + c * x[2]])
