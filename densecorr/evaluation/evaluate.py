"""Score methods against the same truth: figures with intervals, groups, and one row an instance."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from jaxtyping import Bool

from ..errors import AnnotationError, SettingsError
from . import Metric
from .bootstrap import BootstrapSettings, Interval, bootstrap_intervals, paired_difference
from .geodesic import SHIC_SCALE, GeodesicError, geodesic_error_228
from .gps import GpsAveragePrecision
from .instances import InstanceTruth, PointPrediction
from .left_right import LeftRightConfusion
from .pck import Pck
from .rcp import RatioOfCorrectPoints, ratio_of_correct_points
from .scored import GeodesicRows, Measurement, Omission, ScoredPoints, ScoringTemplate, score_points
from .slices import in_order, slice_names, why_left_out

CURVE_228 = np.linspace(0.0, SHIC_SCALE, 115)


@dataclass(frozen=True)
class EvaluationSettings:
    """Which metrics, how intervals are drawn, and at which visible shares the visibility buckets divide."""

    metrics: tuple[Metric, ...] = (
        GeodesicError(),
        RatioOfCorrectPoints(),
        Pck(),
        GpsAveragePrecision(similarity="gps"),
        GpsAveragePrecision(similarity="gpsm"),
        LeftRightConfusion(),
    )
    bootstrap: BootstrapSettings = field(default_factory=BootstrapSettings)
    visibility_edges: tuple[float, ...] = (0.5, 0.9)


@dataclass(frozen=True)
class GroupResult:
    """The figures of a group of instances, by figure name."""

    figures: dict[str, Interval]
    n_instances: int
    n_points: int


@dataclass(frozen=True)
class MethodResult:
    """All that is known about one method.

    `by_slice` has the groups by size, viewpoint and source; a slicing that tells nothing apart is absent and
    `omitted_slices` says why. `columns` are the per-instance table, (N,) each; `category_mean` is the plain mean over
    categories of each figure; `error_curve` the share of points (115,) with an error up to each of `CURVE_228`;
    `omitted` why a figure is absent.
    """

    method: str
    overall: GroupResult
    by_category: dict[str, GroupResult]
    by_visibility: dict[str, GroupResult]
    by_slice: dict[str, dict[str, GroupResult]]
    category_mean: dict[str, float | None]
    columns: dict[str, np.ndarray]
    error_curve: np.ndarray
    omitted: dict[str, str]
    omitted_slices: dict[str, str]
    settings: EvaluationSettings


@dataclass(frozen=True)
class Comparison:
    """Mean over the instances of a's value minus b's, its paired interval, and how often a is lower."""

    method_a: str
    method_b: str
    figure: str
    difference: Interval
    a_lower_share: float
    n_instances: int


def evaluate_methods(
    truths: Sequence[InstanceTruth],
    predictions: Mapping[str, Sequence[PointPrediction]],
    rows: GeodesicRows,
    template: ScoringTemplate,
    settings: EvaluationSettings,
) -> dict[str, MethodResult]:
    """Score every method; geodesic rows, `rows(vertices) -> (n, V)` in the template's unit, are solved once.

    Raises:
        EmptyInstanceError: no annotated point at all.
        AnnotationError: predictions that do not fit the truths.
    """
    scored = score_points(truths, predictions, rows, template)
    return {method: evaluate_method(method, points, template, settings) for method, points in scored.items()}


def evaluate_method(
    method: str,
    scored: ScoredPoints,
    template: ScoringTemplate,
    settings: EvaluationSettings,
) -> MethodResult:
    """Figures, groups and the per-instance table of one method from its measured points (`score_points`)."""
    outcomes = [metric(scored, template) for metric in settings.metrics]
    measured = [outcome for outcome in outcomes if isinstance(outcome, Measurement)]
    omissions = [outcome for outcome in outcomes if isinstance(outcome, Omission)]
    omissions += [omission for measurement in measured for omission in measurement.omitted]
    omitted = {name: omission.reason for omission in omissions for name in omission.names}
    names = [name for measurement in measured for name in measurement.names]
    if len(set(names)) != len(names):
        raise SettingsError(
            "each figure once", "a metric listed twice", "Remove one of the two from `metrics`."
        )

    def group(members: Bool[np.ndarray, " N"]) -> GroupResult:
        intervals = bootstrap_intervals([m.statistic for m in measured], members, settings.bootstrap)
        figures = dict(zip(names, [interval for row in intervals for interval in row], strict=True))
        return GroupResult(figures, int(members.sum()), int(members[scored.instance].sum()))

    category = np.array(scored.category)
    bucket = visibility_buckets(scored.visible_share, settings.visibility_edges)
    slices = slice_names(scored)
    told = {by: names for by, names in slices.items() if len(set(names)) > 1}
    by_category = {str(name): group(category == name) for name in np.unique(category)}
    return MethodResult(
        method=method,
        overall=group(np.ones(len(category), dtype=bool)),
        by_category=by_category,
        by_visibility={
            name: group(bucket == name) for name in bucket_names(settings.visibility_edges) if name in bucket
        },
        by_slice={
            by: {name: group(np.array(names) == name) for name in in_order(names)}
            for by, names in told.items()
        },
        category_mean={name: _mean([g.figures[name].value for g in by_category.values()]) for name in names},
        columns=_instance_columns(scored, bucket, slices)
        | {k: v for m in measured for k, v in m.columns.items()},
        error_curve=ratio_of_correct_points(
            geodesic_error_228(scored.distance, template.diameter)[np.isfinite(scored.distance)], CURVE_228
        )
        * np.isfinite(scored.distance).mean(),
        omitted=omitted,
        omitted_slices={by: why_left_out(by, names[0]) for by, names in slices.items() if by not in told},
        settings=settings,
    )


def compare(a: MethodResult, b: MethodResult, figure: str = "geodesic_error_228") -> Comparison:
    """Paired bootstrap of the mean per-instance difference a - b; negative means a is lower.

    Raises:
        AnnotationError: the two were scored on different instances, or one lacks the per-instance figure.
    """
    for result in (a, b):
        if figure not in result.columns:
            raise AnnotationError(
                f"'{figure}' for '{result.method}'", "none", "Add its metric to the settings."
            )
    if list(a.columns["instance_id"]) != list(b.columns["instance_id"]):
        raise AnnotationError(
            "the same instances for both methods", "different ones", "Evaluate them together."
        )
    difference = paired_difference(a.columns[figure], b.columns[figure], a.settings.bootstrap)
    known = np.isfinite(a.columns[figure] - b.columns[figure])
    lower = (a.columns[figure] < b.columns[figure])[known]
    return Comparison(
        a.method, b.method, figure, difference, float(lower.mean()) if len(lower) else 0.0, int(known.sum())
    )


def worst_instances(result: MethodResult, n: int, figure: str = "geodesic_error_228") -> list[str]:
    """Ids of the n instances with the highest value of a per-instance column, worst first; ties by id."""
    values, ids = result.columns[figure], result.columns["instance_id"]
    order = np.lexsort((ids, -np.nan_to_num(values, nan=-np.inf)))
    return [str(ids[index]) for index in order[:n]]


def bucket_names(edges: tuple[float, ...]) -> list[str]:
    """The names of the visibility buckets in order, and the one of instances whose visibility is unknown."""
    between = [f"{low:.0%} to {high:.0%} visible" for low, high in pairwise(edges)]
    ends = (
        [f"under {edges[0]:.0%} visible", f"{edges[-1]:.0%} or more visible"] if edges else ["any visibility"]
    )
    return [*ends[:1], *between, *ends[1:], "visibility unknown"]


def visibility_buckets(visible_share: np.ndarray, edges: tuple[float, ...]) -> np.ndarray:
    """The bucket name of each instance; a share on an edge belongs to the bucket above it."""
    names = np.array(bucket_names(edges))
    index = np.searchsorted(np.array(edges, dtype=np.float64), visible_share, side="right")
    return names[np.where(np.isnan(visible_share), len(names) - 1, index)]


def _instance_columns(
    scored: ScoredPoints, bucket: np.ndarray, slices: Mapping[str, Sequence[str]]
) -> dict[str, np.ndarray]:
    return {
        "instance_id": np.array(scored.instance_id),
        "image_id": np.array(scored.image_id),
        "category": np.array(scored.category),
        "predicted": scored.predicted,
        "score": scored.score,
        "area": scored.area,
        "silhouette_iou": scored.silhouette_iou,
        "visible_share": scored.visible_share,
        "visibility": bucket,
        **{by: np.array(names) for by, names in slices.items()},
    }


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
