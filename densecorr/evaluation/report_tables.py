"""What the report says about results: tables, comparisons, protocol and omissions as plain data."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .bootstrap import Interval
from .evaluate import Comparison, EvaluationSettings, GroupResult, MethodResult
from .gps import GpsAveragePrecision
from .left_right import LeftRightConfusion
from .meanings import format_figure, headline_figures, meaning_of
from .pck import Pck

Cell = str | int | float | None
SLICINGS = {
    "visibility": "Share of the object's own silhouette that is neither hidden nor cut off.",
    "size": "Area of the object: small is below 32^2 square pixels, medium below 96^2, large the rest (COCO's).",
    "viewpoint": "The side of the object that the camera looks at, by the quarter of its azimuth.",
    "source": "Who or what made the annotated points.",
}


def headline_table(groups: Mapping[str, GroupResult]) -> dict[str, Any]:
    """One row a method: the headline figures with their intervals, the best of each column marked."""
    names = list(dict.fromkeys(name for group in groups.values() for name in group.figures))
    chosen = headline_figures(names)
    best = {name: _best(name, [group.figures.get(name) for group in groups.values()]) for name in chosen}
    rows = [
        {"name": method, "cells": [_cell(name, group.figures.get(name), best[name]) for name in chosen]}
        for method, group in groups.items()
    ]
    return {"columns": [meaning_of(name) for name in chosen], "rows": rows}


def group_tables(groups: Mapping[str, Mapping[str, GroupResult]]) -> list[dict[str, Any]]:
    """From each method's groups, one headline table a group; none for a single group."""
    names = list(dict.fromkeys(name for own in groups.values() for name in own))
    if len(names) < 2:
        return []
    tables = []
    for name in names:
        having = {method: own[name] for method, own in groups.items() if name in own}
        n_instances = next(iter(having.values())).n_instances
        tables.append({"name": name, "n_instances": n_instances, **headline_table(having)})
    return tables


def category_tables(results: Mapping[str, MethodResult]) -> list[dict[str, Any]]:
    """A table a category, and the plain mean after the categories; none for a single category."""
    tables = group_tables({method: result.by_category for method, result in results.items()})
    means = {"name": "mean over categories", "n_instances": None, **_category_means(results)}
    return [*tables, means] if tables else []


def slice_tables(results: Mapping[str, MethodResult]) -> list[dict[str, Any]]:
    """Tables by visibility, size, viewpoint and source, each with its heading, as far as there are such groups."""
    slicings = list(dict.fromkeys(by for result in results.values() for by in result.by_slice))
    tables = {
        "visibility": group_tables({method: result.by_visibility for method, result in results.items()})
    } | {by: group_tables({m: r.by_slice.get(by, {}) for m, r in results.items()}) for by in slicings}
    return [{"by": by, "note": SLICINGS[by], "groups": groups} for by, groups in tables.items() if groups]


def every_figure(results: Mapping[str, MethodResult]) -> list[dict[str, Any]]:
    """One row a figure with its meaning, one cell a method."""
    names = list(dict.fromkeys(name for result in results.values() for name in result.overall.figures))
    return [
        {
            "meaning": meaning_of(name),
            "cells": [_cell(name, result.overall.figures.get(name), None) for result in results.values()],
        }
        for name in names
    ]


def comparison_words(comparison: Comparison) -> dict[str, str]:
    """A comparison in words; "clear" means that the interval of the difference leaves out zero."""
    figure, interval = comparison.figure, comparison.difference
    clear = interval.low is not None and interval.high is not None and (interval.low > 0 or interval.high < 0)
    return {
        "a": comparison.method_a,
        "b": comparison.method_b,
        "label": meaning_of(figure).label,
        "value": format_figure(figure, interval.value),
        "spread": f"{format_figure(figure, interval.low)} to {format_figure(figure, interval.high)}",
        "verdict": "a clear difference" if clear else "no clear difference",
        "lower": f"{comparison.a_lower_share:.0%} of {comparison.n_instances} instances",
    }


