"""What a reviewed minute buys: the same minutes spent by the ranking and at random, by simulated annotators.

Both arms use the same annotator (its noise and cost model are part of the result), who errs in the same way on the same
instance, so only the order differs. Instances are opened in order; the last one is left when the time is up, with as
many corrections as fitted.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int

from densecorr.errors import EmptyInstanceError
from densecorr.evaluation.bootstrap import (
    BootstrapSettings,
    Interval,
    RatioOfSums,
    bootstrap_intervals,
    difference_intervals,
)
from densecorr.evaluation.geodesic import geodesic_error_share
from densecorr.evaluation.scored import geodesic_pairs
from densecorr.records import LabelRecord

from .costs import CostModel, expected_seconds
from .ranking import RankingSettings, information, mean_expected_error, select_for_review
from .simulation import SimulatedAnnotator, Surface, mirror_vertices, simulate_corrections


@dataclass(frozen=True)
class ReviewCase:
    """A pseudo-labelled instance with its truth (P,), -1 where unknown, and what other label sets say of it.

    `disagreement` is a share of the diameter (`ranking.disagreement`), None with one label set.
    """

    label: LabelRecord
    true: Int[np.ndarray, " P"]
    image_id: str
    disagreement: float | None = None


@dataclass(frozen=True)
class BenefitSettings:
    """The experiment: minutes, orders and noises drawn, ranking, the planner's costs, intervals.

    `planned_costs` are those the ranking believes in; None takes the annotator's own.
    """

    minutes: float
    n_seeds: int = 5
    ranking: RankingSettings = field(default_factory=RankingSettings)
    planned_costs: CostModel | None = None
    bootstrap: BootstrapSettings = field(default_factory=BootstrapSettings)


@dataclass(frozen=True)
class ArmResult:
    """One way to spend the minutes; errors are shares of the diameter, means over instances and seeds."""

    error_after: Interval
    minutes: float
    n_reviewed: float
    n_corrected: float
    error_per_minute: float


@dataclass(frozen=True)
class Benefit:
    """The comparison; `gained` is the error at random minus that by ranking, positive if ranking is better.

    Intervals resample whole images; `p_value` is the bootstrap's, two-sided.
    """

    error_before: Interval
    ranked: ArmResult
    random: ArmResult
    gained: Interval
    p_value: float | None
    annotator: SimulatedAnnotator
    settings: BenefitSettings


def simulate_review(
    cases: Sequence[ReviewCase],
    annotator: SimulatedAnnotator,
    surface: Surface,
    settings: BenefitSettings,
    descriptors: Float[np.ndarray, "N d"] | None = None,
) -> Benefit:
    """Spend the minutes both ways and compare the mean geodesic error of the labels afterwards.

    Args:
        cases: instances with calibrated labels and known truth.
        annotator: who reviews.
        surface: the template.
        settings: of the experiment.
        descriptors: what makes instances alike (`ranking.select_for_review`).

    Raises:
        EmptyInstanceError: an instance without a point whose truth is known.
        AnnotationError: labels without an expected error.
    """
    for case in cases:
        if not (case.true >= 0).any():
            raise EmptyInstanceError(
                "instances with a known truth", f"none of {case.label.instance_id}", "Leave it out."
            )
    ranked_order = rank_cases(cases, annotator, surface, settings, descriptors)
    errors = [_errors(case, np.asarray(case.label.vertex), surface) for case in cases]
    before = np.array([np.nanmean(values) for values in errors])
    outcomes: dict[str, list[_Outcome]] = {"ranked": [], "random": []}
    for seed in range(settings.n_seeds):
        reviews = [
            _review(case, errors[index], annotator, surface, np.random.default_rng([seed, 1, index]))
            for index, case in enumerate(cases)
        ]
        shuffled = np.random.default_rng([seed, 0]).permutation(len(cases))
        for name, order in (("ranked", ranked_order), ("random", shuffled)):
            outcomes[name].append(_spend(reviews, order, annotator.costs, 60 * settings.minutes))
    statistics = {
        name: _mean_by_image(cases, np.mean([outcome.errors for outcome in found], axis=0))
        for name, found in outcomes.items()
    }
    n_images = len({case.image_id for case in cases})
    everything = np.ones(n_images, dtype=bool)
    start, ranked, random = (
        found[0]
        for found in bootstrap_intervals(
            [_mean_by_image(cases, before), statistics["ranked"], statistics["random"]],
            everything,
            settings.bootstrap,
        )
    )
    (gained, p_value), *_ = difference_intervals(
        statistics["random"], statistics["ranked"], n_images, settings.bootstrap
    )
    return Benefit(
        start,
        _summary(outcomes["ranked"], ranked, float(before.mean())),
        _summary(outcomes["random"], random, float(before.mean())),
        gained,
        p_value,
        annotator,
        settings,
    )


def rank_cases(
    cases: Sequence[ReviewCase],
    annotator: SimulatedAnnotator,
    surface: Surface,
    settings: BenefitSettings,
    descriptors: Float[np.ndarray, "N d"] | None,
) -> Int[np.ndarray, " N"]:
    """All instances, those the budget allows for first, then the others by the same ranking."""
    costs = settings.planned_costs or annotator.costs
    tolerance = annotator.tolerance / surface.template.diameter
    value = information(
        np.array([mean_expected_error(case.label) for case in cases]),
        [case.disagreement for case in cases],
        settings.ranking,
    )
    seconds = np.array([expected_seconds(case.label, costs, tolerance) for case in cases])
    chosen = select_for_review(value, seconds, settings.minutes, settings.ranking, descriptors).chosen
    rest = np.setdiff1d(np.arange(len(cases)), np.array(chosen, dtype=np.int64))
    others = select_for_review(value[rest], seconds[rest], np.inf, settings.ranking).chosen
    return np.concatenate([np.array(chosen, dtype=np.int64), rest[np.array(others, dtype=np.int64)]])


@dataclass(frozen=True)
class _Outcome:
    """The instances' errors after one arm's minutes, and what was spent."""

    errors: Float[np.ndarray, " N"]
    seconds: float
    n_reviewed: int
    n_corrected: int


def _errors(case: ReviewCase, vertex: Int[np.ndarray, " P"], surface: Surface) -> Float[np.ndarray, " P"]:
    """Each point's error, a share of the diameter; NaN where the truth is unknown."""
    known = np.flatnonzero(case.true >= 0)
    true, given = (np.asarray(values, dtype=np.int64)[known] for values in (case.true, vertex))
    distance = geodesic_pairs(surface.rows, true, given[:, None])[:, 0]
    errors = np.full(len(case.true), np.nan)
    errors[known] = geodesic_error_share(distance, surface.template.diameter)
    return errors


