"""What the decisions on a label set say of those who made them: work, agreement, errors, noise, costs, conflicts."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from densecorr.errors import SettingsError
from densecorr.evaluation.bootstrap import BootstrapSettings
from densecorr.evaluation.scored import GeodesicRows, geodesic_pairs
from densecorr.review.agreement import Agreement, AgreementSettings, measure_agreement
from densecorr.review.costs import CostFit, fit_costs
from densecorr.review.error_map import ErrorMap, error_map
from densecorr.review.gold import AnnotatorScore, GoldAnswers, GoldSettings, gold_answers, score_annotators
from densecorr.review.noise import NoiseIntervals, NoiseModel, fit_noise, noise_intervals
from densecorr.review.resolver import Conflict, Majority, resolve
from densecorr.review.reviewers import Review
from densecorr.review.state import initial_state
from densecorr.review.votes import geodesics_between
from densecorr.templates.template import Template

from .review_agreement_evidence import Evidence

if TYPE_CHECKING:
    from .review_agreement import ReviewAgreement

THRESHOLDS = np.linspace(0, 0.30, 31)  # of the RCP curves: metres, or shares of the diameter without a unit
BANDWIDTH = 0.04  # of the error maps, share of the diameter


@dataclass(frozen=True)
class Workload:
    """One reviewer's label sets, their points, how many of those changed, seconds, and verdicts by action."""

    reviewer: str
    n_instances: int
    n_points: int
    n_changed: int
    seconds: float
    verdicts: Mapping[str, int]


@dataclass(frozen=True)
class AnnotatorModel:
    """What `collect` needs to simulate a reviewer (of everyone together: ""); no noise with too few points."""

    reviewer: str
    costs: CostFit
    noise: NoiseModel | None = None
    intervals: NoiseIntervals | None = None


@dataclass(frozen=True)
class Findings:
    """Everything there is to say; `agreements` begins with all pairs together, `maps` are by reviewer.

    `apart` is, of each of the `conflicts`, the largest distance between two of the vertices, None for other conflicts.
    """

    workloads: Sequence[Workload]
    agreements: Sequence[Agreement]
    scores: Sequence[AnnotatorScore]
    maps: Mapping[str, ErrorMap]
    models: Sequence[AnnotatorModel]
    conflicts: Sequence[Conflict]
    apart: Sequence[float | None]


def measure(evidence: Evidence, command: "ReviewAgreement") -> Findings:
    """All figures; whoever did not accept a label set says nothing of its points, only with the verdict."""
    rows, template = evidence.rows, evidence.template
    size = float(template.diameter)
    metric = template.unit != "none"
    thresholds = tuple((THRESHOLDS if metric else THRESHOLDS * size).tolist())
    limits = GoldSettings().limits_m if metric else ()
    reviews = {key: [_accepted_points(one) for one in own] for key, own in evidence.reviews.items()}
    shared = any(len(own) > 1 for own in reviews.values())
    settings = AgreementSettings(command.changed_only, limits_m=limits, thresholds_m=thresholds)
    answers = _answers(evidence)
    gold = GoldSettings(limits_m=limits, thresholds_m=thresholds)
    conflicts = _conflicts(evidence, command.agree_within * size)
    names = sorted({review.reviewer for own in reviews.values() for review in own})
    return Findings(
        [_workload(name, evidence) for name in names],
        measure_agreement(evidence.labels, reviews, evidence.image_of, rows, size, settings)
        if shared
        else [],
        score_annotators(answers, rows, template, gold) if answers else [],
        {name: _map(_of(answers, name), rows, template) for name in names if _of(answers, name)},
        [
            _model(name, _of(answers, name), evidence, command.tolerance * size)
            for name in (["", *names] if len(names) > 1 else names)
        ],
        [conflict for conflict, _ in conflicts],
        [apart for _, apart in conflicts],
    )


def _accepted_points(review: Review) -> Review:
    return review if review.vote else replace(review, state=replace(review.state, points={}))


def _answers(evidence: Evidence) -> list[GoldAnswers]:
    answers: list[GoldAnswers] = []
    for label, truth in evidence.gold:
        accepting = {review.reviewer for review in evidence.reviews[label.label_id] if review.vote}
        found = gold_answers(
            label, truth, evidence.image_of[label.instance_id], evidence.decisions[label.label_id]
        )
        answers += [one for one in found if one.reviewer in accepting and len(one.true)]
    return answers


def _of(answers: Sequence[GoldAnswers], name: str) -> list[GoldAnswers]:
    return [one for one in answers if name in ("", one.reviewer)]


def _workload(name: str, evidence: Evidence) -> Workload:
    n_points = n_changed = n_instances = 0
    verdicts: Counter[str] = Counter()
    seconds = 0.0
    for label in evidence.labels:
        seconds += sum(act.seconds for act in evidence.decisions[label.label_id] if act.reviewer == name)
        for review in evidence.reviews[label.label_id]:
            if review.reviewer == name:
                before, after = initial_state(label).points, review.state.points
                n_instances, n_points = n_instances + 1, n_points + len(before)
                n_changed += sum(before.get(i) != after.get(i) for i in before.keys() | after.keys())
                verdicts[str((review.state.verdict or {}).get("action", "none"))] += 1
    return Workload(name, n_instances, n_points, n_changed, seconds, dict(verdicts))


def _map(answers: Sequence[GoldAnswers], rows: GeodesicRows, template: Template) -> ErrorMap:
    true, given = (np.concatenate([getattr(one, name) for one in answers]) for name in ("true", "given"))
    distance = geodesic_pairs(rows, true, given[:, None])[:, 0]
    placed = np.isfinite(distance)
    return error_map(
        true[placed],
        distance[placed].astype(np.float64),
        rows,
        len(template.V),
        BANDWIDTH * float(template.diameter),
    )


def _model(name: str, answers: Sequence[GoldAnswers], evidence: Evidence, tolerance: float) -> AnnotatorModel:
    costs = fit_costs(act for own in evidence.decisions.values() for act in own if name in ("", act.reviewer))
    try:
        noise = fit_noise(answers, evidence.rows, evidence.template, tolerance)
    except SettingsError:  # too few points
        return AnnotatorModel(name, costs)
    found = noise_intervals(answers, evidence.rows, evidence.template, tolerance, BootstrapSettings())
    return AnnotatorModel(name, costs, noise, found)


def _conflicts(evidence: Evidence, agree_within: float) -> list[tuple[Conflict, float | None]]:
    """Differences by majority, the unsettled first, verdicts before vertices, the furthest apart first."""
    found: list[tuple[Conflict, float | None]] = []
    for label in evidence.labels:
        reviews = evidence.reviews[label.label_id]
        if len(reviews) < 2:
            continue
        result = resolve(label, reviews, Majority(), evidence.rows, agree_within, label.label_id, "")
        for conflict in result.conflicts:
            vertices = (
                {value for value in conflict.values.values() if value >= 0}
                if conflict.what == "vertex"
                else ()
            )
            distances = geodesics_between(vertices, evidence.rows)[1]
            found.append((conflict, float(distances.max()) if len(vertices) > 1 else None))
    return sorted(
        found,
        key=lambda one: (one[0].settled, one[0].what != "verdict", -(one[1] or 0.0), one[0].instance_id),
    )
