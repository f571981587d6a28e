import numpy as np
import pytest
from numpy.testing import assert_array_equal

from densecorr.errors import SettingsError
from densecorr.pseudolabels.filters import risk_threshold, select_instances, uncalibrated_risk


def select(score: np.ndarray, cycle: np.ndarray, keep: float) -> np.ndarray:
    return select_instances(uncalibrated_risk(score, cycle), keep)


def test_high_scores_that_come_back_are_kept() -> None:
    score = np.array([0.9, 0.2, 0.8, 0.5])
    cycle = np.array([0.01, 0.4, 0.02, 0.2])
    assert_array_equal(select(score, cycle, 0.5), [True, False, True, False])


def test_a_high_score_does_not_save_what_does_not_come_back() -> None:
    score = np.array([0.99, 0.8, 0.7, 0.6])
    cycle = np.array([0.9, 0.01, 0.02, 0.03])
    assert_array_equal(select(score, cycle, 0.25), [False, True, False, False])


@pytest.mark.parametrize("keep", [0.1, 0.33, 0.5, 1.0])
def test_the_share_kept_is_the_share_asked_for_and_at_least_one(keep: float) -> None:
    rng = np.random.default_rng(0)
    for n in (1, 2, 7, 100):
        marked = select(rng.random(n), rng.random(n), keep)
        assert marked.sum() == max(1, round(keep * n))


def test_the_lowest_risks_are_kept_the_first_among_equals() -> None:
    assert_array_equal(select_instances(np.array([0.3, 0.1, 0.2, 0.1]), 0.5), [False, True, False, True])
    assert_array_equal(select_instances(np.zeros(4), 0.5), [True, True, False, False])


def test_only_ranks_matter() -> None:
    rng = np.random.default_rng(1)
    score, cycle = rng.random(50), rng.random(50)
    assert_array_equal(select(score, cycle, 0.4), select(np.exp(5 * score), 100 * cycle**3, 0.4))


@pytest.mark.parametrize("keep", [0.25, 0.8])
def test_the_threshold_is_reached_by_the_share_of_all_points(keep: float) -> None:
    rng = np.random.default_rng(2)
    risks = [rng.random(n) for n in (10, 500, 90)]
    joined = np.concatenate(risks)
    assert (joined <= risk_threshold(risks, keep)).mean() == pytest.approx(keep, abs=0.01)


def test_everything_passes_when_all_is_kept_or_there_is_nothing() -> None:
    assert risk_threshold([np.array([0.1, -3.0])], 1.0) == np.inf
    assert risk_threshold([], 0.5) == np.inf


@pytest.mark.parametrize("keep", [0.0, -0.1, 1.01])
def test_a_share_outside_its_range_is_an_error(keep: float) -> None:
    with pytest.raises(SettingsError, match="share"):
        select_instances(np.ones(3), keep)
    with pytest.raises(SettingsError, match="share"):
        risk_threshold([np.ones(3)], keep)
