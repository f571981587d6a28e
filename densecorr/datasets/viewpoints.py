"""Where a rendered subject is photographed from, and where it stands in the image."""

import math
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from ..records import Camera
from ..rendering.cameras import look_at, project_points, view_direction
from .world_settings import FramingSettings, Interval, SubjectSettings

CUT_SIDES = ("left", "right", "top", "bottom")
CUT_WEIGHTS = (0.25, 0.25, 0.1, 0.4)  # feet leave a photograph more often than heads


@dataclass(frozen=True)
class Viewpoint:
    """What was drawn for one image; angles in degrees, `cut_side` "" when the subject is whole."""

    azimuth: float
    elevation: float
    roll: float
    field_of_view: float
    cut_side: str
    cut_share: float


def sample_viewpoint(
    subject: SubjectSettings, framing: FramingSettings, rng: np.random.Generator
) -> Viewpoint:
    """A random direction, lens and cut; azimuths are uniform over the union of the intervals."""
    cut = rng.random() < framing.cut_probability
    side = str(rng.choice(CUT_SIDES, p=CUT_WEIGHTS))
    share = float(rng.uniform(*framing.cut_share))
    return Viewpoint(
        azimuth=_from_union(subject.azimuths, rng),
        elevation=float(rng.uniform(*subject.elevation)),
        roll=float(rng.uniform(-framing.roll, framing.roll)),
        field_of_view=float(rng.uniform(*framing.field_of_view)),
        cut_side=side if cut else "",
        cut_share=share if cut else 0.0,
    )


def place_camera(
    V: Float[np.ndarray, "V 3"],
    view: Viewpoint,
    framing: FramingSettings,
    size: int,
    rng: np.random.Generator,
) -> Camera:
    """A square camera whose image shows V as large, and as far off its middle, as `framing` says.

    The lens decides the distance; the image is then a crop around the subject (its principal point is not in
    the middle), so that the box of V has exactly the size and place that were drawn.
    """
    vertical = view.cut_side in ("top", "bottom")
    target = float(rng.uniform(*framing.subject_side)) * size
    camera, box = _camera_at_size(V, view, target, size)
    extent = box[1] - box[0]
    if view.cut_side and extent[int(vertical)] * (1 - view.cut_share) < framing.subject_side[0] * size:
        grow = framing.subject_side[0] * size / (extent[int(vertical)] * (1 - view.cut_share))
        camera, box = _camera_at_size(V, view, target * min(grow, 1.5), size)
        extent = box[1] - box[0]
    middle = (size - 1) / 2 + rng.uniform(-1, 1, 2) * framing.off_centre * size
    middle = np.clip(middle, extent / 2 + 1, np.maximum(size - 2 - extent / 2, extent / 2 + 1))
    if view.cut_side:
        axis = int(vertical)
        outside = view.cut_share * extent[axis]
        far = view.cut_side in ("right", "bottom")
        middle[axis] = size - 0.5 + outside - extent[axis] / 2 if far else extent[axis] / 2 - outside - 0.5
    K = camera.K.copy()
    K[:2, 2] += middle - (box[0] + box[1]) / 2
    return replace(camera, K=K)


def _camera_at_size(
    V: Float[np.ndarray, "V 3"], view: Viewpoint, target: float, size: int
) -> tuple[Camera, Float[np.ndarray, "2 2"]]:
    """A camera that sees the longer side of V's box `target` pixels long, and that box (low, high corner)."""
    focal = size / 2 / math.tan(math.radians(view.field_of_view) / 2)
    low, high = _bounds(V)
    middle = (low + high) / 2
    direction = view_direction(math.radians(view.azimuth), math.radians(view.elevation))
    extent = float((high - low).max())
    distance, few = focal * extent / target, V[::5]
    for _ in range(3):  # distance and size are nearly inverse: converges at once
        camera = _rolled(look_at(middle + distance * direction, middle, focal, size, size), view.roll)
        seen = np.subtract(*reversed(_bounds(project_points(few, camera)[0])))
        distance = max(distance * float(seen.max()) / target, 0.7 * extent)
    camera = _rolled(look_at(middle + distance * direction, middle, focal, size, size), view.roll)
    box = np.stack(_bounds(project_points(V, camera)[0]))
    zoom = target / float((box[1] - box[0]).max())
    K = camera.K.copy()
    K[:2, :2] *= zoom
    return replace(camera, K=K), K[:2, 2] + zoom * (box - K[:2, 2])


def _bounds(X: Float[np.ndarray, "N d"]) -> tuple[Float[np.ndarray, " d"], Float[np.ndarray, " d"]]:
    """Least and greatest coordinates; numpy is slow along the first axis of a narrow array."""
    columns = np.ascontiguousarray(X.T)
    return columns.min(axis=1), columns.max(axis=1)


def _rolled(camera: Camera, degrees: float) -> Camera:
    turn = Rotation.from_rotvec([0, 0, math.radians(degrees)]).as_matrix()
    return replace(camera, R=turn @ camera.R, t=turn @ camera.t)


def _from_union(intervals: tuple[Interval, ...], rng: np.random.Generator) -> float:
    lengths = np.array([high - low for low, high in intervals])
    chosen = rng.choice(len(intervals), p=lengths / lengths.sum()) if lengths.sum() > 0 else 0
    return float(rng.uniform(*intervals[chosen]))
