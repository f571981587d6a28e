"""Plausible everyday poses of the body: standing, walking, sitting, crouching; arms down, bent, out or up.

Angles are drawn in anatomical terms within the ranges of everyday movement, then turned into axis-angle
vectors in world axes at rest. Arms that would run into trunk, head or legs are drawn again.
"""

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial.transform import Rotation

from densecorr.templates.skinning import forward_kinematics, pose_vectors

X, Y, Z = np.eye(3)
SIDES = {"L": 1.0, "R": -1.0}
SPINE = ("spine05", "spine04", "spine03", "spine02", "spine01")
NECK = ("neck01", "neck02", "neck03", "head")
# What hands stay out of: the flesh of some bones, moved along with one of them.
SOLID = {
    "spine05": ("spine05", "pelvis.L", "pelvis.R"),
    "spine04": ("spine04", "spine03"),
    "spine02": ("spine02",),
    "spine01": ("spine01",),
    "head": ("head",),
    "upperleg02.L": ("upperleg01.L", "upperleg02.L"),
    "upperleg02.R": ("upperleg01.R", "upperleg02.R"),
}
N_TRIES = 12

Turns = dict[str, Rotation]
Joints = dict[str, Float[np.ndarray, " 3"]]


def sample_body_pose(
    V: Float[np.ndarray, "V 3"],
    joints: Float[np.ndarray, "J 3"],
    bones: tuple[str, ...],
    parents: Int[np.ndarray, " J"],
    owner: Int[np.ndarray, " V"],
    rng: np.random.Generator,
    spread: float = 1.0,
) -> Float[np.ndarray, "J 3"]:
    """Draw a pose for a body at rest.

    Args:
        V: vertices at rest, metres.
        joints: the point each bone turns about, at rest.
        bones: bone names.
        parents: index of each bone's parent.
        owner: the bone that moves each vertex most; it tells trunk, head and legs apart.
        rng: source of randomness.
        spread: 0 is the rest pose, 1 (and above) the full range; every bone's turn is scaled.

    Returns:
        Axis-angle of each bone, radians.
    """
    at = dict(zip(bones, joints, strict=True))
    lower, swing = _lower_body(rng)
    trunk = _trunk(rng) | lower
    solids = _solids(V, owner, bones)
    for _ in range(N_TRIES):
        turns = dict(trunk)
        for side in SIDES:
            turns |= _arm(rng, at, side, swing[side]) | _hand(rng, at, side)
        scaled = {bone: min(spread, 1.0) * turn.as_rotvec() for bone, turn in turns.items()}
        pose = pose_vectors(bones, scaled)
        transforms = forward_kinematics(joints, parents, pose)
        if not _hits(transforms, joints, bones, solids):
            break
    return pose


