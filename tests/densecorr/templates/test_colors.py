import numpy as np
import trimesh
from numpy.testing import assert_array_equal

from densecorr.templates.colors import template_colors


def test_red_is_left_green_is_up_blue_is_front() -> None:
    V = np.array([[-1, -2, -3], [1, -2, -3], [-1, 2, -3], [-1, -2, 3.0]])
    assert_array_equal(template_colors(V), [[30, 30, 30], [255, 30, 30], [30, 255, 30], [30, 30, 255]])


def test_colours_do_not_depend_on_place_and_size_and_are_smooth() -> None:
    V = np.array(trimesh.creation.icosphere(subdivisions=4).vertices)
    F = trimesh.creation.icosphere(subdivisions=4).faces
    colors = template_colors(V)
    assert colors.dtype == np.uint8
    assert np.abs(template_colors(100 * V + 7).astype(int) - colors).max() <= 1
    assert np.abs(np.diff(colors[F].astype(int), axis=1)).max() < 25
    assert len(np.unique(colors, axis=0)) > 0.99 * len(V)


def test_a_flat_axis_is_grey() -> None:
    assert_array_equal(template_colors(np.array([[0, 1.0, 0], [1, 1.0, 0]]))[:, 1:], np.full((2, 2), 142))
