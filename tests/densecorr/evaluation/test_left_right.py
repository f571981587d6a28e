from dataclasses import replace

import numpy as np
from numpy.testing import assert_allclose

from densecorr.evaluation.left_right import LeftRightConfusion
from densecorr.evaluation.scored import Measurement, Omission


def rate(outcome: Measurement | Omission) -> float:
    assert isinstance(outcome, Measurement)
    return float(outcome.statistic(np.ones((1, 1)))[0, 0])


def test_the_distance_to_the_plane_is_half_the_way_to_the_mirror(segment, score_one) -> None:
    assert_allclose(score_one([0, 20, 30]).plane_distance, [1.0, 0.0, 0.5], atol=1e-6)


def test_right_side_wrong_side_and_missing(segment, score_one) -> None:
    true = [0, 0, 0, 0]
    assert rate(LeftRightConfusion()(score_one(true), segment)) == 0.0
    assert rate(LeftRightConfusion()(score_one(true, vertex=[40] * 4), segment)) == 1.0
    assert rate(LeftRightConfusion()(score_one(true, vertex=[0, 19, 21, -1]), segment)) == 0.5


def test_the_middle_is_neither_side(segment, score_one) -> None:
    assert rate(LeftRightConfusion()(score_one([0], vertex=[20]), segment)) == 0.0


def test_points_near_the_plane_do_not_count(segment, score_one) -> None:
    # 5% of the 2 m diameter is 10 cm: vertex 19 is 5 cm from the middle, vertex 17 is 15 cm
    scored = score_one([19, 19, 17, 0], vertex=[21, 22, 17, 0])
    assert rate(LeftRightConfusion()(scored, segment)) == 0.0
    assert_allclose(rate(LeftRightConfusion(min_plane_share=0.01)(scored, segment)), 0.5)
    assert isinstance(LeftRightConfusion()(score_one([20, 19]), segment), Omission)


def test_a_blind_guess_scores_one_half(segment, score_one) -> None:
    rng = np.random.default_rng(0)
    true, guess = rng.integers(0, 41, (2, 20_000))
    assert abs(rate(LeftRightConfusion()(score_one(true, vertex=guess), segment)) - 0.5) < 0.02


def test_needs_a_symmetric_template(segment, score_one) -> None:
    assert isinstance(LeftRightConfusion()(score_one([0]), replace(segment, mirror_residual=0.2)), Omission)
