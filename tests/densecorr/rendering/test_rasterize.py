import math
from dataclasses import replace

import numpy as np
import pytest
import trimesh
from numpy.testing import assert_allclose, assert_array_equal

from densecorr.errors import CameraError, SettingsError
from densecorr.records import Camera
from densecorr.rendering.cameras import look_at, pixel_rays, project_points, view_direction
from densecorr.rendering.rasterize import make_scene, rasterize, vertex_map, visible_vertices

DISTANCE = 3.0
FOCAL = 250.0


def make_sphere(subdivisions: int = 5) -> tuple[np.ndarray, np.ndarray]:
    sphere = trimesh.creation.icosphere(subdivisions=subdivisions)
    return np.asarray(sphere.vertices, dtype=np.float64), np.asarray(sphere.faces, dtype=np.int64)


def make_camera(size: int = 200) -> Camera:
    return look_at(DISTANCE * view_direction(0.4, 0.3), np.zeros(3), FOCAL, size, size)


def test_depth_and_barycentrics_meet_at_the_same_point_of_the_sphere() -> None:
    V, F = make_sphere()
    camera = make_camera()
    fragments = rasterize(V, F, camera)
    hit = fragments.face >= 0
    centre, rays = pixel_rays(camera, (0, 200), (0, 200))
    by_depth = centre + fragments.depth[hit][:, None] * rays.reshape(200, 200, 3)[hit]
    by_bary = np.einsum("nk,nkc->nc", fragments.bary[hit].astype(np.float64), V[F[fragments.face[hit]]])
    assert_allclose(by_depth, by_bary, atol=1e-4)
    chord = np.linalg.norm(V[F[:, 0]] - V[F[:, 1]], axis=1).max()
    assert_allclose(np.linalg.norm(by_bary, axis=1), 1.0, atol=chord**2 / 4)


def test_barycentrics_are_shares_and_empty_pixels_hold_nothing() -> None:
    fragments = rasterize(*make_sphere(3), make_camera())
    hit = fragments.face >= 0
    assert_allclose(fragments.bary[hit].sum(axis=1), 1.0, atol=1e-6)
    assert fragments.bary[hit].min() >= -1e-6
    assert (fragments.face[~hit] == -1).all()
    assert np.isinf(fragments.depth[~hit]).all()
    assert np.isfinite(fragments.depth[hit]).all()


def test_depth_is_along_z_and_the_analytic_one() -> None:
    V, F = make_sphere()
    camera = make_camera()
    fragments = rasterize(V, F, camera)
    _, rays = pixel_rays(camera, (0, 200), (0, 200))
    rays = rays.astype(np.float64).reshape(200, 200, 3)
    a = (rays**2).sum(axis=-1)  # |eye + depth * ray| = 1 with eye . ray = -DISTANCE along z
    b = rays @ (-camera.R.T @ camera.t)
    under = b**2 - a * (DISTANCE**2 - 1)
    inside = under > 0.05
    exact = (-b - np.sqrt(np.where(inside, under, 0))) / a
    assert_allclose(fragments.depth[inside], exact[inside], atol=2e-3)
    assert not (fragments.face[under < -0.05] >= 0).any()


def test_the_silhouette_of_a_sphere_has_the_area_of_its_cone() -> None:
    fragments = rasterize(*make_sphere(), make_camera())
    exact = math.pi * FOCAL**2 / (DISTANCE**2 - 1)
    assert (fragments.face >= 0).sum() == pytest.approx(exact, rel=0.01)


def test_the_vertex_of_a_pixel_projects_to_it_within_an_edge() -> None:
    V, F = make_sphere(4)
    camera = make_camera()
    vertices = vertex_map(rasterize(V, F, camera), F)
    y, x = np.nonzero(vertices >= 0)
    xy, depth = project_points(V, camera)
    edge = np.linalg.norm(V[F[:, 0]] - V[F[:, 1]], axis=1).max() * FOCAL / depth.min()
    far = np.linalg.norm(xy[vertices[y, x]] - np.stack([x, y], axis=1), axis=1)
    assert far.max() < 0.7 * edge  # the nearest corner is at most edge / sqrt(3) away
    assert (vertices[0] == -1).all()


def test_a_part_of_the_image_sees_what_the_whole_does() -> None:
    V, F = make_sphere(3)
    whole = make_camera(200)
    K = whole.K.copy()
    K[:2, 2] -= [70, 40]
    part = replace(whole, K=K, width=60, height=90)
    scene = make_scene(V, F)
    assert_array_equal(scene.fragments(part).face, scene.fragments(whole).face[40:130, 70:130])


def test_a_camera_inside_sees_the_surface_everywhere_and_one_facing_away_nothing() -> None:
    scene = make_scene(*make_sphere(2))
    inside = look_at(np.array([0.0, 0.0, 0.1]), np.zeros(3), 20.0, 30, 30)
    away = look_at(np.array([0.0, 0.0, 3.0]), np.array([0.0, 0.0, 9.0]), 20.0, 30, 30)
    assert (scene.fragments(inside).face >= 0).all()
    assert (scene.fragments(away).face == -1).all()


def test_visible_vertices_of_a_sphere_are_those_that_face_the_eye() -> None:
    V, F = make_sphere(4)
    camera = make_camera()
    visible = visible_vertices(V, F, camera, rasterize(V, F, camera))
    eye = -camera.R.T @ camera.t
    to_eye = (eye - V) / np.linalg.norm(eye - V, axis=1, keepdims=True)
    facing = np.einsum("ij,ij->i", V, to_eye)
    clear = np.abs(facing) > 0.2  # nearer to the limb (under two pixels) it is a matter of pixels
    assert_array_equal(visible[clear], facing[clear] > 0)
    assert visible.mean() == pytest.approx((1 - 1 / DISTANCE) / 2, abs=0.03)  # the cap seen from DISTANCE


def test_vertices_behind_another_surface_or_outside_the_image_are_not_visible() -> None:
    V, F = make_sphere(3)
    behind = 0.5 * V - [0.0, 0.0, 2.0]
    both_V, both_F = np.concatenate([V, behind]), np.concatenate([F, F + len(V)])
    front = look_at(np.array([0.0, 0.0, 4.0]), np.zeros(3), FOCAL, 200, 200)
    visible = visible_vertices(both_V, both_F, front, rasterize(both_V, both_F, front))
    assert visible[: len(V)].any()
    assert not visible[len(V) :].any()
    aside = replace(front, K=front.K + np.array([[0, 0, 500.0], [0, 0, 0], [0, 0, 0]]))
    assert not visible_vertices(V, F, aside, rasterize(V, F, aside)).any()


def test_the_same_view_gives_the_same_bytes() -> None:
    V, F = make_sphere(3)
    first, second = (rasterize(V, F, make_camera()) for _ in range(2))
    for name in ("face", "bary", "depth"):
        assert getattr(first, name).tobytes() == getattr(second, name).tobytes()


def test_unknown_back_ends_and_distorted_cameras_are_refused() -> None:
    V, F = make_sphere(1)
    with pytest.raises(SettingsError, match="embree"):
        getattr(make_scene, "__wrapped__", make_scene)(V, F, "opengl")  # past the tests' own type check
    with pytest.raises(CameraError):
        rasterize(V, F, replace(make_camera(), distortion=(0.1, 0.0, 0.0, 0.0, 0.0)))
