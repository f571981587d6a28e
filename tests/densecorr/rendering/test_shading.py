import numpy as np
import pytest
import trimesh
from numpy.testing import assert_allclose, assert_array_equal

from densecorr.records import Camera
from densecorr.rendering.cameras import look_at, pixel_rays
from densecorr.rendering.rasterize import Fragments, rasterize
from densecorr.rendering.shading import (
    depth_image,
    interpolate,
    normal_image,
    shaded_image,
    vertex_color_image,
    vertex_normals,
)

SIZE = 101  # odd: the middle pixel looks along the axis


@pytest.fixture(scope="module")
def view() -> tuple[np.ndarray, np.ndarray, Camera, Fragments]:
    sphere = trimesh.creation.icosphere(subdivisions=4)
    V, F = np.asarray(sphere.vertices, dtype=np.float64), np.asarray(sphere.faces, dtype=np.int64)
    camera = look_at(np.array([0.0, 0.0, 4.0]), np.zeros(3), 150.0, SIZE, SIZE)
    return V, F, camera, rasterize(V, F, camera)


def test_normals_of_a_sphere_are_its_vertices(view: tuple) -> None:
    V, F, _, _ = view
    assert_allclose(vertex_normals(V, F), V, atol=0.01)
    assert_allclose(vertex_normals(V, F[:, ::-1]), -V, atol=0.01)


def test_interpolated_positions_lie_on_the_rays(view: tuple) -> None:
    V, F, camera, fragments = view
    hit = fragments.face >= 0
    X = interpolate(fragments, F, V)
    centre, rays = pixel_rays(camera, (0, SIZE), (0, SIZE))
    assert_allclose(X[hit], centre + fragments.depth[hit][:, None] * rays[hit.ravel()], atol=1e-4)
    assert (X[~hit] == 0).all()


def test_normal_image_is_in_the_camera_s_frame_and_black_outside(view: tuple) -> None:
    V, F, camera, fragments = view
    image = normal_image(fragments, V, F, camera).astype(int)
    middle = SIZE // 2
    assert_allclose(image[middle, middle], [128, 128, 255], atol=2)  # towards the camera
    assert image[middle, middle + 25, 0] > 180  # right of the middle: x to the right
    assert image[middle - 25, middle, 1] > 180  # above the middle: y up
    assert (image[fragments.face < 0] == 0).all()


def test_the_same_surface_turned_with_its_camera_gives_the_same_normal_image(view: tuple) -> None:
    V, F, camera, fragments = view
    turn = trimesh.transformations.rotation_matrix(1.1, [0.3, 1.0, 0.2])[:3, :3]
    turned = Camera(camera.K, camera.R @ turn.T, camera.t, SIZE, SIZE)
    image = normal_image(rasterize(V @ turn.T, F, turned), V @ turn.T, F, turned)
    difference = np.abs(image.astype(int) - normal_image(fragments, V, F, camera).astype(int))
    assert (difference.max(axis=-1) <= 1).mean() > 0.995


def test_the_nearest_pixel_is_white_and_depth_darkens(view: tuple) -> None:
    fragments = view[3]
    image = depth_image(fragments)[..., 0]
    hit = fragments.face >= 0
    assert image[hit].max() == 255
    assert image[hit].min() == 50
    assert (image[~hit] == 0).all()
    order = np.argsort(fragments.depth[hit], kind="stable")
    assert (np.diff(image[hit][order].astype(int)) <= 0).all()


def test_an_empty_view_is_black() -> None:
    empty = Fragments(
        np.full((4, 5), -1, dtype=np.int32),
        np.zeros((4, 5, 3), np.float32),
        np.full((4, 5), np.inf, np.float32),
    )
    assert not depth_image(empty).any()


def test_one_vertex_colour_fills_the_silhouette(view: tuple) -> None:
    V, F, _, fragments = view
    image = vertex_color_image(fragments, F, np.tile(np.uint8([200, 10, 77]), (len(V), 1)))
    hit = fragments.face >= 0
    assert_array_equal(np.unique(image[hit], axis=0), [[200, 10, 77]])
    assert not image[~hit].any()


def test_the_side_towards_the_light_is_brighter(view: tuple) -> None:
    V, F, _, fragments = view
    image = shaded_image(fragments, V, F, light=np.array([5.0, 0.0, 1.0]), ambient=0.2).astype(float)
    middle = SIZE // 2
    assert image[middle, middle + 25, 0] > image[middle, middle, 0] > image[middle, middle - 25, 0]
    assert image[middle, middle - 25, 0] == pytest.approx(
        255 * 0.75 * 0.2, abs=1.5
    )  # only ambient light there
