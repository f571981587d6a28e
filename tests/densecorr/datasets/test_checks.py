import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco_mask

from densecorr.datasets.checks import check_box, check_counts, check_polygons, decode_counts
from densecorr.datasets.coco_types import Rle
from densecorr.datasets.segmentations import compress_segmentation, silhouette_area, silhouette_box
from densecorr.errors import AnnotationError
from densecorr.images import box_of_silhouette, decode_silhouette

MASKS = hnp.arrays(np.bool_, st.tuples(st.integers(1, 40), st.integers(1, 40)))


def runs_of(mask: np.ndarray) -> list[int]:
    flat = mask.T.ravel().astype(int)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flat, [1 - flat[-1]]])))
    return np.diff(np.concatenate([[0], edges])).tolist()


@given(MASKS)
def test_compressed_runs_are_decoded_as_they_were_encoded(mask: np.ndarray) -> None:
    text = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()
    assert decode_counts(text).tolist() == runs_of(mask)
    check_counts(Rle(list(mask.shape), text))


@given(MASKS)
def test_every_form_of_a_mask_is_the_same_silhouette(mask: np.ndarray) -> None:
    height, width = mask.shape
    plain = compress_segmentation(Rle([height, width], runs_of(mask)), height, width)
    assert np.array_equal(decode_silhouette(plain, height, width), mask)
    assert compress_segmentation(Rle([height, width], plain["counts"]), height, width) == plain
    assert silhouette_area(plain) == mask.sum()
    assert silhouette_box(plain) == box_of_silhouette(mask)


@given(st.text(max_size=12), st.integers(1, 9), st.integers(1, 9))
def test_no_text_gets_past_that_is_not_the_size(text: str, height: int, width: int) -> None:
    try:
        check_counts(Rle([height, width], text))
    except AnnotationError:
        return
    assert decode_silhouette({"size": [height, width], "counts": text}, height, width).shape == (
        height,
        width,
    )


def test_polygons_of_a_rectangle_cover_it() -> None:
    rle = compress_segmentation([[2, 3, 12, 3, 12, 8, 2, 8]], 20, 30)
    assert silhouette_box(rle) == (2.0, 3.0, 10.0, 5.0)
    assert silhouette_area(rle) == 50.0


def test_no_segmentation_is_no_silhouette() -> None:
    assert compress_segmentation(None, 4, 4) is None
    assert compress_segmentation([], 4, 4) is None


@pytest.mark.parametrize("xywh", [[0, 0, 0, 0], [-5.5, 3, 1e4, 2]])
def test_boxes_may_be_empty_or_reach_out(xywh: list[float]) -> None:
    assert list(check_box(xywh)) == xywh


def test_polygons_may_reach_out_a_little() -> None:
    check_polygons([[-1, -1, 31, -1, 31, 21]], 20, 30)
    with pytest.raises(AnnotationError, match="near an image of 30 x 20"):
        check_polygons([[-1, -1, 61, -1, 31, 21]], 20, 30)
