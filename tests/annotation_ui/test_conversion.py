from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from annotation_ui.conversion import (
    UNKNOWN_COLOR,
    color_runs,
    crop_silhouette,
    image_path,
    paint_nearest,
    point_colors,
    relative_box,
    relative_points,
    stable_object_id,
)
from densecorr.errors import AnnotationError, DatasetNotFoundError


def test_the_image_corners_are_zero_and_one() -> None:
    corners = np.array([[-0.5, -0.5], [7.5, 3.5], [3.5, 1.5]])  # pixel centres at integers, 8 x 4 pixels
    assert_allclose(relative_points(corners, 8, 4), [[0, 0], [1, 1], [0.5, 0.5]])


def test_a_box_around_one_pixel_is_centred_on_that_pixel() -> None:
    x, y, w, h = relative_box((5.0, 2.0, 1.0, 1.0), 8, 4)  # COCO's box of the pixel (5, 2)
    assert_allclose([x + w / 2, y + h / 2], relative_points(np.array([[5.0, 2.0]]), 8, 4)[0])


def test_a_whole_number_box_crops_the_pixels_themselves() -> None:
    silhouette = np.random.default_rng(0).random((12, 16)) < 0.5
    mask = crop_silhouette(silhouette, (3.0, 2.0, 7.0, 5.0))
    assert mask is not None
    assert_array_equal(mask, silhouette[2:7, 3:10])


def test_a_fractional_box_takes_the_pixel_under_each_cell_centre() -> None:
    silhouette = np.zeros((4, 10), dtype=bool)
    silhouette[:, 4:] = True  # from edge x = 4 on
    mask = crop_silhouette(silhouette, (2.4, 0.0, 4.0, 4.0))  # cells centred on edges 2.9, 3.9, 4.9, 5.9
    assert mask is not None
    assert_array_equal(mask[0], [False, False, True, True])


def test_a_box_beyond_the_image_has_no_silhouette_there() -> None:
    mask = crop_silhouette(np.ones((4, 4), dtype=bool), (-2.0, 0.0, 4.0, 8.0))
    assert mask is not None
    assert_array_equal(mask[:4], [[False, False, True, True]] * 4)
    assert not mask[4:].any()


@pytest.mark.parametrize("xywh", [(0.0, 0.0, 0.0, 5.0), (6.0, 6.0, 2.0, 2.0)])
def test_an_empty_crop_is_no_mask(xywh: tuple[float, ...]) -> None:
    silhouette = np.zeros((8, 8), dtype=bool)
    silhouette[:4] = True
    assert crop_silhouette(silhouette, xywh) is None


def test_points_take_their_vertex_colour_to_the_nearest_level() -> None:
    colors = np.random.default_rng(1).integers(0, 256, (500, 3)).astype(np.uint8)
    colors[0] = 0
    vertex = np.arange(500)
    rounded = point_colors(vertex, colors).astype(int)
    assert set(rounded.ravel()) <= {0, 51, 102, 153, 204, 255}
    assert np.abs(rounded[1:] - colors[1:].astype(int)).max() <= 25
    assert rounded.any(axis=1).all()  # black is background in FiftyOne


def test_unknown_vertices_and_templates_are_grey() -> None:
    colors = np.full((3, 3), 255, dtype=np.uint8)
    assert_array_equal(point_colors(np.array([-1, 2]), colors), [UNKNOWN_COLOR, (255, 255, 255)])
    assert_array_equal(point_colors(np.array([7, 0]), None), [UNKNOWN_COLOR] * 2)


@pytest.mark.parametrize("vertex", [3, -2])
def test_a_vertex_the_template_lacks_is_an_error(vertex: int) -> None:
    with pytest.raises(AnnotationError, match=f"received {vertex}"):
        point_colors(np.array([0, vertex]), np.zeros((3, 3), dtype=np.uint8))


def test_groups_hold_every_point_once() -> None:
    colors = np.random.default_rng(2).integers(0, 2, (100, 3)).astype(np.uint8) * 255
    order, runs = color_runs(colors)
    assert_array_equal(np.sort(order), np.arange(100))
    names = ["#" + bytes(one).hex() for one in colors]
    assert [color for color, _, _ in runs] == sorted(set(names))
    for color, start, end in runs:
        assert list(order[start:end]) == sorted(order[start:end])
        assert {names[row] for row in order[start:end]} == {color}
    assert color_runs(colors[:0])[1] == []


def test_painting_splits_the_silhouette_half_way_between_two_points() -> None:
    silhouette = np.ones((4, 10), dtype=bool)
    silhouette[0] = False
    red, blue = (255, 0, 0), (0, 0, 255)
    canvas = np.zeros((4, 10, 3), dtype=np.uint8)
    xy = np.array([[1.0, 2.0], [8.0, 2.0]])
    paint_nearest(canvas, silhouette, xy, np.array([red, blue], dtype=np.uint8))
    assert not canvas[0].any()
    assert_array_equal(canvas[1:, :5], np.broadcast_to(red, (3, 5, 3)))
    assert_array_equal(canvas[1:, 5:], np.broadcast_to(blue, (3, 5, 3)))


def test_a_coarser_canvas_shows_the_same_halves() -> None:
    canvas = np.zeros((2, 4, 3), dtype=np.uint8)
    xy = np.array([[0.0, 4.0], [15.0, 4.0]])
    colors = np.array([(255, 0, 0), (0, 0, 255)], dtype=np.uint8)
    paint_nearest(canvas, np.ones((8, 16), dtype=bool), xy, colors)
    assert_array_equal(canvas[..., 0] > 0, [[True, True, False, False]] * 2)


def test_object_ids_depend_on_every_part_and_on_where_they_split() -> None:
    assert stable_object_id("a", "b") == stable_object_id("a", "b")
    assert len({stable_object_id("a", "b"), stable_object_id("ab"), stable_object_id("b", "a")}) == 3
    assert int(stable_object_id("a"), 16) < 16**24


def test_image_paths_are_absolute_and_relative_names_start_at_the_root(tmp_path: Path) -> None:
    assert image_path("a/b.png", tmp_path) == str(tmp_path / "a" / "b.png")
    assert image_path("/data/b.png", tmp_path) == "/data/b.png"
    assert image_path("file:///data/b.png", tmp_path) == "/data/b.png"
    with pytest.raises(DatasetNotFoundError, match="s3://bucket"):
        image_path("s3://bucket/b.png", tmp_path)
