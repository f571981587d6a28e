"""The simulated annotator errs as stated, its acts can be replayed, and its noise is found again from gold."""

import numpy as np
import pytest
from scipy.stats import norm

from densecorr.errors import SettingsError
from densecorr.evaluation.rcp import area_under_rcp
from densecorr.review.acts import check_decision
from densecorr.review.costs import CostModel, fit_costs
from densecorr.review.gold import GoldAnswers, gold_answers
from densecorr.review.noise import HUMAN_SIGMA, HUMAN_SLIP, NoiseModel, fit_noise, human_noise, place_vertices
from densecorr.review.resolver import Latest, resolve
from densecorr.review.reviewers import reviews_of
from densecorr.review.simulation import SimulatedAnnotator, Surface, simulate_decisions
from tests.densecorr.review.ball import make_ball, make_label

BALL = make_ball(6000)
SURFACE = Surface(BALL.rows, BALL)


def test_offsets_are_rayleigh_along_the_surface():
    true = np.full(3000, BALL.at(0.9, 0.1, 0.4))
    placed = place_vertices(true, NoiseModel((0.15,)), BALL.rows, BALL, np.random.default_rng(0))
    distance = BALL.D[true, placed]
    assert distance.mean() == pytest.approx(0.15 * np.sqrt(np.pi / 2), rel=0.03)
    assert np.square(distance).mean() == pytest.approx(2 * 0.15**2, rel=0.05)


def test_the_stated_human_noise_has_the_published_areas_under_the_curve():
    sigma = HUMAN_SIGMA * 2.03
    for limit, published in ((0.10, 0.563), (0.30, 0.835)):
        area = 1 - np.sqrt(2 * np.pi) * sigma / limit * (norm.cdf(limit / sigma) - 0.5)
        assert (1 - HUMAN_SLIP) * area == pytest.approx(published, abs=0.002)
    errors = np.random.default_rng(0).rayleigh(sigma, 200_000)
    assert (1 - HUMAN_SLIP) * area_under_rcp(errors, 0.10) == pytest.approx(0.563, abs=0.004)
    assert human_noise(2.0).sigma == (pytest.approx(2 * HUMAN_SIGMA),)


def test_slips_go_to_the_other_side_and_regions_have_their_own_spread():
    true = np.repeat([BALL.at(1, 0, 0), BALL.at(0.8, 0.6, 0)], 500)
    region = (BALL.D[true[0]] > 0.3).astype(np.int64)
    rng = np.random.default_rng(1)
    placed = place_vertices(true, NoiseModel((0.0, 0.1), slip=0.2), BALL.rows, BALL, rng, region=region)
    aside = BALL.V[placed, 0] < 0
    assert aside.mean() == pytest.approx(0.2, abs=0.04)
    assert (placed[:500][~aside[:500]] == true[0]).all()
    assert BALL.D[true[500:], placed[500:]][~aside[500:]].std() > 0.02
    with pytest.raises(SettingsError):
        place_vertices(true, NoiseModel((0.1,)), BALL.rows, BALL, rng, region=region)
    with pytest.raises(SettingsError):
        NoiseModel(())


def test_a_perfect_annotator_makes_the_truth_and_its_acts_are_real():
    rng = np.random.default_rng(2)
    true = rng.integers(0, 6000, 8)
    label = make_label(np.where(np.arange(8) < 5, rng.integers(0, 6000, 8), true))
    annotator = SimulatedAnnotator(NoiseModel((0.0,)), CostModel(10.0, 6.0))
    decisions = simulate_decisions(label, true, annotator, SURFACE, rng, "d")
    for decision in decisions:
        check_decision(decision, 6000)
    assert [d.action for d in decisions] == ["assign"] * 5 + ["accept"]
    assert sum(d.seconds for d in decisions) == 40
    assert (decisions[-1].time - decisions[0].time).total_seconds() == 34
    found = resolve(label, reviews_of(label, decisions), Latest(), BALL.rows, 0.1, "n", "p")
    assert found.label is not None
    np.testing.assert_array_equal(found.label.vertex, true)


