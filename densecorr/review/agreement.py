"""How far reviewers agree on what two or more of them reviewed: vertices along the surface, and verdicts.

Reviewers of one pseudo-label start from the same points, and where neither changes one they agree by construction: read
`changed_share` beside the errors, or set `changed_only`. Intervals resample whole images.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
from jaxtyping import Float, Int

from densecorr.errors import EmptyInstanceError
from densecorr.evaluation.bootstrap import (
    BootstrapSettings,
    Interval,
    RatioOfSums,
    Statistic,
    bootstrap_intervals,
)
from densecorr.evaluation.geodesic import bounded_error
from densecorr.evaluation.rcp import ratio_of_correct_points
from densecorr.evaluation.scored import GeodesicRows, geodesic_pairs
from densecorr.records import LabelRecord

from .acts import VERDICTS
from .reviewers import Review
from .state import initial_state


@dataclass(frozen=True)
class AgreementSettings:
    """What is compared.

    Attributes:
        changed_only: only points that at least one of the two changed.
        same_px: a point that the two have further apart than this, in pixels, is not compared.
        limits_m: of the areas under the RCP curve; empty for a template without a unit.
        thresholds_m: where the RCP curve is given.
        bootstrap: of the intervals.
    """

    changed_only: bool = False
    same_px: float = 3.0
    limits_m: tuple[float, ...] = (0.10, 0.30)
    thresholds_m: tuple[float, ...] = (0.01, 0.02, 0.05, 0.10, 0.15, 0.20, 0.25, 0.30)
    bootstrap: BootstrapSettings = field(default_factory=BootstrapSettings)


@dataclass(frozen=True)
class Agreement:
    """Agreement of two reviewers, or (`reviewers` empty) of all pairs together.

    Attributes:
        reviewers: the pair, by name.
        n_instances: reviewed by both.
        n_points: compared, visible with a vertex to both.
        changed_share: of these points, changed by at least one of the two.
        error: mean geodesic distance between their vertices, in the template's unit.
        error_share: the same as a share of the diameter.
        rcp: share of points within each threshold.
        auc: area under that curve up to each limit.
        kappa: Cohen's kappa of their verdicts; None where chance alone would agree fully, or fewer than one verdict.
    """

    reviewers: tuple[str, ...]
    n_instances: int
    n_points: int
    changed_share: float
    error: Interval
    error_share: Interval
    rcp: tuple[float, ...]
    auc: tuple[Interval, ...]
    kappa: Interval


@dataclass(frozen=True)
class _Pairs:
    """P compared points and Q compared verdicts; `verdicts` holds both as numbers among `VERDICTS`."""

    image: Int[np.ndarray, " P"]
    vertex: Int[np.ndarray, "P 2"]
    changed: np.ndarray
    verdict_image: Int[np.ndarray, " Q"]
    verdicts: Int[np.ndarray, "Q 2"]
    n_instances: int


def measure_agreement(
    labels: Sequence[LabelRecord],
    reviews: Mapping[str, Sequence[Review]],
    image_of: Mapping[str, str],
    rows: GeodesicRows,
    diameter: float,
    settings: AgreementSettings = AgreementSettings(),
) -> list[Agreement]:
    """All pairs of reviewers together first, then each pair by name.

    Args:
        labels: as they were reviewed.
        reviews: of each label set, by `label_id`.
        image_of: the image of each `instance_id`.
        rows: geodesic distances.
        diameter: the largest of them.
        settings: what is compared.

    Raises:
        EmptyInstanceError: no label set was reviewed by two.
    """
    images = {name: index for index, name in enumerate(sorted(set(image_of.values())))}
    found: dict[tuple[str, str], list[tuple[int, LabelRecord, Review, Review]]] = {}
    for label in labels:
        ordered = sorted(reviews.get(label.label_id, ()), key=lambda review: review.reviewer)
        for a, b in combinations(ordered, 2):
            image = images[image_of[label.instance_id]]
            found.setdefault((a.reviewer, b.reviewer), []).append((image, label, a, b))
    if not found:
        raise EmptyInstanceError(
            "label sets reviewed by two people", "none", "Let a second reviewer look at some."
        )
    everything = [item for pair in sorted(found) for item in found[pair]]
    n_together = len({label.label_id for _, label, _, _ in everything})
    groups = [((), everything, n_together)] + [
        (pair, found[pair], len(found[pair])) for pair in sorted(found)
    ]
    return [
        _measure(names, _collect(items, n, settings), len(images), rows, diameter, settings)
        for names, items, n in groups
    ]


def cohens_kappa(confusion: Float[np.ndarray, "B k k"]) -> Float[np.ndarray, " B"]:
    """(p_o - p_e) / (1 - p_e) of each table of counts; NaN where p_e is 1 or the table is empty.

    Source: Cohen 1960, "A coefficient of agreement for nominal scales".
    """
    total = confusion.sum(axis=(1, 2))
    safe = np.maximum(total, 1e-12)
    observed = np.trace(confusion, axis1=1, axis2=2) / safe
    chance = (confusion.sum(axis=1) * confusion.sum(axis=2)).sum(axis=1) / safe**2
    defined = (total > 0) & (chance < 1 - 1e-12)
    return np.where(defined, (observed - chance) / np.where(defined, 1 - chance, 1.0), np.nan)


def _collect(
    items: Sequence[tuple[int, LabelRecord, Review, Review]], n_instances: int, settings: AgreementSettings
) -> _Pairs:
    points: list[tuple[int, int, int, bool]] = []
    verdicts: list[tuple[int, int, int]] = []
    for image, label, a, b in items:
        said_a, said_b = ((review.state.verdict or {}).get("action") for review in (a, b))
        if said_a is not None and said_b is not None:
            verdicts.append((image, VERDICTS.index(said_a), VERDICTS.index(said_b)))
        for point_id, before in initial_state(label).points.items():
            pair = [review.state.points.get(point_id) for review in (a, b)]
            known = [point for point in pair if point is not None and point.visible and point.vertex >= 0]
            if (
                len(known) < 2
                or np.hypot(known[0].x - known[1].x, known[0].y - known[1].y) > settings.same_px
            ):
                continue
            changed = any(point.vertex != before.vertex for point in known)
            if changed or not settings.changed_only:
                points.append((image, known[0].vertex, known[1].vertex, changed))
    table = np.array(points, dtype=np.int64).reshape(-1, 4)
    said = np.array(verdicts, dtype=np.int64).reshape(-1, 3)
    return _Pairs(table[:, 0], table[:, 1:3], table[:, 3].astype(bool), said[:, 0], said[:, 1:], n_instances)


def _measure(
    names: tuple[str, ...],
    pairs: _Pairs,
    n_images: int,
    rows: GeodesicRows,
    diameter: float,
    settings: AgreementSettings,
) -> Agreement:
    distance = geodesic_pairs(rows, pairs.vertex[:, 0], pairs.vertex[:, 1:])[:, 0]
    capped = bounded_error(distance, diameter).astype(np.float64)
    columns = [capped, *(np.maximum(0.0, 1.0 - distance / limit) for limit in settings.limits_m)]
    numerator = np.stack(
        [np.bincount(pairs.image, weights=column, minlength=n_images) for column in columns], axis=1
    )
    count = np.bincount(pairs.image, minlength=n_images).astype(np.float64)
    statistic = RatioOfSums(numerator, np.broadcast_to(count[:, None], numerator.shape))
    taken = count > 0
    error, *areas = bootstrap_intervals([statistic], taken, settings.bootstrap)[0]
    judged = np.bincount(pairs.verdict_image, minlength=n_images) > 0
    kappa = bootstrap_intervals([_kappa_statistic(pairs, n_images)], judged, settings.bootstrap)[0][0]
    return Agreement(
        names,
        pairs.n_instances,
        len(distance),
        float(pairs.changed.mean()) if len(pairs.changed) else 0.0,
        error,
        scaled(error, 1 / diameter),
        tuple(ratio_of_correct_points(distance, np.array(settings.thresholds_m)).tolist()),
        tuple(areas),
        kappa,
    )


def scaled(interval: Interval, factor: float) -> Interval:
    """The figure and its ends times a positive factor."""
    values = (interval.value, interval.low, interval.high)
    return Interval(*(None if value is None else factor * value for value in values))


def _kappa_statistic(pairs: _Pairs, n_images: int) -> Statistic:
    k = len(VERDICTS)
    cell = (pairs.verdict_image * k + pairs.verdicts[:, 0]) * k + pairs.verdicts[:, 1]
    tables = np.bincount(cell, minlength=n_images * k * k).reshape(n_images, k * k).astype(np.float64)

    def statistic(counts: np.ndarray) -> np.ndarray:
        return cohens_kappa((counts @ tables).reshape(-1, k, k))[:, None]

    return statistic
