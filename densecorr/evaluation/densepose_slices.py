"""DensePose scores taken apart: by category, size, mesh and what the annotations say of visibility and viewpoint.

A slice's figure is the mean over its annotated objects of the similarity of the detection most like each, in percent:
unlike AP it can be said of any group of objects. Its interval is over images.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from .bootstrap import (
    BootstrapSettings,
    Interval,
    RatioOfSums,
    Statistic,
    bootstrap_intervals,
    difference_intervals,
)
from .densepose_reference import NAMES
from .densepose_score import ProtocolScore, TruthRow
from .densepose_types import DensePoseTruth, Id
from .slices import size_slice, viewpoint_slice


def slice_scores(
    score: ProtocolScore,
    truths: Sequence[DensePoseTruth],
    categories: Mapping[Id, str],
    settings: BootstrapSettings,
) -> dict[str, dict[str, tuple[Interval, int]]]:
    """By grouping and group: the mean similarity in percent with its interval, and the number of objects."""
    rows = score.rows()
    by_id = {truth.id: truth for truth in truths}
    groupings: dict[str, Callable[[TruthRow], str | None]] = {
        "category": lambda row: categories[row.category_id],
        "size": lambda row: size_slice(row.area),
        "mesh": lambda row: row.mesh or None,
        "visible": lambda row: _visible(by_id[row.annotation_id]),
        "viewpoint": lambda row: viewpoint_slice(by_id[row.annotation_id].azimuth),
        "source": lambda row: by_id[row.annotation_id].source,
    }
    found = {}
    for grouping, name_of in groupings.items():
        names = [name_of(row) for row in rows]
        groups = sorted({name for name in names if name is not None})
        if len(groups) > 1 or (grouping == "category" and groups):
            found[grouping] = {
                group: _mean(
                    [row for row, name in zip(rows, names, strict=True) if name == group], score, settings
                )
                for group in groups
            }
    return found


def compare_scores(
    a: ProtocolScore, b: ProtocolScore, settings: BootstrapSettings
) -> dict[str, tuple[Interval, float | None]]:
    """Each figure's difference a - b in percentage points with its paired interval and two-sided p-value.

    The same images are drawn for both.
    """

    def percent(score: ProtocolScore) -> Statistic:
        return lambda counts: 100.0 * score.statistic(counts)

    found = difference_intervals(percent(a), percent(b), len(a.image_ids), settings)
    return {
        name: (replace(interval, value=_subtract(a.figures[name], b.figures[name])), p)
        for name, (interval, p) in zip(NAMES, found, strict=True)
    }


def _subtract(a: float, b: float) -> float | None:
    """None where one of them is undefined (-100, NaN)."""
    return a - b if a >= 0 and b >= 0 else None


def _mean(
    rows: Sequence[TruthRow], score: ProtocolScore, settings: BootstrapSettings
) -> tuple[Interval, int]:
    place = {image_id: index for index, image_id in enumerate(score.image_ids)}
    index = np.array([place[row.image_id] for row in rows])
    n_images = len(score.image_ids)
    total = np.bincount(index, weights=[100.0 * row.similarity for row in rows], minlength=n_images)
    count = np.bincount(index, minlength=n_images).astype(np.float64)
    statistic = RatioOfSums(total[:, None], count[:, None])
    return bootstrap_intervals([statistic], count > 0, settings)[0][0], len(rows)


def _visible(truth: DensePoseTruth) -> str | None:
    share = truth.visible_share
    if share is None:
        return None
    return "under 50 %" if share < 0.5 else "50 to 90 %" if share < 0.9 else "90 % and more"
