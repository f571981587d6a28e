"""OpenCV cameras: placing, projecting, and the rig of views around a template."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32

from ..errors import CameraError, SettingsError
from ..records import Camera


def check_camera(camera: Camera) -> None:
    """Raise a CameraError unless R is a rotation, K upper triangular with positive focal lengths, all finite."""
    if not all(np.isfinite(part).all() for part in (camera.K, camera.R, camera.t)):
        raise CameraError("finite K, R and t", "NaN or infinity", "Check the calibration file.")
    if np.abs(camera.R @ camera.R.T - np.eye(3)).max() > 1e-4 or np.linalg.det(camera.R) < 0:
        raise CameraError(
            "a rotation R (x_cam = R X + t)",
            f"det {np.linalg.det(camera.R):.3f}",
            "It may be mirrored or scaled.",
        )
    below = np.abs(camera.K[[1, 2, 2], [0, 0, 1]]).max()
    if below > 1e-6 or camera.K[0, 0] <= 0 or camera.K[1, 1] <= 0:
        raise CameraError(
            "an upper-triangular K", str(camera.K.tolist()), "It may be transposed (MATLAB files)."
        )


def project_points(
    X: Float[np.ndarray, "N 3"], camera: Camera
) -> tuple[Float[np.ndarray, "N 2"], Float[np.ndarray, " N"]]:
    """World points (metres) to pixels (centres at integers) and depth along z; depth <= 0 lies behind the camera.

    Distortion is OpenCV's k1, k2, p1, p2, k3.
    """
    x_cam = X @ camera.R.T + camera.t
    depth = x_cam[:, 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        plane = x_cam[:, :2] / depth[:, None]
    if any(camera.distortion):
        plane = _distort(plane, camera.distortion)
    return plane @ camera.K[:2, :2].T + camera.K[:2, 2], depth


def _distort(plane: Float[np.ndarray, "N 2"], distortion: tuple[float, ...]) -> Float[np.ndarray, "N 2"]:
    k1, k2, p1, p2, k3 = distortion
    x, y = plane.T
    r2 = x * x + y * y
    radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
    return np.stack(
        [
            x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
            y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
        ],
        axis=1,
    )


def pixel_rays(
    camera: Camera, columns: tuple[int, int], rows: tuple[int, int]
) -> tuple[Float32[np.ndarray, " 3"], Float32[np.ndarray, "P 3"]]:
    """The camera's centre and a ray through each pixel centre of a window, row by row, in the world frame.

    `columns` and `rows` are (first, end). Rays are scaled so that z_cam = 1: a hit's parameter is its depth (metres).
    """
    if any(camera.distortion):
        raise CameraError(
            "an undistorted camera", str(camera.distortion), "Undistort the image before rendering."
        )
    to_world = (camera.R.T @ np.linalg.inv(camera.K)).astype(np.float32)
    x = np.arange(*columns, dtype=np.float32)[:, None] * to_world[:, 0]
    y = np.arange(*rows, dtype=np.float32)[:, None] * to_world[:, 1] + to_world[:, 2]
    rays = (y[:, None] + x[None]).reshape(-1, 3)
    return (-camera.R.T @ camera.t).astype(np.float32), rays


def view_direction(azimuth: float, elevation: float) -> Float[np.ndarray, " 3"]:
    """Unit vector from subject to camera; radians; azimuth 0 is in front (+z), positive to the subject's left (+x)."""
    return np.array(
        [
            math.cos(elevation) * math.sin(azimuth),
            math.sin(elevation),
            math.cos(elevation) * math.cos(azimuth),
        ]
    )


def look_at(
    eye: Float[np.ndarray, " 3"], target: Float[np.ndarray, " 3"], focal_px: float, width: int, height: int
) -> Camera:
    """A camera at `eye` (metres, y up) looking at `target`, its principal point in the image's middle."""
    forward = (target - eye) / np.linalg.norm(target - eye)
    side = np.cross(forward, np.array([0.0, 1.0, 0.0]))
    if np.linalg.norm(side) < 1e-8:  # straight up or down: any horizontal will do
        side = np.array([1.0, 0.0, 0.0])
    side = side / np.linalg.norm(side)
    R = np.stack([side, np.cross(forward, side), forward])
    K = np.array([[focal_px, 0, (width - 1) / 2], [0, focal_px, (height - 1) / 2], [0, 0, 1]])
    return Camera(K=K, R=R, t=-R @ eye, width=width, height=height)


@dataclass(frozen=True)
class RigSettings:
    """Views around a template: every elevation at every azimuth, the template framed with a margin.

    Azimuths start in front and go towards the subject's left in equal steps; angles in degrees. The default is
    72 views (SHIC, Sec. 3.3): 24 azimuths at 3 elevations. `field_of_view` is the whole angle.
    """

    n_azimuths: int = 24
    elevations: tuple[float, ...] = (-15.0, 10.0, 35.0)
    size: int = 256
    margin: float = 0.1
    field_of_view: float = 30.0


def rig_angles(settings: RigSettings) -> Float[np.ndarray, "N 2"]:
    """Azimuth and elevation of each view, degrees, elevation by elevation."""
    if settings.n_azimuths < 1 or not settings.elevations:
        raise SettingsError("at least one azimuth and one elevation", str(settings), "Correct the rig.")
    azimuths = np.arange(settings.n_azimuths) * 360.0 / settings.n_azimuths
    return np.array([(azimuth, elevation) for elevation in settings.elevations for azimuth in azimuths])


def camera_rig(V: Float[np.ndarray, "V 3"], settings: RigSettings | None = None) -> list[Camera]:
    """One camera a rig view, each looking at the middle of V's bounding box from where all of V fits."""
    settings = settings or RigSettings()
    middle = (V.min(axis=0) + V.max(axis=0)) / 2
    half = math.radians(settings.field_of_view) / 2
    focal = settings.size / 2 / math.tan(half)
    cameras = []
    for azimuth, elevation in np.radians(rig_angles(settings)):
        direction = view_direction(float(azimuth), float(elevation))
        cameras.append(framing_camera(V, middle, direction, focal, settings.size, settings.margin))
    return cameras


def framing_camera(
    V: Float[np.ndarray, "V 3"],
    middle: Float[np.ndarray, " 3"],
    direction: Float[np.ndarray, " 3"],
    focal_px: float,
    size: int,
    margin: float,
) -> Camera:
    """A square camera along `direction` from `middle`, just far enough that V keeps `margin` (share of the image)."""
    frame = look_at(middle + direction, middle, focal_px, size, size)
    local = (V - middle) @ frame.R.T
    slope = (0.5 - margin) * size / focal_px  # tan of the widest angle allowed
    distance = float((np.abs(local[:, :2]).max(axis=1) / slope - local[:, 2]).max())
    return look_at(middle + direction * distance, middle, focal_px, size, size)