def _lower_body(rng: np.random.Generator) -> tuple[Turns, dict[str, float]]:
    """Root and legs, and how far each arm swings forward with the step (radians, backward negative)."""
    mode = str(rng.choice(("stand", "walk", "sit", "crouch"), p=(0.35, 0.35, 0.1, 0.2)))
    lean = _draw(rng, -3, 6)
    hip, knee, apart = ({side: 0.0 for side in SIDES} for _ in range(3))
    swing = {side: 0.0 for side in SIDES}
    phase, stride = rng.uniform(0.0, 2 * np.pi), _draw(rng, 10, 32)
    depth = _draw(rng, 15, 75)
    for side, sign in SIDES.items():
        apart[side] = _draw(rng, -4, 4)
        if mode == "stand":
            hip[side], knee[side] = _draw(rng, -4, 10), _draw(rng, 0, 12)
        elif mode == "walk":
            step = np.sin(phase + (0.0 if sign > 0 else np.pi))
            forward = np.cos(phase + (0.0 if sign > 0 else np.pi))  # positive while the leg comes forward
            hip[side] = stride * (step + 0.25)
            knee[side] = np.radians(5.0) + 1.6 * stride * max(0.0, forward) * (1.0 - 0.4 * step)
            swing[side] = -0.9 * stride * step
        elif mode == "sit":
            hip[side], knee[side], apart[side] = _draw(rng, 70, 95), _draw(rng, 60, 105), _draw(rng, -4, 14)
        else:
            hip[side] = depth * rng.uniform(0.7, 1.2)
            knee[side] = min(1.7 * hip[side], np.radians(130.0))
            apart[side] = _draw(rng, -2, 15)
    if mode == "crouch":
        lean = 0.35 * depth + _draw(rng, -5, 10)
    elif mode == "sit":
        lean = _draw(rng, -15, 15)
    turns = {"root": _turn(X, lean) * _turn(Z, _draw(rng, -2, 2))}
    for side, sign in SIDES.items():
        outward = sign * _draw(rng, -5, 18)
        thigh = _turn(X, -(hip[side] + lean)) * _turn(Z, sign * apart[side])
        turns[f"upperleg01.{side}"] = thigh * _turn(Y, 0.5 * outward)
        turns[f"upperleg02.{side}"] = _turn(Y, 0.5 * outward)
        turns[f"lowerleg01.{side}"] = _turn(X, knee[side])
        ankle = np.clip(hip[side] - knee[side] + _draw(rng, -4, 6), np.radians(-25), np.radians(35))
        turns[f"foot.{side}"] = _turn(X, float(ankle))
        lifted = max(0.0, knee[side] - hip[side] - np.radians(20.0))
        turns[f"toes.{side}"] = _turn(X, -min(0.6 * lifted, np.radians(25.0)))
    return turns, swing


def _trunk(rng: np.random.Generator) -> Turns:
    """Spine and neck: bending, leaning and twisting, spread evenly over the vertebrae."""
    forward, aside, around = _draw(rng, -8, 28), _draw(rng, -12, 12), _draw(rng, -28, 28)
    nod, tilt, look = _draw(rng, -20, 28), _draw(rng, -14, 14), _draw(rng, -50, 50)
    turns = {}
    for chain, x, y, z in ((SPINE, forward, around, aside), (NECK, nod, look, tilt)):
        for bone in chain:
            turns[bone] = Rotation.from_rotvec(np.array([x, y, z]) / len(chain))
    return turns


def _arm(rng: np.random.Generator, at: Joints, side: str, swing: float) -> Turns:
    """One arm, drawn by where the upper arm points and how far the elbow bends."""
    sign = SIDES[side]
    elbow_joint, wrist = at[f"lowerarm01.{side}"], at[f"wrist.{side}"]
    upper, fore = _unit(elbow_joint - at[f"upperarm01.{side}"]), _unit(wrist - elbow_joint)
    use = str(rng.choice(("down", "bent", "out", "up"), p=(0.45, 0.27, 0.16, 0.12)))
    if use == "down":  # abduction and swing, near the trunk
        apart, forward = _draw(rng, 8, 22), swing + _draw(rng, -10, 15)
        target = _unit(np.array([sign * np.tan(apart), -1.0, np.tan(forward)]))
        bend, inward = _draw(rng, 6, 40), _draw(rng, -15, 25)
    else:
        ranges = {
            "bent": ((12, 50), (15, 85), (55, 130), (-10, 55)),
            "out": ((50, 100), (-10, 95), (5, 100), (-40, 35)),
            "up": ((105, 160), (0, 75), (5, 110), (-60, 0)),
        }[use]
        raised, plane, bend, inward = (_draw(rng, low, high) for low, high in ranges)
        level = np.array([sign * np.cos(plane), 0.0, np.sin(plane)])
        target = np.sin(raised) * level - np.cos(raised) * Y
    above = max(0.0, np.arccos(-target[1]) - np.radians(50.0))
    clavicle = _turn(Z, sign * 0.28 * above)  # the shoulder girdle takes its share of a raised arm
    hinge = _unit(np.cross(upper, fore))
    straight = float(np.arccos(np.clip(upper @ fore, -1.0, 1.0)))
    twist = _turn(upper, sign * 0.5 * inward)
    roll = sign * 0.5 * _draw(rng, -40, 60)
    flex = Rotation.from_rotvec(_draw(rng, -20, 25) * hinge)
    return {
        f"clavicle.{side}": clavicle,
        f"upperarm01.{side}": clavicle.inv() * _shortest(upper, target) * twist,
        f"upperarm02.{side}": twist,
        f"lowerarm01.{side}": _turn(hinge, bend - straight),
        f"lowerarm02.{side}": _turn(fore, roll),
        f"wrist.{side}": _turn(fore, 0.5 * roll) * flex,
    }


