"""What to review: information, costs, diversity, and a budget that holds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from densecorr.errors import AnnotationError, SettingsError
from densecorr.review.costs import CostModel, expected_corrections, expected_seconds, fit_costs
from densecorr.review.ranking import (
    RankingSettings,
    disagreement,
    information,
    mean_expected_error,
    select_for_review,
    surface_cells,
    surface_histogram,
    trust,
)
from tests.densecorr.review.ball import act, corrections, make_ball, make_label

BALL = make_ball()
NORTH, SOUTH = BALL.at(0, 0, 1), BALL.at(0, 0, -1)


def test_disagreement_is_the_mean_distance_at_the_same_pixels():
    a, b = make_label([NORTH, NORTH, -1]), make_label([SOUTH, NORTH, NORTH])
    apart = float(BALL.D[NORTH, SOUTH]) / np.pi
    assert disagreement([a, b], BALL.rows, BALL.diameter) == pytest.approx(apart / 2, rel=1e-5)
    assert disagreement([a, a], BALL.rows, BALL.diameter) == 0.0
    assert disagreement([a], BALL.rows, BALL.diameter) is None
    assert disagreement([a, make_label([])], BALL.rows, BALL.diameter) is None


def test_information_is_error_times_relative_disagreement():
    found = information(np.array([0.1, 0.1, 0.1, 0.2]), [0.3, 0.1, None, 0.0], RankingSettings())
    mean = 0.4 / 3
    np.testing.assert_allclose(found, [0.1 * 0.3 / mean, 0.1 * 0.1 / mean, 0.1, 0.2 * 0.25])
    np.testing.assert_allclose(information(np.array([0.1, 0.2]), [None, None]), [0.1, 0.2])
    np.testing.assert_allclose(information(np.array([0.1, 0.2]), [0.0, None]), [0.1, 0.2])


def test_the_expected_error_counts_as_far_as_the_disagreement_bears_it_out():
    rng = np.random.default_rng(0)
    wrong = rng.gamma(2.0, 0.1, 200)
    noise = np.exp(rng.normal(0, 0.5, (2, 200)))

    def order_is_right(expected: np.ndarray) -> float:
        return spearmanr(information(expected, list(wrong * noise[0])), wrong).statistic

    telling, empty = wrong * noise[1], 0.2 * noise[1]
    assert trust(telling, wrong * noise[0]) > 0.6
    assert trust(empty, wrong * noise[0]) < 0.2
    alone = spearmanr(wrong * noise[0], wrong).statistic
    product = spearmanr(empty * wrong * noise[0], wrong).statistic
    assert order_is_right(telling) > alone + 0.03  # two measurements are better than one
    assert order_is_right(empty) > product + 0.03  # and one is better than one and noise
    assert order_is_right(empty) > alone - 0.02


def test_without_evidence_the_calibration_is_trusted():
    expected, apart = np.linspace(0.1, 0.4, 12), np.linspace(0.4, 0.1, 12)
    assert trust(expected, apart) == 0.0
    assert trust(expected[:9], apart[:9]) == trust(expected, np.ones(12)) == trust(np.ones(12), apart) == 1.0
    assert trust(expected, expected) == 1.0
    found = information(expected, list(apart))  # against each other: disagreement alone, in the errors' unit
    np.testing.assert_allclose(found, expected.mean() * np.maximum(apart / apart.mean(), 0.25))
    np.testing.assert_allclose(information(np.zeros(12), list(apart)), 0)


def test_labels_must_be_calibrated():
    label = make_label([1, 2], expected_error=np.array([0.1, 0.3], np.float32))
    assert mean_expected_error(label) == pytest.approx(0.2)
    with pytest.raises(AnnotationError):
        mean_expected_error(make_label([1]))


amounts = st.lists(st.tuples(st.floats(0, 1), st.floats(1, 500)), min_size=1, max_size=20)


@settings(deadline=None)
@given(amounts, st.floats(0, 60), st.floats(0, 1))
def test_the_budget_is_never_exceeded_and_nothing_is_chosen_twice(
    rows: list, minutes: float, diversity: float
):
    value, seconds = np.array(rows, dtype=np.float64).T
    where = np.linspace(0, 1, len(rows))[:, None] ** 2
    rule = RankingSettings(diversity=diversity)
    found = select_for_review(value, seconds, minutes, rule, where)
    assert found.seconds <= 60 * minutes
    assert found.seconds == pytest.approx(seconds[list(found.chosen)].sum())
    assert len(set(found.chosen)) == len(found.chosen)
    left = np.delete(seconds, list(found.chosen))
    assert (left > 60 * minutes - found.seconds - 1e-6).all()
    assert found == select_for_review(value, seconds, minutes, rule, where)


def test_the_most_informative_second_comes_first():
    value, seconds = np.array([0.2, 0.3, 0.3]), np.array([10.0, 30.0, 20.0])
    assert select_for_review(value, seconds, np.inf).chosen == (0, 2, 1)
    assert select_for_review(value, seconds, np.inf, RankingSettings(per_second=False)).chosen == (1, 2, 0)
    with pytest.raises(SettingsError):
        select_for_review(value, np.zeros(3), 1.0)


def test_diversity_passes_over_what_looks_like_the_chosen():
    value, where = np.array([1.0, 0.9, 0.6]), np.array([[0.0], [0.01], [1.0]])
    ones = np.ones(3)
    assert select_for_review(value, ones, np.inf, RankingSettings(diversity=0.0), where).chosen == (0, 1, 2)
    assert select_for_review(value, ones, np.inf, RankingSettings(diversity=0.8), where).chosen == (0, 2, 1)


def test_with_equal_information_it_is_farthest_first():
    where = np.array([[0.0], [1.0], [0.5], [0.1]])
    found = select_for_review(np.ones(4), np.ones(4), np.inf, RankingSettings(diversity=1.0), where)
    assert found.chosen == (0, 1, 2, 3)


def test_cells_of_the_surface_and_their_histogram():
    cells = surface_cells(BALL.rows, 2000, 12)
    assert np.bincount(cells).min() > 50
    histogram = surface_histogram(make_label([NORTH, NORTH, SOUTH, -1]), cells)
    assert np.linalg.norm(histogram) == pytest.approx(1.0)
    assert histogram[cells[NORTH]] == pytest.approx(np.sqrt(2 / 3))


def test_expected_corrections():
    rng = np.random.default_rng(0)
    mean = np.array([0.02, 0.05, 0.2])
    drawn = rng.rayleigh(mean / np.sqrt(np.pi / 2), size=(100_000, 3))
    assert expected_corrections(mean, 0.04) == pytest.approx((drawn > 0.04).mean(axis=0).sum(), abs=0.01)
    assert expected_corrections(np.array([0.0, 0.1]), 0.0) == 2.0
    label = make_label([1, 2], expected_error=np.array([0.0, 0.1], np.float32))
    assert expected_seconds(label, CostModel(10.0, 6.0), 1e-6) == pytest.approx(16, abs=1e-3)
    assert expected_seconds(make_label([1, 2]), CostModel(10.0, 6.0), 0.1) == 22


def test_costs_are_found_again_in_the_acts():
    decisions = []
    for n in range(12):
        label = make_label([1] * 6, f"c{n}")
        made = corrections(label, "ann", dict.fromkeys(range(n % 6), 2))
        for decision in made:
            object.__setattr__(decision, "seconds", 8.0 if decision.action == "accept" else 4.0)
        decisions += made
    fit = fit_costs(decisions)
    assert fit.n_reviews == 12
    assert (fit.costs.per_instance, fit.costs.per_point) == pytest.approx((8.0, 4.0))
    assert fit.residual == pytest.approx(0.0, abs=1e-9)
    away = act(make_label([1], "c0"), "ann", "accept", {"verdict": None}, seconds=9999.0)
    assert fit_costs([*decisions, away], longest=8.0).costs.per_instance < 12
    assert fit_costs(decisions[:3]).costs == CostModel()
    with pytest.raises(SettingsError):
        CostModel(per_instance=0.0)