def _review(
    case: ReviewCase,
    before: Float[np.ndarray, " P"],
    annotator: SimulatedAnnotator,
    surface: Surface,
    rng: np.random.Generator,
) -> Float[np.ndarray, " n"]:
    """The instance's mean error after 0, 1, ... acts."""
    todo = simulate_corrections(case.label, case.true, annotator, surface, rng)
    vertex = np.array(case.label.vertex, dtype=np.int64)
    steps, current = [float(np.nanmean(before))], before
    if todo.mirrored:
        vertex = mirror_vertices(vertex, surface.template)
        current = _errors(case, vertex, surface)
        steps.append(float(np.nanmean(current)))
    vertex[todo.places] = todo.vertices
    changes = _errors(case, vertex, surface)[todo.places] - current[todo.places]
    return np.concatenate([steps, steps[-1] + np.cumsum(changes) / np.isfinite(before).sum()])


def _spend(
    reviews: list[Float[np.ndarray, " _"]], order: Int[np.ndarray, " N"], costs: CostModel, budget: float
) -> _Outcome:
    """Review in order until the seconds are gone; an instance is opened only if its own cost still fits."""
    errors = np.array([review[0] for review in reviews])
    left, n_reviewed, n_corrected = budget, 0, 0
    for index in order:
        wanted = len(reviews[index]) - 1
        if left < costs.per_instance:
            break
        affordable = np.inf if costs.per_point == 0 else (left - costs.per_instance) // costs.per_point
        done = int(min(wanted, affordable))
        errors[index] = reviews[index][done]
        left -= costs.per_instance + done * costs.per_point
        n_reviewed, n_corrected = n_reviewed + 1, n_corrected + done
        if done < wanted:
            break
    return _Outcome(errors, budget - left, n_reviewed, n_corrected)


def _mean_by_image(cases: Sequence[ReviewCase], values: Float[np.ndarray, " N"]) -> RatioOfSums:
    """The mean over instances as a statistic of resampled images."""
    images, of = np.unique([case.image_id for case in cases], return_inverse=True)
    total = np.bincount(of, weights=values, minlength=len(images))
    count = np.bincount(of, minlength=len(images)).astype(np.float64)
    return RatioOfSums(total[:, None], count[:, None])


def _summary(outcomes: Sequence[_Outcome], error: Interval, before: float) -> ArmResult:
    minutes = float(np.mean([outcome.seconds for outcome in outcomes])) / 60
    return ArmResult(
        error,
        minutes,
        float(np.mean([outcome.n_reviewed for outcome in outcomes])),
        float(np.mean([outcome.n_corrected for outcome in outcomes])),
        (before - (error.value or 0.0)) / minutes if minutes else 0.0,
    )
