import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from densecorr.errors import ImageError
from densecorr.evaluation.overlays import figure_row, overlay_points, overlay_vertex_map, stack_figures

GREY = np.full((40, 60, 3), 100, dtype=np.uint8)


def test_labelled_pixels_are_blended_and_others_kept() -> None:
    vertex_map = np.full((40, 60), -1)
    vertex_map[10:20, 10:20] = 1
    colors = np.array([[0, 0, 0], [200, 0, 100]], dtype=np.uint8)
    out = overlay_vertex_map(GREY, vertex_map, colors, alpha=0.5)
    assert_array_equal(out[15, 15], [150, 50, 100])
    assert_array_equal(out[vertex_map < 0], GREY[vertex_map < 0])
    assert_array_equal(overlay_vertex_map(GREY, vertex_map, colors, alpha=0.0), GREY)
    assert_array_equal(overlay_vertex_map(GREY, vertex_map, colors, alpha=1.0)[15, 15], colors[1])


@pytest.mark.parametrize("center", [(30.0, 20.0), (30.25, 19.5), (12.5, 30.75)])
def test_points_are_drawn_where_they_are(center: tuple[float, float]) -> None:
    white = np.full((1, 3), 255, dtype=np.uint8)
    out = overlay_points(np.zeros_like(GREY), np.array([center]), white, radius=5.0)[..., 0].astype(float)
    out[out < 40] = 0.0  # the rim
    ys, xs = np.mgrid[: out.shape[0], : out.shape[1]]
    found = np.array([(xs * out).sum(), (ys * out).sum()]) / out.sum()
    assert_allclose(found, center, atol=0.15)
    assert_allclose(out.sum() / 255, np.pi * 25, rtol=0.2)


def test_points_without_a_position_are_skipped_and_the_image_is_not_touched() -> None:
    image = GREY.copy()
    out = overlay_points(image, np.full((1, 2), np.nan), np.zeros((1, 3), dtype=np.uint8))
    assert_array_equal(out, GREY)
    overlay_points(image, np.array([[5.0, 5.0]]), np.zeros((1, 3), dtype=np.uint8))
    assert_array_equal(image, GREY)


def test_a_row_has_every_picture_at_one_height() -> None:
    red = np.zeros((20, 10, 3), dtype=np.uint8)
    red[..., 0] = 255
    row = figure_row([GREY, red], ["first", "second, with a title far too long for its picture"], height=80)
    title = row.shape[0] - 80
    assert row.shape == (80 + title, 120 + 8 + 40, 3)
    assert_array_equal(row[title + 40, 60], [100, 100, 100])
    assert_array_equal(row[title + 40, 148], [255, 0, 0])
    assert_array_equal(row[title + 40, 124], [255, 255, 255])
    assert (row[:title, :120] < 128).any()  # a title was written


def test_titles_and_pictures_must_match() -> None:
    with pytest.raises(ImageError):
        figure_row([GREY], [])


def test_figures_of_any_width_are_stacked_on_white() -> None:
    wide, narrow = GREY, GREY[:10, :25]
    out = stack_figures([narrow, wide])
    assert out.shape == (50, 60, 3)
    assert_array_equal(out[:10, :25], narrow)
    assert (out[:10, 25:] == 255).all()
    assert_array_equal(out[10:], wide)
    with pytest.raises(ImageError, match="picture"):
        stack_figures([])