def protocol_lines(settings: EvaluationSettings) -> list[str]:
    """How the figures were made, in words: intervals, reference lengths, kappa, the symmetry margin."""
    drawn = settings.bootstrap
    lines = [
        f"Intervals: {drawn.level:.0%} percentile bootstrap over instances, "
        f"{drawn.n_resamples} resamples, seed {drawn.seed}."
    ]
    for metric in settings.metrics:
        if isinstance(metric, Pck):
            lines.append(f"PCK: reference is the longer side of the box; mean over all {metric.mean}s.")
        elif isinstance(metric, GpsAveragePrecision):
            name = metric.similarity.upper().replace("M", "m")
            lines.append(f"{name}: kappa {metric.kappa:g} m, {metric.max_detections} detections an image.")
        elif isinstance(metric, LeftRightConfusion):
            margin = f"{metric.min_plane_share:.0%} of the diameter"
            lines.append(f"Wrong side: points more than {margin} from the symmetry plane.")
    return lines


def missing_figures(missing: Mapping[str, str], results: Mapping[str, MethodResult]) -> list[tuple[str, str]]:
    """(figures, reason) pairs: those the caller names and those the metrics left out, one line a reason."""
    methods_by_omission: dict[tuple[str, str], list[str]] = {}
    for method, result in results.items():
        for reason in dict.fromkeys(result.omitted.values()):
            figures = [figure for figure, why in result.omitted.items() if why == reason]
            for figure in headline_figures(figures) or figures:
                key = (meaning_of(figure).label, reason)
                methods_by_omission.setdefault(key, []).append(method)
    slices = {
        f"slices by {by}": why for result in results.values() for by, why in result.omitted_slices.items()
    }
    figures_by_reason: dict[str, list[str]] = {}
    for figure, reason in {**missing, **slices}.items():
        figures_by_reason.setdefault(reason, []).append(figure)
    for (figure, reason), methods in methods_by_omission.items():
        of_all = len(methods) == len(results)
        figures_by_reason.setdefault(reason if of_all else f"{reason} ({', '.join(methods)})", []).append(
            figure
        )
    return [(", ".join(dict.fromkeys(figures)), reason) for reason, figures in figures_by_reason.items()]


def column_texts(rows: Sequence[Sequence[Cell]]) -> list[list[str]]:
    """Cells as text; the fractions of a column get as many decimals as its most precise one needs."""
    shown = [[cell_text(value) for value in row] for row in rows]
    for column in range(max((len(row) for row in rows), default=0)):
        fractions = [
            row for row, text in zip(rows, shown, strict=True) if _is_fraction(row[column], text[column])
        ]
        decimals = max((len(cell_text(row[column]).partition(".")[2]) for row in fractions), default=0)
        for row, text in zip(rows, shown, strict=True):
            if _is_fraction(row[column], text[column]):
                text[column] = f"{row[column]:.{decimals}f}"
    return shown


def cell_text(value: Cell) -> str:
    """Text as it is, numbers with four digits, a dash for none."""
    if value is None or (isinstance(value, float) and not np.isfinite(value)):
        return "\u2013"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _is_fraction(value: Cell, text: str) -> bool:
    return isinstance(value, float) and bool(np.isfinite(value)) and "e" not in text


def _category_means(results: Mapping[str, MethodResult]) -> dict[str, Any]:
    return headline_table(
        {
            method: GroupResult({n: Interval(v) for n, v in result.category_mean.items()}, 0, 0)
            for method, result in results.items()
        }
    )


def _cell(name: str, interval: Interval | None, best: str | None) -> dict[str, Any]:
    value = format_figure(name, None if interval is None else interval.value)
    spread = ""
    if interval is not None and interval.low is not None:
        low = format_figure(name, interval.low).removesuffix(meaning_of(name).suffix)
        spread = f"{low}\u2013{format_figure(name, interval.high)}"
    return {"value": value, "spread": spread, "best": value == best}


def _best(name: str, intervals: list[Interval | None]) -> str | None:
    known = [interval.value for interval in intervals if interval is not None and interval.value is not None]
    if len(known) < 2:
        return None
    return format_figure(name, min(known) if meaning_of(name).better == "lower" else max(known))
