import math
from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.testing import assert_allclose

from densecorr.errors import CameraError, SettingsError
from densecorr.records import Camera
from densecorr.rendering.cameras import (
    RigSettings,
    camera_rig,
    check_camera,
    look_at,
    pixel_rays,
    project_points,
    rig_angles,
    view_direction,
)


def make_camera(width: int = 64, height: int = 48) -> Camera:
    eye = 4.0 * view_direction(math.radians(25), math.radians(15))
    return look_at(eye, np.array([0.1, 0.2, -0.1]), 80.0, width, height)


def camera_centre(camera: Camera) -> np.ndarray:
    return -camera.R.T @ camera.t


def test_back_projecting_then_projecting_returns_pixel_and_depth() -> None:
    camera = make_camera()
    centre, rays = pixel_rays(camera, (3, 60), (5, 40))
    depth = np.random.default_rng(0).uniform(1, 9, len(rays))
    xy, z = project_points(centre + depth[:, None] * rays.astype(np.float64), camera)
    y, x = np.mgrid[5:40, 3:60].reshape(2, -1)
    assert_allclose(xy, np.stack([x, y], axis=1), atol=1e-4)
    assert_allclose(z, depth, rtol=1e-5)


def test_projection_with_distortion_is_opencv_s() -> None:
    camera = replace(make_camera(), distortion=(-0.21, 0.09, 0.003, -0.002, 0.01))
    X = np.random.default_rng(1).normal(0, 0.5, (200, 3))
    rotation = cv2.Rodrigues(camera.R)[0]
    reference = cv2.projectPoints(X, rotation, camera.t, camera.K, np.array(camera.distortion))[0][:, 0]
    assert_allclose(project_points(X, camera)[0], reference, atol=1e-8)


def test_points_behind_the_camera_have_negative_depth() -> None:
    camera = make_camera()
    behind = camera_centre(camera) - camera.R[2]
    assert project_points(behind[None], camera)[1][0] == pytest.approx(-1.0)


def test_look_at_centres_its_target_and_keeps_up_up() -> None:
    camera = make_camera()
    target = np.array([0.1, 0.2, -0.1])
    (middle, above), _ = project_points(np.stack([target, target + np.array([0, 0.1, 0])]), camera)
    assert_allclose(middle, [(64 - 1) / 2, (48 - 1) / 2], atol=1e-9)
    assert above[1] < middle[1]
    assert above[0] == pytest.approx(middle[0])
    check_camera(camera)


@pytest.mark.parametrize("height", [3.0, -3.0])
def test_look_at_straight_down_or_up_is_a_valid_camera(height: float) -> None:
    camera = look_at(np.array([0.0, height, 0.0]), np.zeros(3), 50.0, 32, 32)
    check_camera(camera)
    assert_allclose(project_points(np.zeros((1, 3)), camera)[0], [[15.5, 15.5]])


@pytest.mark.parametrize(
    ("azimuth", "elevation", "direction"),
    [(0, 0, (0, 0, 1)), (90, 0, (1, 0, 0)), (180, 0, (0, 0, -1)), (0, 90, (0, 1, 0))],
)
def test_azimuth_goes_to_the_subject_s_left_and_elevation_up(
    azimuth: int, elevation: int, direction: tuple[int, int, int]
) -> None:
    assert_allclose(view_direction(math.radians(azimuth), math.radians(elevation)), direction, atol=1e-12)


def test_the_subject_s_left_is_on_the_right_of_a_frontal_image() -> None:
    camera = look_at(np.array([0.0, 0.0, 3.0]), np.zeros(3), 50.0, 32, 32)
    assert project_points(np.array([[0.5, 0.0, 0.0]]), camera)[0][0, 0] > 15.5


def test_the_default_rig_has_72_views_around_the_template() -> None:
    V = np.random.default_rng(2).normal(0, [0.3, 0.9, 0.2], (500, 3)) + np.array([0.0, 1.0, 0.0])
    cameras = camera_rig(V)
    middle = (V.min(axis=0) + V.max(axis=0)) / 2
    assert len(cameras) == 72
    for camera, (azimuth, elevation) in zip(cameras, rig_angles(RigSettings()), strict=True):
        toward = camera_centre(camera) - middle
        assert_allclose(
            toward / np.linalg.norm(toward),
            view_direction(math.radians(azimuth), math.radians(elevation)),
            atol=1e-9,
        )


@pytest.mark.parametrize("margin", [0.02, 0.1, 0.3])
def test_every_rig_view_holds_the_template_up_to_its_margin(margin: float) -> None:
    V = np.random.default_rng(3).normal(0, [0.2, 0.8, 0.5], (400, 3))
    settings = RigSettings(n_azimuths=6, size=100, margin=margin)
    for camera in camera_rig(V, settings):
        xy, depth = project_points(V, camera)
        gap = min((xy + 0.5).min(), (99.5 - xy).min())  # to the image's edge at -0.5 or 99.5
        assert gap == pytest.approx(margin * 100, abs=1e-6)
        assert depth.min() > 0


def test_a_rig_without_views_is_refused() -> None:
    with pytest.raises(SettingsError):
        camera_rig(np.eye(3), RigSettings(n_azimuths=0))


@pytest.mark.parametrize("fault", ["mirrored", "scaled", "nan", "transposed", "negative"])
def test_faulty_cameras_are_refused(fault: str) -> None:
    camera = make_camera()
    faulty = {
        "mirrored": replace(camera, R=np.diag([-1.0, 1.0, 1.0]) @ camera.R),
        "scaled": replace(camera, R=1.01 * camera.R),
        "nan": replace(camera, t=np.array([0.0, np.nan, 0.0])),
        "transposed": replace(camera, K=np.ascontiguousarray(camera.K.T)),
        "negative": replace(camera, K=np.diag([-80.0, 80.0, 1.0])),
    }[fault]
    with pytest.raises(CameraError):
        check_camera(faulty)


def test_rays_of_a_distorted_camera_are_refused() -> None:
    with pytest.raises(CameraError):
        pixel_rays(replace(make_camera(), distortion=(0.1, 0.0, 0.0, 0.0, 0.0)), (0, 2), (0, 2))
