from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from densecorr.errors import AnnotationError, EmptyInstanceError, SettingsError
from densecorr.evaluation.keypoint_pck import (
    KeypointPair,
    correct_counts,
    mean_over_groups,
    reference_length,
)

PAIR = KeypointPair(
    "p",
    "cat",
    np.array([[10.0, 10.0], [50.0, 30.0]]),
    size=(200.0, 100.0),
    xywh=(5.0, 5.0, 60.0, 40.0),
    silhouette_area=900.0,
)


def test_each_reference_length_by_hand() -> None:
    lengths = {"bbox": 60.0, "image": 200.0, "square": 1.0, "keypoints": 40.0, "silhouette": 30.0}
    assert {name: reference_length(PAIR, name) for name in lengths} == lengths


@pytest.mark.parametrize("name", ["bbox", "image", "keypoints", "silhouette"])
def test_the_threshold_is_alpha_times_the_length(name) -> None:
    reach = 0.1 * reference_length(PAIR, name)
    for off, expected in ((0.999 * reach, 2), (1.001 * reach, 0)):
        correct, n = correct_counts([PAIR], [PAIR.xy + np.array([off, 0.0])], [0.1], name)
        assert (correct[0, 0], n[0]) == (expected, 2)


def test_a_square_measures_each_axis_by_its_own_side() -> None:
    for off, expected in (([19.9, 0.0], 2), ([0.0, 9.9], 2), ([0.0, 10.1], 0), ([15.0, 7.5], 0)):
        assert correct_counts([PAIR], [PAIR.xy + np.array(off)], [0.1], "square")[0][0, 0] == expected


def test_a_keypoint_without_answer_is_wrong() -> None:
    guess = PAIR.xy.copy()
    guess[0] = np.nan
    assert correct_counts([PAIR], [guess], [0.1, 9.0], "bbox")[0].tolist() == [[1.0, 1.0]]


def test_the_mean_over_groups_weighs_groups_alike() -> None:
    statistic = mean_over_groups(
        np.array([[3.0], [1.0], [0.0]]), np.array([[4.0], [1.0], [5.0]]), ["a", "a", "b"]
    )
    once, twice_a = np.array([[1.0, 1.0, 1.0]]), np.array([[1.0, 1.0, 0.0]])
    assert_allclose(statistic(once), [[(4 / 5 + 0) / 2]])
    assert_allclose(statistic(twice_a), [[4 / 5]])  # a group that no draw hit is not 0
    assert np.isnan(statistic(np.zeros((1, 3)))).all()


def test_what_cannot_be_scored() -> None:
    with pytest.raises(AnnotationError, match="no box of image B in p"):
        reference_length(replace(PAIR, xywh=None), "bbox")
    with pytest.raises(AnnotationError, match="no image size of image B in p"):
        reference_length(replace(PAIR, size=None), "square")
    with pytest.raises(AnnotationError, match=r"above 0; received 0 \(keypoints\)"):
        reference_length(replace(PAIR, xy=PAIR.xy[:1]), "keypoints")
    with pytest.raises(AnnotationError, match="2 predicted keypoints for p; received 1"):
        correct_counts([PAIR], [PAIR.xy[:1]], [0.1], "bbox")
    with pytest.raises(EmptyInstanceError, match="at least one pair"):
        correct_counts([], [], [0.1], "bbox")
    with pytest.raises(EmptyInstanceError, match="none in p"):
        correct_counts([replace(PAIR, xy=PAIR.xy[:0])], [PAIR.xy[:0]], [0.1], "bbox")
    with pytest.raises(SettingsError, match="alphas above 0"):
        correct_counts([PAIR], [PAIR.xy], [0.0], "bbox")
