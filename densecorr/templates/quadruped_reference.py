"""The reference quadruped: an implicit surface around a skeleton, meshed once.

Every quadruped of `quadruped.py` is a deformation of this one mesh. Legs, ears, tail and head are thick here
and stand clear of each other, so that thin parts get enough vertices and nothing fuses.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse.linalg
from jaxtyping import Float, Int

from densecorr.templates.implicit_mesh import flip_edges, mirrored_marching_cubes, relax
from densecorr.templates.skinning import top_weights

# One line a capsule: bone, parent bone, start, end (metres; x is the left side), radius at either end, width
# over height of the cross-section. The first capsule of a bone is the bone itself; further ones add flesh.
# Bones named *.L have a mirrored partner *.R.
Capsule = tuple[
    str,
    str,
    tuple[float, float, float],
    tuple[float, float, float],
    float,
    float,
    float,
]
CAPSULES: tuple[Capsule, ...] = (
    ("pelvis", "", (0.00, 1.01, -0.48), (0.00, 1.00, -0.20), 0.205, 0.235, 0.86),
    ("loin", "pelvis", (0.00, 1.00, -0.20), (0.00, 0.97, 0.08), 0.235, 0.255, 0.86),
    ("chest", "loin", (0.00, 0.97, 0.08), (0.00, 0.98, 0.38), 0.255, 0.235, 0.84),
    ("chest", "loin", (0.00, 1.12, 0.10), (0.00, 1.11, 0.34), 0.100, 0.120, 0.70),
    ("neck_low", "chest", (0.00, 1.06, 0.44), (0.00, 1.30, 0.66), 0.200, 0.150, 0.62),
    (
        "neck_high",
        "neck_low",
        (0.00, 1.30, 0.66),
        (0.00, 1.53, 0.82),
        0.150,
        0.120,
        0.66,
    ),
    ("head", "neck_high", (0.00, 1.55, 0.86), (0.00, 1.42, 1.05), 0.115, 0.118, 0.85),
    ("head", "neck_high", (0.00, 1.45, 0.90), (0.00, 1.37, 0.99), 0.110, 0.090, 0.80),
    ("muzzle", "head", (0.00, 1.42, 1.05), (0.00, 1.26, 1.27), 0.108, 0.092, 0.84),
    ("ear.L", "head", (0.07, 1.62, 0.83), (0.16, 1.83, 0.82), 0.062, 0.040, 1.00),
    ("tail_1", "pelvis", (0.00, 1.10, -0.66), (0.00, 1.08, -0.86), 0.060, 0.055, 1.00),
    ("tail_2", "tail_1", (0.00, 1.08, -0.86), (0.00, 1.03, -1.10), 0.055, 0.060, 1.00),
    ("tail_3", "tail_2", (0.00, 1.03, -1.10), (0.00, 0.96, -1.36), 0.060, 0.048, 1.00),
    (
        "upper_arm.L",
        "chest",
        (0.13, 0.98, 0.40),
        (0.17, 0.76, 0.31),
        0.140,
        0.112,
        0.70,
    ),
    (
        "forearm.L",
        "upper_arm.L",
        (0.17, 0.76, 0.31),
        (0.17, 0.44, 0.33),
        0.105,
        0.066,
        0.86,
    ),
    (
        "front_cannon.L",
        "forearm.L",
        (0.17, 0.44, 0.33),
        (0.17, 0.15, 0.33),
        0.068,
        0.058,
        0.95,
    ),
    (
        "front_foot.L",
        "front_cannon.L",
        (0.17, 0.15, 0.33),
        (0.17, 0.04, 0.39),
        0.060,
        0.080,
        1.00,
    ),
    ("thigh.L", "pelvis", (0.11, 1.01, -0.44), (0.18, 0.76, -0.31), 0.190, 0.140, 0.66),
    ("thigh.L", "pelvis", (0.11, 0.99, -0.54), (0.17, 0.78, -0.44), 0.150, 0.100, 0.66),
    (
        "gaskin.L",
        "thigh.L",
        (0.18, 0.76, -0.31),
        (0.17, 0.49, -0.51),
        0.130,
        0.074,
        0.78,
    ),
    (
        "hind_cannon.L",
        "gaskin.L",
        (0.17, 0.49, -0.51),
        (0.17, 0.16, -0.49),
        0.076,
        0.058,
        0.90,
    ),
    (
        "hind_foot.L",
        "hind_cannon.L",
        (0.17, 0.16, -0.49),
        (0.17, 0.04, -0.43),
        0.060,
        0.078,
        1.00,
    ),
)
LIMBS = (
    "pelvis",
    "neck_low",
    "head",
    "ear.L",
    "ear.R",
    "tail_1",
    "upper_arm.L",
    "upper_arm.R",
    "thigh.L",
    "thigh.R",
)
BLEND = 0.025  # metres over which neighbouring limbs (a bone above and what follows it) melt into each other
SOLE = -0.02  # height of the flat soles, metres


@dataclass(frozen=True)
class Reference:
    """The reference mesh with its skeleton and sparse skinning weights (k bones a vertex, zero padded)."""

    V: Float[np.ndarray, "V 3"]
    F: Int[np.ndarray, "F 3"]
    mirror: Int[np.ndarray, " V"]
    bones: tuple[str, ...]
    parents: Int[np.ndarray, " J"]
    heads: Float[np.ndarray, "J 3"]
    tails: Float[np.ndarray, "J 3"]
    skin_bones: Int[np.ndarray, "V k"]
    skin_weights: Float[np.ndarray, "V k"]


def make_reference(spacing: float = 0.0366, n_relax: int = 40, least_weight: float = 0.01) -> Reference:
    """Mesh and skin the reference quadruped.

    Args:
        spacing: grid spacing in metres; 0.0366 gives about 5,000 vertices, half of it four times as many.
        n_relax: rounds of tangential smoothing that even out the triangles.
        least_weight: smaller skinning weights are dropped.

    Returns:
        A closed mesh of genus 0 that is its own mirror image in x = 0 to the last bit.
    """
    bones, parents, heads, tails = skeleton()
    V, F, mirror = mirrored_marching_cubes(implicit, (0.0, -0.15, -1.55), (0.45, 2.0, 1.55), spacing)
    for _ in range(n_relax):
        F = flip_edges(V, F, mirror)
        V = relax(V, F, mirror, implicit)
    order = [bones.index(bone) for bone in (_partner(b) for b in bones)]
    W = smooth_weights(V, F, bones)
    W = 0.5 * (W + W[mirror][:, order])
    W[W < least_weight] = (
        0.0  # a threshold, not a count: a vertex on the middle plane keeps both bones of a pair
    )
    skin_bones, skin_weights = top_weights(W, int((W > 0).sum(axis=1).max()))
    return Reference(V, F, mirror, bones, parents, heads, tails, skin_bones, skin_weights)


def skeleton() -> tuple[
    tuple[str, ...],
    Int[np.ndarray, " J"],
    Float[np.ndarray, "J 3"],
    Float[np.ndarray, "J 3"],
]:
    """Bone names, parents (-1 for the root; parents come first), head and tail positions in metres."""
    first = {}
    for bone, parent, start, end, *_ in _all_capsules():
        first.setdefault(bone, (parent, start, end))
    bones = tuple(first)
    parents = np.array([bones.index(p) if p else -1 for p, _, _ in first.values()])
    heads, tails = (np.array([row[i] for row in first.values()]) for i in (1, 2))
    return bones, parents, heads, tails


def bone_distances(X: Float[np.ndarray, "P 3"], bones: tuple[str, ...]) -> Float[np.ndarray, "P J"]:
    """Approximate signed distance (metres) of each point to the flesh of each bone."""
    out = np.full((len(X), len(bones)), np.inf)
    for bone, _, start, end, r0, r1, squash in _all_capsules():
        a, axis = np.array(start), np.array(end) - np.array(start)
        along = np.clip((X - a) @ axis / (axis @ axis), 0.0, 1.0)
        offset = X - a - along[:, None] * axis
        offset[:, 0] /= squash
        column = out[:, bones.index(bone)]
        np.minimum(
            column,
            np.linalg.norm(offset, axis=1) - (r0 + along * (r1 - r0)),
            out=column,
        )
    return out


def implicit(X: Float[np.ndarray, "P 3"]) -> Float[np.ndarray, " P"]:
    """The animal's implicit function, negative inside: a smooth union of limbs, each a chain of capsules."""
    bones, parents, _, _ = skeleton()
    limb = np.zeros(len(bones), dtype=np.int64)
    for j, bone in enumerate(bones):
        limb[j] = LIMBS.index(bone) if bone in LIMBS else limb[parents[j]]
    per_bone = bone_distances(X, bones)
    d = np.stack([per_bone[:, limb == i].min(axis=1) for i in range(len(LIMBS))], axis=1)
    nearest = d.min(axis=1)
    union = nearest - BLEND * np.log(np.exp(-(d - nearest[:, None]) / BLEND).sum(axis=1))
    return np.maximum(union, SOLE - X[:, 1])


