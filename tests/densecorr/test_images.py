import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from densecorr.errors import AnnotationError
from densecorr.images import (
    CropFrame,
    box_of_silhouette,
    contact_sheet,
    crop_frame,
    crop_image,
    crop_mask,
    decode_silhouette,
    encode_silhouette,
    from_crop,
    to_crop,
    uncrop_mask,
)


def disc(height: int, width: int, x: float, y: float, radius: float) -> np.ndarray:
    ys, xs = np.mgrid[:height, :width]
    return np.hypot(xs - x, ys - y) <= radius


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


def gradient(height: int, width: int) -> np.ndarray:
    """Red grows by 2 a column, green by 2 a row."""
    ys, xs = np.mgrid[:height, :width]
    return np.stack([2 * xs, 2 * ys, np.full_like(xs, 7)], axis=-1).astype(np.uint8)


# ---- frames


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(*[st.floats(-500, 5000)] * 2, *[st.floats(0, 4000)] * 2),
    st.integers(1, 512),
    st.floats(0, 1),
    st.tuples(st.floats(-1e4, 1e4), st.floats(-1e4, 1e4)),
)
def test_full_crop_full_is_the_identity(
    xywh: tuple[float, float, float, float], size: int, padding: float, xy: tuple[float, float]
) -> None:
    frame = crop_frame(xywh, size, padding)
    point = np.array(xy)
    assert_allclose(from_crop(to_crop(point, frame), frame), point, atol=1e-6)


def test_a_crop_spans_its_box_from_edge_to_edge() -> None:
    frame = crop_frame((10.0, 20.0, 30.0, 30.0), 90, padding=0.0)
    # COCO's edges 10 and 40 lie at 9.5 and 39.5 where pixel centres are integers
    assert_allclose(to_crop(np.array([[9.5, 19.5], [39.5, 49.5]]), frame), [[-0.5, -0.5], [89.5, 89.5]])
    assert frame.scale == 3.0


def test_padding_enlarges_the_longer_side_at_both_ends_about_the_middle() -> None:
    frame = crop_frame((10.0, 20.0, 40.0, 10.0), 96, padding=0.1)
    assert frame.size / frame.scale == pytest.approx(48.0)
    middle = np.array([10 + 20 - 0.5, 20 + 5 - 0.5])
    assert_allclose(to_crop(middle, frame), [47.5, 47.5])


# ---- pixels


@pytest.mark.parametrize(
    ("xywh", "size"),
    [
        ((30.0, 20.0, 20.0, 20.0), 64),  # enlarged
        ((30.25, 20.5, 33.3, 20.0), 40),
        ((4.0, 3.0, 100.0, 90.0), 64),  # shrunk a little: by the warp alone
        ((8.5, 5.5, 100.0, 88.0), 21),  # shrunk by a whole factor first
        ((6.0, 4.0, 111.0, 90.0), 9),
    ],
)
def test_a_crop_pixel_shows_what_lies_at_its_place(
    xywh: tuple[float, float, float, float], size: int
) -> None:
    image = gradient(100, 120)
    frame = crop_frame(xywh, size, padding=0.0)
    crop = crop_image(image, frame).astype(float)
    ys, xs = np.mgrid[:size, :size]
    xy = from_crop(np.stack([xs, ys], axis=-1).astype(float), frame)
    reach = 1.0 / frame.scale + 0.5  # a pixel must not reach over the image's border
    inside = (xy > reach).all(axis=-1) & (xy < np.array([119, 99]) - reach).all(axis=-1)
    assert inside.mean() > 0.5
    assert_allclose(crop[inside][:, :2], 2 * xy[inside], atol=1.1)
    assert_array_equal(crop[..., 2], 7)


def test_the_frame_of_the_whole_image_changes_nothing() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (33, 33, 3), dtype=np.uint8)
    mask = rng.random((33, 33)) < 0.5
    frame = crop_frame((0.0, 0.0, 33.0, 33.0), 33, padding=0.0)
    assert_array_equal(crop_image(image, frame), image)
    assert_array_equal(crop_mask(mask, frame), mask)
    assert_array_equal(uncrop_mask(mask, frame, 33, 33), mask)


def test_outside_the_image_its_border_is_repeated() -> None:
    crop = crop_image(gradient(10, 10), CropFrame(-5.0, -5.0, 1.0, 20))
    assert_array_equal(crop[:5, :, 1], 0)
    assert_array_equal(crop[-5:, :, 1], 18)
    assert_array_equal(crop[:, :5, 0], 0)
    assert_array_equal(crop[:, -5:, 0], 18)


@pytest.mark.parametrize("factor", [0.05, 1.0, 7.0])
def test_one_pixel_fills_any_crop(factor: float) -> None:
    image = np.array([[[9, 120, 250]]], dtype=np.uint8)
    crop = crop_image(image, CropFrame(-1.0, -1.0, factor, 8))
    assert_array_equal(crop, np.broadcast_to(image, (8, 8, 3)))


