"""What every metric of `densecorr score` takes and gives, besides GPS: options, figures, intervals, and the rule."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np

from densecorr.errors import AnnotationError, SettingsError
from densecorr.evaluation.bootstrap import (
    BootstrapSettings,
    Interval,
    RatioOfSums,
    Statistic,
    bootstrap_intervals,
)


@dataclass(frozen=True)
class FieldOptions:
    """Options of all metrics; a metric refuses those that it does not read (`FieldMetric.reads`).

    Attributes:
        alphas: shares of the reference length (pck: .05, .1, .15; flow-pck: .05).
        reference: of pck: bbox, image, square, keypoints or silhouette; there is no default.
        mean: "point" pools points or pixels, "image" averages images, pairs or instances; None: the metric's own.
        unit: of lengths in the files (geodesics, positions): m, mm, or none for a mesh without a unit.
        thresholds: of rcp, cm (10, 30); of epipolar, pixels (1, 2, 5).
        align: of mpvpe.
        root: vertices whose mean is the root of mpvpe's root alignment; none: all.
        kappa: of mpvpe, in the files' unit: adds vertex similarity (VS, MVS).
        bins: of ece: equal "width" (confidences) or "count" (expected errors); None: as in brackets.
        n_bins: of ece.
        geodesics: mesh name to the .npy file of its distances; the name "" serves a file with one mesh.
        mirrors: mesh name to the .npy file of each vertex's partner, for left-right.
        images: folder of images, where pck needs their sizes.
        bootstrap: how intervals are drawn.
    """

    alphas: tuple[float, ...] | None = None
    reference: Literal["bbox", "image", "square", "keypoints", "silhouette"] | None = None
    mean: Literal["point", "image"] | None = None
    unit: Literal["m", "mm", "none"] = "m"
    thresholds: tuple[float, ...] | None = None
    align: Literal["none", "root", "procrustes"] = "none"
    root: tuple[int, ...] = ()
    kappa: float | None = None
    bins: Literal["width", "count"] | None = None
    n_bins: int = 15
    geodesics: dict[str, Path] = field(default_factory=dict)
    mirrors: dict[str, Path] = field(default_factory=dict)
    images: Path | None = None
    bootstrap: BootstrapSettings = field(default_factory=BootstrapSettings)


@dataclass(frozen=True)
class FieldScores:
    """One method's figures.

    Attributes:
        figures: by name, which says the unit (`_percent`, `_px`, `_mm`, `_m`; `_228`: the diameter is 228).
        intervals: percentile bootstrap over the units, for figures that have one.
        per_unit: for figures that are a ratio of sums, each unit's (numerator, denominator), (N, 2).
        unit_ids: what was resampled: N images, pairs, annotations or frames.
        slices: grouping to group to members, (N,) bool.
        tables: what a figure cannot hold: rows of plain data by table.
        rule: threshold, reference length, averaging, and how the missing counts, in words.
        n: points, pixels, matches or objects scored.
        others: for figures of another form, the statistic that gives those named, from how often each unit was drawn.
    """

    figures: dict[str, float]
    intervals: dict[str, Interval]
    per_unit: dict[str, np.ndarray]
    unit_ids: list[str]
    rule: str
    n: int
    slices: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    others: dict[tuple[str, ...], Statistic] = field(default_factory=dict)


@dataclass(frozen=True)
class FieldMetric:
    """A metric and the options it reads."""

    score: Callable[[Path, Path, FieldOptions], FieldScores]
    reads: tuple[str, ...] = ()

    def __call__(self, gt: Path, pred: Path, options: FieldOptions) -> FieldScores:
        """The figures of one result file.

        Raises:
            SettingsError: an option that this metric does not read.
            DensecorrError: files that are absent or of another form.
        """
        default = FieldOptions()
        unread = [
            one.name
            for one in fields(options)
            if one.name not in (*self.reads, "bootstrap")
            and getattr(options, one.name) != getattr(default, one.name)
        ]
        if unread:
            raise SettingsError(
                f"options of this metric: {', '.join(self.reads) or 'none'}",
                ", ".join(unread),
                "Leave the others out.",
            )
        return self.score(gt, pred, options)


def ratio_scores(
    ratios: dict[str, tuple[np.ndarray, np.ndarray]],
    unit_ids: Sequence[str],
    rule: str,
    n: int,
    options: FieldOptions,
    *,
    groupings: Mapping[str, Sequence[str]] | None = None,
    others: dict[str, Statistic] | None = None,
    plain: dict[str, float] | None = None,
    tables: dict[str, list[dict[str, Any]]] | None = None,
) -> FieldScores:
    """Scores whose figures are each a sum over units divided by another, with intervals.

    Args:
        ratios: figure to each unit's numerator and denominator, (N,) both.
        unit_ids: N.
        rule: in words.
        n: of points.
        options: for the bootstrap.
        groupings: name to each unit's group, N.
        others: figures of another form, from how often each unit was drawn.
        plain: figures without an interval.
        tables: rows by table.
    """
    names = list(ratios)
    columns = [np.stack([np.asarray(part, np.float64) for part in ratios[name]], axis=1) for name in names]
    pairs = np.stack(columns, axis=2)  # (N, 2, K)
    others = others or {}
    rows = unit_intervals(
        [RatioOfSums(pairs[:, 0], pairs[:, 1]), *others.values()], len(unit_ids), options.bootstrap
    )
    found = dict(zip([*names, *others], [one for row in rows for one in row], strict=True))
    return FieldScores(
        {name: one.value for name, one in found.items() if one.value is not None} | (plain or {}),
        {name: one for name, one in found.items() if one.value is not None},
        dict(zip(names, columns, strict=True)),
        list(unit_ids),
        rule,
        n,
        {name: members_of(groups) for name, groups in (groupings or {}).items()},
        tables or {},
        {(name,): statistic for name, statistic in others.items()},
    )


def unit_intervals(
    statistics: Sequence[Statistic], n_units: int, settings: BootstrapSettings
) -> list[list[Interval]]:
    """Figures with their intervals, or alone when no resamples are asked for."""
    if settings.n_resamples:
        return bootstrap_intervals(statistics, np.ones(n_units, dtype=bool), settings)
    values = [statistic(np.ones((1, n_units)))[0] for statistic in statistics]
    return [[Interval(float(value) if np.isfinite(value) else None) for value in row] for row in values]


def members_of(groups: Sequence[str]) -> dict[str, np.ndarray]:
    """Group to its members, (N,) bool."""
    return {name: np.array([group == name for group in groups]) for name in sorted(set(groups))}


def slice_figures(scores: FieldScores, grouping: str) -> dict[str, dict[str, float]]:
    """Group to figures, of those figures that are ratios of sums; undefined ones are left out."""
    found: dict[str, dict[str, float]] = {}
    for group, members in scores.slices[grouping].items():
        sums = {name: column[members].sum(axis=0) for name, column in scores.per_unit.items()}
        found[group] = {name: float(above / below) for name, (above, below) in sums.items() if below > 0}
    return found


def averaged(
    total: np.ndarray, count: np.ndarray, mean: Literal["point", "image"]
) -> tuple[np.ndarray, np.ndarray]:
    """Numerators and denominators of a mean over points, or over units of each unit's own mean."""
    total, count = np.asarray(total, dtype=np.float64), np.asarray(count, dtype=np.float64)
    if mean == "point":
        return total, count
    own = np.divide(total, count, out=np.zeros_like(total), where=count > 0)
    return own, (count > 0).astype(np.float64)


def by_id(rows: Sequence[Any], name: str, known: Sequence[Any], what: str) -> dict[Any, Any]:
    """Rows by their id.

    Raises:
        AnnotationError: an id twice, or one that the truth does not have.
    """
    found: dict[Any, Any] = {}
    allowed = set(known)
    for row in rows:
        key = getattr(row, name)
        if key in found:
            raise AnnotationError(f"one prediction for each {what}", f"{name} {key!r} twice", "Keep one.")
        if key not in allowed:
            raise AnnotationError(
                f"predictions for the {what}s of the truth",
                f"{name} {key!r}",
                f"The truth has {', '.join(repr(one) for one in list(known)[:3])} ...: use its ids.",
            )
        found[key] = row
    return found
