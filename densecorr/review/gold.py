"""Each annotator against instances whose truth is known: errors, wrong sides, what is missing, and time.

Source: R. A. Guler's thesis, sec. 4.2.2: annotators label synthetic images whose true vertices are known, and the error
is the geodesic distance from the true to the given vertex (eq. 4.1).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float, Int

from densecorr.errors import AnnotationError, EmptyInstanceError
from densecorr.evaluation.bootstrap import BootstrapSettings, Interval, RatioOfSums, bootstrap_intervals
from densecorr.evaluation.geodesic import bounded_error
from densecorr.evaluation.left_right import LeftRightConfusion, confused_points
from densecorr.evaluation.rcp import ratio_of_correct_points
from densecorr.evaluation.scored import GeodesicRows, ScoringTemplate, geodesic_pairs
from densecorr.records import Decision, LabelRecord

from .agreement import scaled
from .reviewers import reviews_of
from .state import initial_state


@dataclass(frozen=True)
class GoldSettings:
    """How annotators are measured.

    Attributes:
        limits_m: of the areas under the RCP curve; empty for a template without a unit.
        thresholds_m: where the RCP curve is given.
        moved_px: a point moved further than this, in pixels, is left out: its truth was another pixel's.
        sides: which points count for left/right confusion.
        bootstrap: of the intervals, over images.
    """

    limits_m: tuple[float, ...] = (0.10, 0.30)
    thresholds_m: tuple[float, ...] = (0.01, 0.02, 0.05, 0.10, 0.15, 0.20, 0.25, 0.30)
    moved_px: float = 3.0
    sides: LeftRightConfusion = field(default_factory=LeftRightConfusion)
    bootstrap: BootstrapSettings = field(default_factory=BootstrapSettings)


@dataclass(frozen=True)
class GoldAnswers:
    """One reviewer's answers to the P points of one gold instance.

    `given` is -1 where the point was deleted, marked as not visible or left without a vertex; `shown` is what the
    reviewer started from. `seconds` are all spent on the instance, undone acts included.
    """

    reviewer: str
    image_id: str
    true: Int[np.ndarray, " P"]
    shown: Int[np.ndarray, " P"]
    given: Int[np.ndarray, " P"]
    seconds: float


@dataclass(frozen=True)
class AnnotatorScore:
    """An annotator's figures; `confusion` has value None without a mirror or a sided point.

    `error` is in the template's unit, `error_share` a share of its diameter, a missing answer at the diameter.
    """

    reviewer: str
    n_instances: int
    n_points: int
    error: Interval
    error_share: Interval
    rcp: tuple[float, ...]
    auc: tuple[Interval, ...]
    confusion: Interval
    missing_share: Interval
    seconds_per_point: Interval


def gold_answers(
    label: LabelRecord,
    truth: LabelRecord,
    image_id: str,
    decisions: Iterable[Decision],
    moved_px: float = GoldSettings.moved_px,
) -> list[GoldAnswers]:
    """Every reviewer's answers to a label set whose truth is known; points are matched by id.

    Points whose true vertex is unknown or not visible are left out.

    Args:
        label: as it was shown.
        truth: the true vertices of (some of) its points.
        image_id: of the instance.
        decisions: all acts; those on other label sets are passed over.
        moved_px: see `GoldSettings`.

    Raises:
        AnnotationError: truth and label set are of different instances or templates.
    """
    if (label.instance_id, label.template_id) != (truth.instance_id, truth.template_id):
        raise AnnotationError(
            f"the truth of {label.instance_id} on {label.template_id}",
            f"that of {truth.instance_id} on {truth.template_id}",
            "Pair each label set with the truth of its instance.",
        )
    decisions = list(decisions)
    known = initial_state(truth).points
    before = initial_state(label).points
    ids = [i for i in before if i in known and known[i].visible and known[i].vertex >= 0]
    answers = []
    for review in reviews_of(label, decisions):
        after = {i: review.state.points.get(i) for i in ids}
        rows = []
        for i, point in after.items():
            if point is None or not point.visible:
                rows.append((known[i].vertex, before[i].vertex, -1))
            elif np.hypot(point.x - before[i].x, point.y - before[i].y) <= moved_px:
                rows.append((known[i].vertex, before[i].vertex, point.vertex))
        table = np.array(rows, dtype=np.int64).reshape(-1, 3)
        seconds = sum(
            act.seconds
            for act in decisions
            if act.reviewer == review.reviewer and act.label_id == label.label_id
        )
        answers.append(GoldAnswers(review.reviewer, image_id, *table.T, seconds=float(seconds)))
    return answers


def score_annotators(
    answers: Sequence[GoldAnswers],
    rows: GeodesicRows,
    template: ScoringTemplate,
    settings: GoldSettings = GoldSettings(),
) -> list[AnnotatorScore]:
    """The figures of each annotator, by name.

    Raises:
        EmptyInstanceError: no answers.
    """
    if not answers:
        raise EmptyInstanceError("reviewed gold instances", "none", "Have gold instances reviewed first.")
    names = sorted({answer.reviewer for answer in answers})
    return [
        _score(name, [answer for answer in answers if answer.reviewer == name], rows, template, settings)
        for name in names
    ]


def _score(
    name: str,
    answers: Sequence[GoldAnswers],
    rows: GeodesicRows,
    template: ScoringTemplate,
    settings: GoldSettings,
) -> AnnotatorScore:
    images, image_of = np.unique([answer.image_id for answer in answers], return_inverse=True)
    of = np.repeat(image_of, [len(answer.true) for answer in answers])
    true = np.concatenate([answer.true for answer in answers])
    given = np.concatenate([answer.given for answer in answers])
    distance = geodesic_pairs(rows, true, given[:, None])[:, 0]
    sided, confused = confused_sides(true, given, distance, rows, template, settings.sides)
    every = np.ones(len(true))
    figures = [(bounded_error(distance, template.diameter), every)]
    figures += [(np.maximum(0.0, 1.0 - distance / limit), every) for limit in settings.limits_m]
    figures += [(confused, sided), (~np.isfinite(distance), every)]
    above, below = (
        np.stack([np.bincount(of, weights=pair[side], minlength=len(images)) for pair in figures], axis=1)
        for side in (0, 1)
    )
    seconds = np.bincount(image_of, weights=[answer.seconds for answer in answers], minlength=len(images))
    n_points = np.bincount(of, minlength=len(images))
    statistic = RatioOfSums(np.column_stack([above, seconds]), np.column_stack([below, n_points]))
    everything = np.ones(len(images), dtype=bool)
    error, *rest = bootstrap_intervals([statistic], everything, settings.bootstrap)[0]
    *areas, confusion, missing, pace = rest
    return AnnotatorScore(
        name,
        len(answers),
        len(true),
        error,
        scaled(error, 1 / template.diameter),
        tuple(ratio_of_correct_points(distance, np.array(settings.thresholds_m)).tolist()),
        tuple(areas),
        confusion,
        missing,
        pace,
    )


def confused_sides(
    true: Int[np.ndarray, " P"],
    given: Int[np.ndarray, " P"],
    distance: Float[np.ndarray, " P"],
    rows: GeodesicRows,
    template: ScoringTemplate,
    settings: LeftRightConfusion,
) -> tuple[Bool[np.ndarray, " P"], Bool[np.ndarray, " P"]]:
    """Which points have a side, and which of them are on the wrong one (as `evaluation.left_right` counts)."""
    if template.mirror_residual > settings.max_mirror_residual:
        return np.zeros(len(true), dtype=bool), np.zeros(len(true), dtype=bool)
    mirrored = template.mirror[true].astype(np.int64)
    plane = 0.5 * geodesic_pairs(rows, true, mirrored[:, None])[:, 0]
    sided = plane > settings.min_plane_share * template.diameter
    return sided, sided & confused_points(distance, geodesic_pairs(rows, mirrored, given[:, None])[:, 0])
