"""The posable open body: 13,348 vertices, 76 bones, 16 shape coefficients; CC0 (see data/LICENSE-body.md).

Baked from MakeHuman data by `infra/build_body_asset.py`. The rest pose is an A-pose, elbows a little bent.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
import scipy.sparse
from jaxtyping import Float, Int

from densecorr.errors import SettingsError
from densecorr.templates.body_poses import sample_body_pose
from densecorr.templates.skinning import (
    Vector,
    blend,
    check_parents,
    forward_kinematics,
    grounded,
    pose_vectors,
    skin_matrix,
)


@dataclass(frozen=True)
class PosableBody:
    """A `PosableShape`: mean body, shape space, skeleton and skinning weights."""

    V: Float[np.ndarray, "V 3"]  # mean shape at rest: metres, y up, front +z, left +x, soles at y = 0
    F: Int[np.ndarray, "F 3"]
    mirror: Int[np.ndarray, " V"]
    bones: tuple[str, ...]
    parents: Int[np.ndarray, " J"]
    joints: Float[np.ndarray, "J 3"]  # the point each bone turns about, mean shape at rest
    weights: scipy.sparse.csr_matrix  # (V, J), rows sum to one
    owner: Int[np.ndarray, " V"]  # the bone that moves each vertex most
    shape_V: Float[np.ndarray, "S V 3"]  # metres a standard deviation
    shape_joints: Float[np.ndarray, "S J 3"]
    people: Float[np.ndarray, "N S"]  # shape coefficients of the people the space was fitted to
    name: str = "body"

    def rest(self) -> Float[np.ndarray, "V 3"]:
        """The mean body in the A-pose."""
        return self.V.copy()

    def sample(self, rng: np.random.Generator, spread: float = 1.0) -> Float[np.ndarray, "V 3"]:
        """A random person in a random everyday pose, lowest point at y = 0."""
        shape = sample_shape(self, rng, spread)
        return grounded(pose_body(self, shape, sample_pose(self, rng, spread)))


@cache
def load_body() -> PosableBody:
    """The body of the catalog; read once."""
    with files("densecorr.templates").joinpath("data/body.npz").open("rb") as file:
        z = np.load(file, allow_pickle=False)
        bones = tuple(str(b) for b in z["bones"])
        parents = z["parents"].astype(np.int64)
        check_parents(parents)
        return PosableBody(
            V=z["V"].astype(np.float64),
            F=z["F"].astype(np.int64),
            mirror=z["mirror"].astype(np.int64),
            bones=bones,
            parents=parents,
            joints=z["joints"].astype(np.float64),
            weights=skin_matrix(
                z["skin_bones"].astype(np.int64), z["skin_weights"].astype(np.float64), len(bones)
            ),
            owner=z["skin_bones"][:, 0].astype(np.int64),
            shape_V=z["shape_V"].astype(np.float32),
            shape_joints=z["shape_joints"].astype(np.float32),
            people=z["people"].astype(np.float64),
        )


def shape_body(
    body: PosableBody, shape: Float[np.ndarray, " S"]
) -> tuple[Float[np.ndarray, "V 3"], Float[np.ndarray, "J 3"]]:
    """Vertices and joints at rest of the person with these coefficients (standard deviations; zeros: mean).

    Raises:
        SettingsError: another number of coefficients than the space has.
    """
    if len(shape) != len(body.shape_V):
        raise SettingsError(
            expected=f"{len(body.shape_V)} shape coefficients",
            received=str(len(shape)),
            remedy="np.zeros gives the mean body.",
        )
    coefficients = shape.astype(np.float32)
    V = body.V + (coefficients @ body.shape_V.reshape(len(shape), -1)).reshape(body.V.shape)
    joints = body.joints + (coefficients @ body.shape_joints.reshape(len(shape), -1)).reshape(
        body.joints.shape
    )
    return V, joints


def pose_body(
    body: PosableBody, shape: Float[np.ndarray, " S"], pose: Mapping[str, Vector] | Float[np.ndarray, "J 3"]
) -> Float[np.ndarray, "V 3"]:
    """Vertices of a person in a pose; the root joint stays where it is, nothing is moved to the ground.

    Args:
        body: from `load_body`.
        shape: coefficients in standard deviations; zeros give the mean body.
        pose: axis-angle (radians) a bone, in world axes at rest; a mapping may leave bones out.
    """
    V, joints = shape_body(body, shape)
    transforms = forward_kinematics(joints, body.parents, pose_vectors(body.bones, pose))
    return blend(V, body.weights, transforms)


def sample_shape(body: PosableBody, rng: np.random.Generator, spread: float = 1.0) -> Float[np.ndarray, " S"]:
    """Shape coefficients of a random person, between two of those the space was fitted to.

    Sex, age, weight, height and muscle vary together as they do there. `spread` scales the distance to the
    mean.
    """
    a, b = body.people[rng.integers(len(body.people), size=2)]
    share = rng.uniform()
    return spread * (share * a + (1.0 - share) * b)


def sample_pose(body: PosableBody, rng: np.random.Generator, spread: float = 1.0) -> Float[np.ndarray, "J 3"]:
    """A plausible everyday pose (axis-angle a bone), see `body_poses`; `spread` from 0 (rest) to 1."""
    return sample_body_pose(body.V, body.joints, body.bones, body.parents, body.owner, rng, spread)