@pytest.mark.parametrize("box", [(3.0, 4.0, 0.0, 0.0), (3.0, 4.0, 0.0, 6.0)])
def test_a_box_without_area_still_gives_a_crop(box: tuple[float, float, float, float]) -> None:
    assert crop_image(gradient(10, 10), crop_frame(box, 16)).shape == (16, 16, 3)


# ---- masks


@pytest.mark.parametrize("size", [48, 150, 37])
def test_uncropping_undoes_cropping(size: int) -> None:
    mask = disc(80, 100, 55.3, 38.1, 20)
    frame = crop_frame(box_of_silhouette(mask), size, padding=0.1)
    back = uncrop_mask(crop_mask(mask, frame), frame, 80, 100)
    assert overlap(back, mask) > 0.94
    centre = np.argwhere(back).mean(axis=0)
    assert_allclose(centre, np.argwhere(mask).mean(axis=0), atol=0.15)


def test_whole_number_enlargements_of_masks_are_undone_exactly() -> None:
    mask = np.random.default_rng(1).random((12, 12)) < 0.5
    frame = CropFrame(0.0, 0.0, 5.0, 60)
    assert_array_equal(uncrop_mask(crop_mask(mask, frame), frame, 12, 12), mask)


@pytest.mark.parametrize("scale", [0.2, 1.0, 3.0])
def test_a_mask_has_nothing_outside_the_image(scale: float) -> None:
    everything = np.ones((20, 30), dtype=bool)
    frame = CropFrame(-20.0, -20.0, scale, 60)
    xy = np.stack(np.meshgrid(np.arange(60.0), np.arange(60.0)), axis=-1)
    x, y = np.moveaxis(from_crop(xy, frame), -1, 0)
    slack = 0.5 / scale + 0.5
    far = (x < -0.5 - slack) | (y < -0.5 - slack) | (x > 29.5 + slack) | (y > 19.5 + slack)
    assert not crop_mask(everything, frame)[far].any()
    well_inside = (x > slack) & (y > slack) & (x < 29 - slack) & (y < 19 - slack)
    assert crop_mask(everything, frame)[well_inside].all()


def test_a_frame_beside_the_image_sees_no_mask_and_puts_none_back() -> None:
    frame = CropFrame(100.0, 5.0, 1.0, 16)
    assert not crop_mask(np.ones((20, 30), dtype=bool), frame).any()
    assert not uncrop_mask(np.ones((16, 16), dtype=bool), frame, 20, 30).any()


def test_uncropping_fills_the_frame_s_part_of_the_image_only() -> None:
    back = uncrop_mask(np.ones((32, 32), dtype=bool), CropFrame(20.0, -4.0, 2.0, 32), 20, 30)
    expected = np.zeros((20, 30), dtype=bool)
    expected[:12, 20:] = True
    assert_array_equal(back, expected)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 20), st.integers(1, 20), st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_silhouettes_come_back_from_run_lengths(height: int, width: int, seed: int, share: float) -> None:
    mask = np.random.default_rng(seed).random((height, width)) < share
    rle = encode_silhouette(mask)
    assert isinstance(rle["counts"], str)
    assert rle["size"] == [height, width]
    assert_array_equal(decode_silhouette(rle, height, width), mask)
    assert_array_equal(decode_silhouette({**rle, "counts": rle["counts"].encode()}, height, width), mask)


def test_a_silhouette_of_another_size_is_an_error() -> None:
    with pytest.raises(AnnotationError, match=r"\[5, 4\]"):
        decode_silhouette(encode_silhouette(np.ones((4, 5), dtype=bool)), 5, 4)


def test_the_box_of_a_silhouette_counts_edges() -> None:
    mask = np.zeros((10, 12), dtype=bool)
    assert box_of_silhouette(mask) == (0.0, 0.0, 0.0, 0.0)
    mask[3:7, 2:11] = True
    assert box_of_silhouette(mask) == (2.0, 3.0, 9.0, 4.0)


def test_a_contact_sheet_fills_rows_and_leaves_the_rest_black() -> None:
    colors = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    images = [
        np.broadcast_to(np.array(c, dtype=np.uint8), (4 + i, 9, 3)).copy() for i, c in enumerate(colors)
    ]
    sheet = contact_sheet(images, columns=2, side=8)
    assert sheet.shape == (16, 16, 3)
    for index, color in enumerate([*colors, (0, 0, 0)]):
        y, x = divmod(index, 2)
        assert_array_equal(sheet[8 * y : 8 * y + 8, 8 * x : 8 * x + 8].reshape(-1, 3), np.array([color] * 64))
