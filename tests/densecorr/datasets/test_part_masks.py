"""Part masks land where they should: halves of the frame are halves of the box, in every form they come in."""

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from pycocotools import mask as coco_mask

from densecorr.datasets.coco_types import Rle
from densecorr.datasets.part_masks import PART_NAMES, part_masks_to_labels, part_masks_to_silhouette
from densecorr.errors import AnnotationError


def encode(rows: slice, columns: slice) -> dict[str, Any]:
    frame = np.zeros((256, 256), dtype=np.uint8, order="F")
    frame[rows, columns] = 1
    code: Any = coco_mask.encode(frame)
    return {"size": [256, 256], "counts": code["counts"].decode()}


ALL, LOW, HIGH = slice(None), slice(0, 128), slice(128, None)


def test_a_full_frame_fills_the_box_and_nothing_else() -> None:
    mask = part_masks_to_silhouette([encode(ALL, ALL)], [3, 2, 8, 5], 10, 20)
    expected = np.zeros((10, 20), dtype=bool)
    expected[2:7, 3:11] = True
    assert_array_equal(mask, expected)


def test_halves_are_halves_and_parts_have_their_slots() -> None:
    slots = [[], encode(ALL, LOW), None, encode(ALL, HIGH), *[[]] * 10]
    labels = part_masks_to_labels(slots, [4, 1, 6, 4], 6, 12)
    assert_array_equal(labels[1:5, 4:7], np.full((4, 3), 2))
    assert_array_equal(labels[1:5, 7:10], np.full((4, 3), 4))
    assert (labels > 0).sum() == 24
    assert PART_NAMES[4 - 1] == "left foot"
    assert_array_equal(part_masks_to_silhouette(slots, [4, 1, 6, 4], 6, 12), labels > 0)


def test_a_box_past_the_image_is_cut_not_moved() -> None:
    labels = part_masks_to_labels([encode(ALL, LOW), encode(ALL, HIGH)], [-4, -2, 8, 6], 5, 3)
    assert_array_equal(labels, [[2, 2, 2]] * 4 + [[0, 0, 0]])
    assert not part_masks_to_silhouette([encode(ALL, ALL)], [30, 30, 8, 6], 5, 3).any()


def test_the_later_part_wins_and_the_union_is_the_silhouette() -> None:
    slots = [encode(ALL, ALL), encode(LOW, ALL)]
    labels = part_masks_to_labels(slots, [0, 0, 4, 4], 4, 4)
    assert_array_equal(labels, [[2] * 4, [2] * 4, [1] * 4, [1] * 4])


def test_every_form_of_an_encoding_is_the_same() -> None:
    code = encode(LOW, ALL)
    runs = {"size": [256, 256], "counts": [0, *[128, 128] * 256]}
    forms = [
        [code],
        code,
        Rle(code["size"], code["counts"]),
        [Rle(code["size"], code["counts"])],
        [runs],
        runs,
    ]
    expected = part_masks_to_silhouette(forms[0], [1, 1, 6, 6], 8, 8)
    assert expected.sum() == 18
    for form in forms:
        assert_array_equal(part_masks_to_silhouette(form, [1, 1, 6, 6], 8, 8), expected)
    assert not part_masks_to_silhouette(None, [1, 1, 6, 6], 8, 8).any()
    assert not part_masks_to_silhouette([[]] * 14, [1, 1, 6, 6], 8, 8).any()


@pytest.mark.parametrize(
    ("masks", "xywh", "said"),
    [
        ([[]] * 15, [0, 0, 4, 4], "at most 14 dp_masks; received 15"),
        ([{"size": [4, 4], "counts": "04"}], [0, 0, 4, 4], r"256 x 256; received \[4, 4\] in slot 1"),
        ([[1, 2]], [0, 0, 4, 4], "received list in slot 1"),
        ("abc", [0, 0, 4, 4], "dp_masks as a list; received str"),
        ([encode(ALL, ALL)], [0, 0, 0, 4], "a box with positive sides"),
    ],
)
def test_bad_masks_are_refused(masks: Any, xywh: list[float], said: str) -> None:
    with pytest.raises(AnnotationError, match=said):
        part_masks_to_silhouette(masks, xywh, 8, 8)


def test_one_mask_of_the_whole_object_has_no_parts() -> None:
    with pytest.raises(AnnotationError, match="one mask of the whole object"):
        part_masks_to_labels(encode(ALL, ALL), [0, 0, 4, 4], 8, 8)