def test_a_label_set_left_for_right_is_mirrored_in_one_act():
    rng = np.random.default_rng(5)
    true = rng.integers(0, 6000, 8)
    given = BALL.mirror[true]
    given[2] = BALL.at(0, 0, 1)
    annotator = SimulatedAnnotator(NoiseModel((0.0,)), CostModel(10.0, 6.0))
    label = make_label(given)
    decisions = simulate_decisions(label, true, annotator, SURFACE, rng, "d")
    assert [d.action for d in decisions] == ["mirror", "assign", "accept"]
    assert [d.seconds for d in decisions] == [6.0, 6.0, 10.0]
    for decision in decisions:
        check_decision(decision, 6000)
    found = resolve(label, reviews_of(label, decisions), Latest(), BALL.rows, 0.1, "n", "p")
    assert found.label is not None
    np.testing.assert_array_equal(found.label.vertex, true)


def test_points_that_cannot_be_judged_are_not_accepted():
    rng = np.random.default_rng(3)
    true = np.array([BALL.at(1, 0, 0), -1, BALL.at(0, 1, 0), -1, BALL.at(0, 0, 1)])
    label = make_label([int(BALL.mirror[true[0]]), 7, int(BALL.mirror[true[2]]), 8, 9])
    acts = simulate_decisions(label, true, SimulatedAnnotator(NoiseModel((0.0,))), SURFACE, rng, "d")
    for act in acts:
        check_decision(act, 6000)
    assert [(d.action, d.point_id, d.seconds) for d in acts[:2]] == [("delete", 1, 0.0), ("delete", 3, 0.0)]
    found = resolve(label, reviews_of(label, acts), Latest(), BALL.rows, 0.1, "n", "p").label
    assert found is not None
    np.testing.assert_array_equal(found.vertex, true[true >= 0])
    np.testing.assert_array_equal(found.x, label.x[true >= 0])


def test_what_is_missed_or_near_enough_stays():
    rng = np.random.default_rng(3)
    label, true = make_label([1, 2, 3]), np.array([10, 2, 3])
    for annotator in (
        SimulatedAnnotator(NoiseModel((0.0,), miss=1.0)),
        SimulatedAnnotator(NoiseModel((0.0,)), tolerance=4.0),
    ):
        (only,) = simulate_decisions(label, true, annotator, SURFACE, rng, "d")
        assert only.action == "accept"
    acts = simulate_decisions(label, true, SimulatedAnnotator(NoiseModel((0.0,))), SURFACE, rng, "d")
    assert [d.point_id for d in acts] == [0, None]


def test_noise_and_costs_are_found_again_from_gold():
    rng = np.random.default_rng(4)
    noise = NoiseModel((0.05, 0.12), slip=0.1, miss=0.2)
    region = (BALL.V[:, 2] > 0).astype(np.int64)
    surface = Surface(BALL.rows, BALL, region=region)
    annotator = SimulatedAnnotator(noise, CostModel(9.0, 5.0), tolerance=0.2)
    answers: list[GoldAnswers] = []
    everything = []
    for n in range(150):
        true = rng.integers(0, 6000, 20)
        right = rng.random(20) < rng.random()
        label = make_label(np.where(right, true, rng.integers(0, 6000, 20)), f"g{n}")
        decisions = simulate_decisions(label, true, annotator, surface, rng, "d")
        answers += gold_answers(label, make_label(true, f"g{n}"), f"i{n}", decisions)
        everything += decisions
    found = fit_noise(answers, BALL.rows, BALL, tolerance=0.2, region=region)
    assert found.sigma == pytest.approx((0.05, 0.12), rel=0.25)
    assert found.slip == pytest.approx(0.1, abs=0.04)
    assert found.miss == pytest.approx(0.2, abs=0.04)  # a few near misses look overlooked
    fitted = fit_costs(everything).costs
    assert (fitted.per_instance, fitted.per_point) == pytest.approx((9, 5))
    with pytest.raises(SettingsError):
        fit_noise(answers[:1], BALL.rows, BALL, tolerance=0.2, least=50)
