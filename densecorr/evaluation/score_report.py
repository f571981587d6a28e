"""The page of a DensePose score: figures of both protocols, categories, slices and the worst instances."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .densepose_reference import NAMES
from .densepose_score import TruthRow
from .report import Distribution, PictureRow, ReportData, ReportTable
from .report_tables import Cell
from .score_pictures import LABELS

DEFINITIONS = (
    "AP is the mean average precision over thresholds of the similarity from .50 to .95 in steps of .05, AP50 and AP75 "
    "are those at .50 and .75, APm and APl those of objects of 32^2 to 96^2 and of over 96^2 square pixels; AR is the "
    "mean recall at the same thresholds. All in percent."
)
DIFFERENCE = (
    "The reference protocol gives the figures of detectron2's evaluator to the bit; the corrected one mends its "
    "quirks, which docs/scoring.md lists."
)
SIMILARITY = {
    "gps": "GPS is the mean over an instance's points of exp(-d^2 / (2 kappa^2)), d the geodesic error",
    "gpsm": "GPSm is sqrt(GPS x IoU of the silhouettes)",
    "segm-iou": "The similarity is the IoU of the silhouettes",
}


def score_report(
    said: Mapping[str, Any],
    rows: Sequence[TruthRow],
    pictures: Sequence[PictureRow] = (),
    notes: Sequence[str] = (),
) -> ReportData:
    """What the page of a score shows (`report.write_report` writes it).

    Args:
        said: the record that `densecorr score --json` writes; NaN, None and negative figures are undefined.
        rows: every annotated instance with its most similar result.
        pictures: of the worst instances.
        notes: what a reader must know, such as images that were not found.
    """
    label = LABELS[said["metric"]]
    similarity = np.array([row.similarity for row in rows if row.n_points or said["metric"] == "segm-iou"])
    n_missed = sum(row.detection is None for row in rows)
    note = f"{n_missed} of {len(rows)} annotated instances have no result of any similarity."
    return ReportData(
        title=f"Dense correspondence by {label}: AP {_text(_figure(said['AP']))}, protocol {said['protocol']}",
        subtitle=f"{said['settings']['pred']} against {said['settings']['gt']}",
        counts={name.replace("_", " "): value for name, value in said["counts"].items()},
        notes=tuple(notes),
        tables=tuple(
            table for table in (figure_table(said), category_table(said), slice_table(said)) if table.rows
        ),
        distributions=(Distribution(f"{label} of the annotated instances", label, similarity, note),),
        worst=tuple(pictures),
        settings=said["settings"],
    )


def figure_table(said: Mapping[str, Any]) -> ReportTable:
    """A line a figure: the chosen protocol with its interval, the other one, and the difference."""
    own, other = said["protocol"], said["other_protocol"]
    columns = ("figure", own, "from", "to", other["protocol"], "corrected less reference")
    rows: list[tuple[Cell, ...]] = []
    for name in NAMES:
        interval = said.get("intervals", {}).get(name) or {}
        values = [_figure(said[name]), *(_rounded(interval.get(end)) for end in ("low", "high"))]
        difference = _rounded(said["corrected_minus_reference"][name])
        rows.append((name, *values, _figure(other[name]), difference))
    settings = said["settings"]
    intervals = (
        f"From, to: 95 % percentile bootstrap over images, {settings['resamples']} resamples, seed {settings['seed']}."
        if settings["resamples"]
        else "No intervals were drawn."
    )
    kappa = "" if said["metric"] == "segm-iou" else f", kappa {settings['kappa']:g}"
    note = f"{SIMILARITY[said['metric']]}{kappa}. {DEFINITIONS} {intervals} {DIFFERENCE}"
    return ReportTable("Figures", columns, tuple(rows), note)


def category_table(said: Mapping[str, Any]) -> ReportTable:
    """A line a category by the chosen protocol, and their mean, which is the figure of the whole."""
    rows: list[tuple[Cell, ...]] = [
        (category, *(_figure(figures[name]) for name in NAMES))
        for category, figures in said["by_category"].items()
    ]
    if len(rows) > 1:
        rows.append(("all", *(_figure(said[name]) for name in NAMES)))
    return ReportTable(f"By category, protocol {said['protocol']}", ("category", *NAMES), tuple(rows))


def slice_table(said: Mapping[str, Any]) -> ReportTable:
    """A line a group of instances: its mean similarity with its interval."""
    rows: list[tuple[Cell, ...]] = [
        (grouping, group, one["n"], *(_rounded(one[name]) for name in ("value", "low", "high")))
        for grouping, groups in said["slices"].items()
        for group, one in groups.items()
    ]
    label = LABELS[said["metric"]]
    note = (
        f"The mean over a group's annotated instances of the {label} of the result most like each, in percent. Sizes "
        "are COCO's (32^2, 96^2 square pixels); visible shares, viewpoints and sources are those that the annotations "
        "name."
    )
    columns = ("slice", "group", "instances", f"mean {label}", "from", "to")
    return ReportTable("Slices", columns, tuple(rows), note)


def _figure(value: float | None) -> float | None:
    """A figure of either protocol; the reference one says -100 where nothing can be said."""
    return _rounded(value) if value is not None and value >= 0 else None


def _rounded(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else round(float(value), 2)


def _text(value: float | None) -> str:
    return "none" if value is None else f"{value:.1f}"