def _hand(rng: np.random.Generator, at: Joints, side: str) -> Turns:
    """Fingers curled together with small differences; the thumb less."""
    across = _unit(at[f"finger5-1.{side}"] - at[f"finger2-1.{side}"])
    curl = _draw(rng, -12, 60)
    turns = {}
    for finger in range(1, 6):
        one, two, three = (at[f"finger{finger}-{k}.{side}"] for k in (1, 2, 3))
        bent = np.cross(two - one, three - two)  # fingers are a little bent at rest: this is their hinge
        hinge = _unit(bent) if finger == 1 else across * np.sign(bent @ across)
        angle = (0.35 if finger == 1 else 1.0) * curl + _draw(rng, -6, 6)
        for k, part in enumerate((0.8, 1.0, 0.6), start=1):
            turns[f"finger{finger}-{k}.{side}"] = _turn(hinge, part * angle)
    return turns


def _solids(
    V: Float[np.ndarray, "V 3"], owner: Int[np.ndarray, " V"], bones: tuple[str, ...]
) -> dict[int, tuple[Float[np.ndarray, " 3"], Float[np.ndarray, " 3"]]]:
    """Ellipsoids (centre and half axes at rest) around the vertices that the SOLID bones move most."""
    out = {}
    for bone, flesh in SOLID.items():
        part = V[np.isin(owner, [bones.index(b) for b in flesh])]
        low, high = part.min(axis=0), part.max(axis=0)
        out[bones.index(bone)] = ((low + high) / 2, (high - low) / 2)
    return out


def _hits(
    transforms: Float[np.ndarray, "J 3 4"],
    joints: Float[np.ndarray, "J 3"],
    bones: tuple[str, ...],
    solids: dict[int, tuple[Float[np.ndarray, " 3"], Float[np.ndarray, " 3"]]],
) -> bool:
    """Whether an elbow, wrist or hand joint lies inside one of the solids, a finger's width included."""
    names = ("lowerarm01", "lowerarm02", "wrist", "finger3-1", "finger3-3", "finger1-3", "finger5-3")
    ids = [bones.index(f"{name}.{side}") for name in names for side in SIDES]
    T = transforms[ids]
    points = np.einsum("jik,jk->ji", T[:, :, :3], joints[ids]) + T[:, :, 3]
    inside: Bool[np.ndarray, " P"] = np.zeros(len(points), dtype=bool)
    for bone, (centre, half) in solids.items():
        local = (points - transforms[bone, :, 3]) @ transforms[bone, :, :3]  # back to rest
        inside |= (((local - centre) / (half + 0.02)) ** 2).sum(axis=1) < 1.0
    return bool(inside.any())


def _draw(rng: np.random.Generator, low: float | int, high: float | int) -> float:
    """An angle in radians between two limits in degrees, more often in the middle."""
    return float(np.radians(low + (high - low) * rng.beta(1.6, 1.6)))


def _turn(axis: Float[np.ndarray, " 3"], angle: float) -> Rotation:
    return Rotation.from_rotvec(angle * axis)


def _shortest(a: Float[np.ndarray, " 3"], b: Float[np.ndarray, " 3"]) -> Rotation:
    """The least rotation that takes the unit vector a to b."""
    normal = np.cross(a, b)
    sine = np.linalg.norm(normal)
    return Rotation.from_rotvec(normal / max(sine, 1e-12) * np.arctan2(sine, a @ b))


def _unit(x: Float[np.ndarray, " 3"]) -> Float[np.ndarray, " 3"]:
    return x / np.linalg.norm(x)
