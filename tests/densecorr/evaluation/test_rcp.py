from dataclasses import replace

import numpy as np
from numpy.testing import assert_allclose

from densecorr.evaluation.rcp import RatioOfCorrectPoints, area_under_rcp, ratio_of_correct_points
from densecorr.evaluation.scored import Omission


def test_the_curve_counts_points() -> None:
    errors = np.array([0.0, 0.1, 0.2, np.inf])
    assert_allclose(ratio_of_correct_points(errors, np.array([0.0, 0.1, 0.15, 9.0])), [0.25, 0.5, 0.5, 0.75])


def test_the_area_is_the_integral_of_the_curve() -> None:
    errors = np.abs(np.random.default_rng(0).normal(0.0, 0.2, 500))
    t = np.linspace(0.0, 0.3, 20_001)
    assert_allclose(
        area_under_rcp(errors, 0.3), np.trapezoid(ratio_of_correct_points(errors, t), t) / 0.3, atol=1e-4
    )


def test_figures_and_their_names(segment, score_one) -> None:
    measured = RatioOfCorrectPoints()(score_one([0, 0, 0], vertex=[0, 1, -1]), segment)
    assert measured.names == ("rcp_auc_10", "rcp_auc_30")
    assert_allclose(measured.statistic(np.ones((1, 1)))[0], [(1 + 0.5) / 3, (1 + 5 / 6) / 3], rtol=1e-6)


def test_needs_a_unit(segment, score_one) -> None:
    assert isinstance(RatioOfCorrectPoints()(score_one([0]), replace(segment, unit="none")), Omission)