def smooth_weights(
    V: Float[np.ndarray, "V 3"],
    F: Int[np.ndarray, "F 3"],
    bones: tuple[str, ...],
    softness: float = 0.02,
    reach: float = 0.075,
) -> Float[np.ndarray, "V J"]:
    """Skinning weights: soft nearest bone by flesh distance, then heat diffusion along the surface.

    Args:
        V: vertices, metres.
        F: faces.
        bones: bone names.
        softness: metres over which the choice of the nearest bone is soft.
        reach: metres the weights diffuse along the surface (as in Baran and Popovic 2007).
    """
    import robust_laplacian

    d = bone_distances(V, bones)
    nearest = np.exp(-(d - d.min(axis=1, keepdims=True)) / softness)
    nearest /= nearest.sum(axis=1, keepdims=True)
    L, M = robust_laplacian.mesh_laplacian(V, F)
    W = scipy.sparse.linalg.splu((M + reach**2 * L).tocsc()).solve(M @ nearest)
    W = np.maximum(W, 0.0)
    return W / W.sum(axis=1, keepdims=True)


def _partner(bone: str) -> str:
    return bone[:-1] + {"L": "R", "R": "L"}[bone[-1]] if bone[-2:] in (".L", ".R") else bone


def _all_capsules() -> list[Capsule]:
    out = []
    for bone, parent, start, end, r0, r1, squash in CAPSULES:
        out.append((bone, parent, start, end, r0, r1, squash))
        if bone.endswith(".L"):
            flip = [(-x, y, z) for x, y, z in (start, end)]
            out.append((_partner(bone), _partner(parent), flip[0], flip[1], r0, r1, squash))
    return out
