"""Keypoint sets: names and order against the real sample files, pairs, and an instance's keypoints."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from densecorr.datasets.keypoints import (
    KEYPOINT_SETS,
    find_keypoint_set,
    has_keypoints,
    instance_keypoints,
    keypoint_names,
)
from densecorr.datasets.landmarks import keypoint_landmarks
from densecorr.errors import AnnotationError
from densecorr.records import InstanceRecord

SHARED = Path(os.environ.get("DENSECORR_SHARED_DATA", Path(__file__).parents[4] / "shared" / "data"))
MMPOSE = SHARED / "mmpose"


def record(keypoints: Any) -> InstanceRecord:
    return InstanceRecord("z/1", "z/1", "zebra", (0.0, 0.0, 9.0, 9.0), extra={"keypoints": keypoints})


@pytest.mark.skipif(not MMPOSE.is_dir(), reason="no shared data: set DENSECORR_SHARED_DATA")
@pytest.mark.parametrize("name", ["coco", "ap10k", "zebra"])
def test_names_and_order_are_those_of_the_sample_files(name: str) -> None:
    data = json.loads((MMPOSE / name / f"test_{name}.json").read_text())
    for category in data["categories"]:
        assert find_keypoint_set(category["keypoints"]) is KEYPOINT_SETS[name]
        assert keypoint_names(data, category["name"]) == tuple(category["keypoints"])
    for row in data["annotations"]:
        one = record(row["keypoints"])
        xy, visibility = instance_keypoints(one, KEYPOINT_SETS[name].names)
        assert (visibility > 0).sum() == row["num_keypoints"]
        assert has_keypoints(one) == (row["num_keypoints"] > 0)
        assert_array_equal(xy.ravel()[:2], row["keypoints"][:2])


@pytest.mark.parametrize(("name", "count"), [("coco", 17), ("ap10k", 17), ("animalpose", 20), ("zebra", 9)])
def test_each_set_has_its_count_and_every_side_a_partner(name: str, count: int) -> None:
    one = KEYPOINT_SETS[name]
    assert len(set(one.names)) == count
    assert_array_equal(one.mirror[one.mirror], np.arange(count))
    sided = {side for pair in one.pairs for side in pair}
    assert len(sided) == 2 * len(one.pairs)
    middle = {"nose", "neck", "root_of_tail", "Nose", "Throat", "TailBase", "Withers"}
    assert set(one.names) - sided <= middle | {"snout", "head", "tailbase", "tailtip"}


@pytest.mark.parametrize("name", KEYPOINT_SETS)
def test_the_shipped_table_maps_sides_to_sides(name: str) -> None:
    one, table = KEYPOINT_SETS[name], keypoint_landmarks(name)
    assert tuple(table) == one.names or set(table) == set(one.names)
    for left, right in one.pairs:
        assert table[left].startswith("left_")
        assert table[right] == table[left].replace("left_", "right_")


def test_names_of_another_set_are_none() -> None:
    assert find_keypoint_set(["nose", "tail"]) is None
    assert keypoint_names({"categories": [{"name": "cat"}]}, "cat") == ()
    assert keypoint_names({}, "cat") == ()


@pytest.mark.parametrize(
    ("keypoints", "said"),
    [
        (None, "an instance with keypoints; received none in z/1"),
        ([1, 2, 2] * 8, "9 keypoints of x, y, visibility; received 24 numbers in z/1"),
        (["a", 2, 2] * 9, "keypoints that are numbers"),
        ([1, 2, 3] * 9, "visibility 0, 1 or 2"),
        ([float("nan"), 2, 2] * 9, "finite keypoints"),
    ],
)
def test_bad_keypoints_are_refused(keypoints: Any, said: str) -> None:
    with pytest.raises(AnnotationError, match=said):
        instance_keypoints(record(keypoints), KEYPOINT_SETS["zebra"].names)
