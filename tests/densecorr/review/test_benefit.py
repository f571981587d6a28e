"""On the ball, minutes spent by a calibrated ranking beat as many spent at random; by a useless one, not."""

from dataclasses import replace

import numpy as np
import pytest

from densecorr.errors import EmptyInstanceError
from densecorr.evaluation.bootstrap import BootstrapSettings
from densecorr.review.benefit import BenefitSettings, ReviewCase, simulate_review
from densecorr.review.costs import CostModel
from densecorr.review.noise import NoiseModel, human_noise, place_vertices
from densecorr.review.ranking import RankingSettings, surface_cells, surface_histogram
from densecorr.review.simulation import SimulatedAnnotator, Surface
from tests.densecorr.review.ball import make_ball, make_label

BALL = make_ball()
SURFACE = Surface(BALL.rows, BALL)
ANNOTATOR = SimulatedAnnotator(human_noise(BALL.diameter), CostModel(10.0, 6.0), tolerance=0.1)
SETTINGS = BenefitSettings(
    minutes=60.0,
    n_seeds=3,
    ranking=RankingSettings(diversity=0.0),
    bootstrap=BootstrapSettings(n_resamples=500),
)


def make_cases(seed: int, n: int = 120) -> list[ReviewCase]:
    """Instances whose labels err by a spread of their own, which their expected errors state; two an image."""
    rng = np.random.default_rng(seed)
    cases = []
    for index in range(n):
        sigma = float(np.clip(rng.lognormal(-2.0, 1.0), 0.01, 0.8))
        true = rng.integers(0, 2000, 10)
        vertex = place_vertices(true, NoiseModel((sigma,)), BALL.rows, BALL, rng)
        expected = np.full(10, sigma * np.sqrt(np.pi / 2) / np.pi, np.float32)
        label = make_label(vertex, str(index), expected_error=expected)
        cases.append(ReviewCase(label, true, f"image {index // 2}"))
    return cases


def with_errors(cases: list[ReviewCase], order: np.ndarray) -> list[ReviewCase]:
    """Expected errors handed to other instances."""
    errors = [cases[index].label.expected_error for index in order]
    return [
        replace(case, label=replace(case.label, expected_error=error))
        for case, error in zip(cases, errors, strict=True)
    ]


def test_a_calibrated_ranking_beats_chance():
    benefit = simulate_review(make_cases(0), ANNOTATOR, SURFACE, SETTINGS)
    assert benefit.gained.low is not None
    assert benefit.gained.low > 0
    assert benefit.p_value is not None
    assert benefit.p_value < 0.05
    assert benefit.ranked.error_per_minute > 1.5 * benefit.random.error_per_minute > 0
    assert benefit.error_before.value is not None
    assert benefit.ranked.error_after.value is not None
    assert benefit.error_before.value > benefit.ranked.error_after.value
    for arm in (benefit.ranked, benefit.random):
        assert 59 < arm.minutes <= 60


@pytest.mark.parametrize("seed", range(2))
def test_a_useless_ranking_is_no_better_than_chance(seed: int):
    cases = make_cases(seed)
    order = np.random.default_rng(100 + seed).permutation(len(cases))
    benefit = simulate_review(with_errors(cases, order), ANNOTATOR, SURFACE, SETTINGS)
    assert benefit.gained.low is not None
    assert benefit.gained.high is not None
    assert benefit.gained.low < 0 < benefit.gained.high


def test_time_for_everything_leaves_nothing_to_gain():
    settings = replace(SETTINGS, minutes=10_000.0, n_seeds=2)
    benefit = simulate_review(make_cases(1, 20), ANNOTATOR, SURFACE, settings)
    assert benefit.gained.value == pytest.approx(0.0, abs=1e-12)
    assert benefit.ranked.n_reviewed == benefit.random.n_reviewed == 20


def test_no_time_changes_nothing():
    benefit = simulate_review(make_cases(1, 10), ANNOTATOR, SURFACE, replace(SETTINGS, minutes=0.1))
    assert benefit.ranked.error_after == benefit.error_before
    assert (benefit.ranked.minutes, benefit.ranked.error_per_minute) == (0.0, 0.0)


def test_a_perfect_annotator_with_time_leaves_no_error_where_the_truth_is_known():
    cases = [replace(case, true=np.where(np.arange(10) < 4, -1, case.true)) for case in make_cases(2, 10)]
    perfect = SimulatedAnnotator(NoiseModel((0.0,)), CostModel(1.0, 1.0))
    benefit = simulate_review(cases, perfect, SURFACE, SETTINGS)
    assert benefit.ranked.error_after.value == pytest.approx(0.0, abs=1e-9)
    with pytest.raises(EmptyInstanceError):
        simulate_review([replace(cases[0], true=np.full(10, -1))], perfect, SURFACE, SETTINGS)


def test_diversity_still_beats_chance_and_the_experiment_repeats_exactly():
    cases = make_cases(3)
    cells = surface_cells(BALL.rows, 2000, 16)
    where = np.stack([surface_histogram(case.label, cells) for case in cases])
    settings = replace(SETTINGS, ranking=RankingSettings())
    benefit = simulate_review(cases, ANNOTATOR, SURFACE, settings, where)
    assert benefit.gained.low is not None
    assert benefit.gained.low > 0
    assert benefit == simulate_review(cases, ANNOTATOR, SURFACE, settings, where)
