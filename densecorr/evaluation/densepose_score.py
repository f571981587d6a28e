"""DensePose scoring of a set by both protocols: figures, intervals, and a row for each annotated object.

Images are scored one after another: only one image's vertex arrays are in memory, and each is read once for all metrics
and both protocols.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from jaxtyping import Float

from . import densepose_corrected as corrected
from . import densepose_reference as reference
from .average_precision import (
    AREAS,
    AveragePrecisionStatistic,
    CurveStatistic,
    ImageSimilarities,
    MatchedCurve,
)
from .bootstrap import BootstrapSettings, Interval, Statistic, bootstrap_intervals
from .densepose_matching import Matches, match_groups
from .densepose_measure import Metric, Protocol, measure_similarities
from .densepose_reference import NAMES
from .densepose_types import DensePoseSet, Id, ImageGroup
from .gps import KAPPA


@dataclass(frozen=True)
class ScoreSettings:
    """What is scored: metrics, protocols, the tolerance of points in metres, and how intervals are drawn."""

    metrics: tuple[Metric, ...] = ("gps",)
    protocols: tuple[Protocol, ...] = ("reference", "corrected")
    kappa: float = KAPPA
    bootstrap: BootstrapSettings = field(default_factory=BootstrapSettings)


@dataclass(frozen=True)
class TruthRow:
    """One annotated object: the most similar detection of its image and category (None: there is none)."""

    annotation_id: Id
    image_id: Id
    category_id: Id
    mesh: str
    area: float
    n_points: int
    similarity: float
    detection: int | None


@dataclass(frozen=True)
class ProtocolScore:
    """The figures of one protocol and metric in percent: reference -100, corrected NaN where no object counts."""

    figures: dict[str, float]
    by_category: dict[Id, dict[str, float]]
    image_ids: list[Id]
    groups: Sequence[ImageGroup]
    similarities: Sequence[Float[np.ndarray, "_ _"]]
    make_statistic: Callable[[], Statistic]

    @cached_property
    def statistic(self) -> Statistic:
        """The figures as shares (AP, AP50, AP75, APm, APl, AR, ...) under counts (B, N) of the images."""
        return self.make_statistic()

    def intervals(self, settings: BootstrapSettings) -> dict[str, Interval]:
        """Percentile intervals over images, in percent."""
        everything = np.ones(len(self.image_ids), dtype=bool)
        found = bootstrap_intervals([self.statistic], everything, settings)[0]
        return {name: _percent(self.figures[name], one) for name, one in zip(NAMES, found, strict=True)}

    def rows(self) -> list[TruthRow]:
        """Every annotated object with the detection most like it."""
        return [
            row for group, s in zip(self.groups, self.similarities, strict=True) for row in _rows(group, s)
        ]


def score_set(
    scored: DensePoseSet,
    settings: ScoreSettings,
    progress: Callable[[int, int], object] | None = None,
) -> dict[tuple[Protocol, Metric], ProtocolScore]:
    """Score a checked set (`densepose_files.check_set`) by each protocol and metric.

    Raises:
        AnnotationError: a detection's vertices cannot be read or do not fit box, mesh or maps.
    """
    found: dict[tuple[Protocol, Metric], ProtocolScore] = {}
    groups: dict[Protocol, list[ImageGroup]] = {
        protocol: (reference if protocol == "reference" else corrected).group_by_image(scored)
        for protocol in settings.protocols
    }
    similar = measure_similarities(scored, settings.metrics, settings.kappa, groups, progress)
    for protocol, own in groups.items():
        measured = similar[protocol]
        areas = [area for _, area in measured]
        boxes = [reference.box_ious(group) for group in own] if protocol == "reference" else []
        for metric in settings.metrics:
            similarities = [values[metric] for values, _ in measured]
            if protocol == "reference":
                found[protocol, metric] = _reference(scored, own, similarities, boxes)
            else:
                found[protocol, metric] = _corrected(scored, own, similarities, areas, metric)
    return found


def _reference(
    scored: DensePoseSet,
    groups: Sequence[ImageGroup],
    similarities: Sequence[np.ndarray],
    boxes: Sequence[np.ndarray],
) -> ProtocolScore:
    matches = match_groups(groups, similarities, boxes)
    categories = _categories(groups)
    members = {c: [i for i, group in enumerate(groups) if group.category_id == c] for c in categories}
    curves = {
        c: [reference.precision_recall([row[i] for i in members[c]]) for row in matches] for c in categories
    }
    image_ids = [image.id for image in scored.images]

    def statistic() -> Statistic:
        unit = {image_id: index for index, image_id in enumerate(image_ids)}
        units = [unit[group.image.id] for group in groups]
        return CurveStatistic(
            [
                [
                    _curve([row[i] for i in members[c]], [units[i] for i in members[c]], len(image_ids))
                    for c in categories
                ]
                for row in matches
            ]
        )

    return ProtocolScore(
        reference.summarise([[curves[c][a] for c in categories] for a in range(len(AREAS))]),
        {c: reference.summarise([[curve] for curve in curves[c]]) for c in categories},
        image_ids,
        groups,
        similarities,
        statistic,
    )


def _curve(matches: Sequence[Matches], units: Sequence[int], n_units: int) -> MatchedCurve:
    unit = np.array(units, dtype=np.int64)
    return MatchedCurve(
        score=np.concatenate([m.score for m in matches]),
        true=np.concatenate([m.matched & ~m.hidden for m in matches], axis=1),
        counted=~np.concatenate([m.hidden for m in matches], axis=1),
        unit=np.repeat(unit, [len(m.score) for m in matches]),
        truth_unit=np.repeat(unit, [int(m.counts.sum()) for m in matches]),
        n_units=n_units,
    )


def _corrected(
    scored: DensePoseSet,
    groups: Sequence[ImageGroup],
    similarities: Sequence[np.ndarray],
    areas: Sequence[np.ndarray],
    metric: Metric,
) -> ProtocolScore:
    image_ids = [image.id for image in scored.images]
    unit = {image_id: index for index, image_id in enumerate(image_ids)}
    images = [
        corrected.image_similarities(group, similarity, area, metric, unit[group.image.id])
        for group, similarity, area in zip(groups, similarities, areas, strict=True)
    ]

    def statistic_of(some: Sequence[ImageSimilarities]) -> AveragePrecisionStatistic:
        return AveragePrecisionStatistic(some, len(image_ids), corrected.MAX_DETECTIONS)

    def figures_of(statistic: Statistic) -> dict[str, float]:
        values = 100.0 * statistic(np.ones((1, len(image_ids))))[0]
        return dict(zip(NAMES, values.tolist(), strict=True))

    whole = statistic_of(images)
    by_category = {}
    for category in _categories(groups):
        own = [i for i, group in zip(images, groups, strict=True) if group.category_id == category]
        by_category[category] = figures_of(statistic_of(own))
    return ProtocolScore(figures_of(whole), by_category, image_ids, groups, similarities, lambda: whole)


def _categories(groups: Sequence[ImageGroup]) -> list[Id]:
    return sorted({group.category_id for group in groups}, key=reference.sort_key)


def _rows(group: ImageGroup, similarity: np.ndarray) -> Iterator[TruthRow]:
    for column, truth in enumerate(group.truths):
        if truth.dp is None:
            continue
        values = np.nan_to_num(similarity[:, column], nan=0.0)
        best = int(values.argmax()) if len(values) and values.max() > 0 else None
        yield TruthRow(
            annotation_id=truth.id,
            image_id=truth.image_id,
            category_id=truth.category_id,
            mesh=truth.mesh,
            area=truth.area,
            n_points=len(truth.dp),
            similarity=0.0 if best is None else float(values[best]),
            detection=None if best is None else group.detections[best].number,
        )


def _percent(value: float, interval: Interval) -> Interval:
    """The protocol's own figure between the bounds that resampling gave, in percent."""
    if interval.low is None or interval.high is None:
        return Interval(value)
    return Interval(value, 100.0 * interval.low, 100.0 * interval.high)
