"""Skeletons and linear blend skinning.

A pose is one axis-angle vector (radians) a bone, in world axes at rest: x turns a bone forwards or backwards,
y turns it about the vertical, whatever way the bone itself points. Parents carry their children along.
"""

from collections.abc import Mapping

import numpy as np
import scipy.sparse
from jaxtyping import Float, Int
from scipy.spatial.transform import Rotation

from densecorr.errors import MeshError, SettingsError

Vector = tuple[float, float, float] | Float[np.ndarray, " 3"]  # axis-angle, radians


def top_weights(
    W: Float[np.ndarray, "V J"], n_weights: int
) -> tuple[Int[np.ndarray, "V k"], Float[np.ndarray, "V k"]]:
    """The `n_weights` largest weights of each vertex, scaled to sum to one: bone ids and weights."""
    skin_bones = np.argsort(-W, axis=1, kind="stable")[:, :n_weights]
    skin_weights = np.take_along_axis(W, skin_bones, axis=1)
    return skin_bones, skin_weights / skin_weights.sum(axis=1, keepdims=True)


def skin_matrix(
    skin_bones: Int[np.ndarray, "V k"],
    skin_weights: Float[np.ndarray, "V k"],
    n_bones: int,
) -> scipy.sparse.csr_matrix:
    """The (V, J) sparse matrix of skinning weights; rows sum to one.

    Raises:
        MeshError: a bone id out of range, a negative weight, or a row that does not sum to one.
    """
    if skin_bones.min() < 0 or skin_bones.max() >= n_bones:
        raise MeshError(
            expected=f"bone ids in [0, {n_bones})",
            received=f"ids from {skin_bones.min()} to {skin_bones.max()}",
            remedy="The skinning weights belong to another skeleton.",
        )
    total = skin_weights.sum(axis=1)
    if skin_weights.min() < 0 or not np.allclose(total, 1.0, atol=1e-3):
        raise MeshError(
            expected="skinning weights that are at least 0 and sum to one",
            received=f"a least weight {skin_weights.min():.3g}, sums {total.min():.3g} to {total.max():.3g}",
            remedy="Normalise the weights of every vertex.",
        )
    n, k = skin_bones.shape
    rows = np.repeat(np.arange(n), k)
    values = (skin_weights / total[:, None]).ravel()
    return scipy.sparse.csr_matrix((values, (rows, skin_bones.ravel())), shape=(n, n_bones))


def check_parents(parents: Int[np.ndarray, " J"]) -> None:
    """Raise MeshError unless the first bone is the only root (-1) and parents come before their children."""
    if parents[0] != -1 or np.any(parents[1:] < 0) or np.any(parents >= np.arange(len(parents))):
        raise MeshError(
            expected="one root at index 0 and parents before their children",
            received=f"parents {parents.tolist()}",
            remedy="Sort the bones from the root outwards.",
        )


def pose_vectors(
    bones: tuple[str, ...], pose: Mapping[str, Vector] | Float[np.ndarray, "J 3"]
) -> Float[np.ndarray, "J 3"]:
    """A pose as one array: bones that a mapping leaves out do not turn.

    Raises:
        SettingsError: a bone the skeleton does not have.
    """
    if isinstance(pose, np.ndarray):
        return pose
    unknown = sorted(set(pose) - set(bones))
    if unknown:
        raise SettingsError(
            expected="bones of this skeleton",
            received=", ".join(unknown),
            remedy=f"It has: {', '.join(bones)}.",
        )
    return np.array([np.asarray(pose.get(bone, (0.0, 0.0, 0.0)), dtype=np.float64) for bone in bones])


def forward_kinematics(
    heads: Float[np.ndarray, "J 3"],
    parents: Int[np.ndarray, " J"],
    pose: Float[np.ndarray, "J 3"],
) -> Float[np.ndarray, "J 3 4"]:
    """World transforms [A | b] that carry points attached to each bone from rest to the pose, x -> A x + b.

    Args:
        heads: joint each bone turns about, metres, at rest.
        parents: index of each bone's parent, -1 for the root; parents come first.
        pose: axis-angle of each bone, radians, in world axes at rest.
    """
    local = Rotation.from_rotvec(pose).as_matrix()
    out = np.empty((len(heads), 3, 4))
    for j, parent in enumerate(parents):
        A, joint = (
            (local[j], heads[j])
            if parent < 0
            else (out[parent, :, :3] @ local[j], _carry(out[parent], heads[j]))
        )
        out[j, :, :3] = A
        out[j, :, 3] = joint - A @ heads[j]
    return out


def blend(
    V: Float[np.ndarray, "V 3"],
    weights: scipy.sparse.csr_matrix,
    transforms: Float[np.ndarray, "J 3 4"],
) -> Float[np.ndarray, "V 3"]:
    """Linear blend skinning: every vertex moves by the weighted mean of its bones' affine transforms."""
    T = (weights @ transforms.reshape(len(transforms), 12)).reshape(len(V), 3, 4)
    return np.einsum("vij,vj->vi", T[:, :, :3], V) + T[:, :, 3]


def grounded(V: Float[np.ndarray, "V 3"]) -> Float[np.ndarray, "V 3"]:
    """Lift or lower the points so that the lowest lies at y = 0."""
    return V - np.array([0.0, V[:, 1].min(), 0.0])


def _carry(transform: Float[np.ndarray, "3 4"], x: Float[np.ndarray, " 3"]) -> Float[np.ndarray, " 3"]:
    return transform[:, :3] @ x + transform[:, 3]
