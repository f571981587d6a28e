import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from densecorr.errors import EmptyInstanceError
from densecorr.evaluation.pck import Pck, bbox_reference, pck
from densecorr.evaluation.scored import score_points


def test_by_hand() -> None:
    true = np.zeros((4, 2))
    predicted = np.array([[0.0, 0.0], [6.0, 8.0], [6.0, 8.1], [np.nan, np.nan]])
    assert pck(predicted, true, 0.1, 100.0) == 0.5  # the threshold itself is correct, a missing pixel is not


@settings(deadline=None)
@given(st.integers(0, 10_000), st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_never_falls_as_alpha_grows(seed: int, alpha: float, more: float) -> None:
    predicted, true = np.random.default_rng(seed).normal(0.0, 30.0, (2, 12, 2))
    assert pck(predicted, true, alpha + more, 50.0) >= pck(predicted, true, alpha, 50.0)


def test_scales_with_the_image() -> None:
    predicted, true = np.random.default_rng(1).normal(0.0, 30.0, (2, 50, 2))
    assert pck(4.0 * predicted, 4.0 * true, 0.1, 400.0) == pck(predicted, true, 0.1, 100.0)


def test_the_reference_is_the_longer_side() -> None:
    assert_allclose(bbox_reference(np.array([[9.0, 9.0, 30.0, 40.0], [0.0, 0.0, 50.0, 2.0]])), [40.0, 50.0])


def test_no_points_are_refused() -> None:
    with pytest.raises(EmptyInstanceError):
        pck(np.zeros((0, 2)), np.zeros((0, 2)), 0.1, 1.0)


def test_point_and_instance_means_differ(segment, make_truth, make_prediction) -> None:
    many, one = make_truth([1, 2, 3], "many"), make_truth([1], "one")
    lost = make_prediction(one, xy=np.full((1, 2), np.nan))
    scored = score_points([many, one], {"m": [make_prediction(many), lost]}, segment.rows, segment)["m"]
    once = np.ones((1, 2))
    assert_allclose(Pck(mean="point")(scored, segment).statistic(once), [[0.75]])
    assert_allclose(Pck(mean="instance")(scored, segment).statistic(once), [[0.5]])
    assert Pck(alphas=(0.1, 0.05))(scored, segment).names == ("pck_0.1", "pck_0.05")
