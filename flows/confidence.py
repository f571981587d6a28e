"""Pseudo-labels beside the truth: the errors that calibration learns from, and the reliability diagram."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from densecorr.errors import EmptyInstanceError
from densecorr.evaluation.geodesic import SHIC_SCALE
from densecorr.evaluation.report import Curves, ReportTable
from densecorr.evaluation.scored import geodesic_pairs
from densecorr.pseudolabels.calibrate import Reliability, label_signals, measure_reliability
from densecorr.templates.template import Template, geodesic_rows
from storage.datasets import read_instances, read_labels

from .label_filter import known
from .labelled import ANNOTATIONS


@dataclass(frozen=True)
class KnownErrors:
    """Labelled points whose truth is known: signals, geodesic errors (shares of the diameter), expected ones if any."""

    signals: Float[np.ndarray, "P 7"]
    error: Float[np.ndarray, " P"]
    expected: Float[np.ndarray, " P"] | None
    instance: Int[np.ndarray, " P"]

    @property
    def n_instances(self) -> int:
        """How many instances the points are of."""
        return len(np.unique(self.instance))


def match_truth(
    dataset: Path, labels: Path, template: Template, category: str, split: str | None, max_distance: float
) -> KnownErrors:
    """The pseudo-labels near an annotated point, and how far from its vertex they are.

    Args:
        dataset: the data set's folder; its annotations are the truth.
        labels: the pseudo-labels' folder.
        template: of both.
        category: of the data set.
        split: of the data set, or all.
        max_distance: to the nearest annotated point, as a share of the longer side of the instance's box.

    Raises:
        EmptyInstanceError: no label has an annotated point near it.
    """
    from scipy.spatial import KDTree

    truths, sets = read_labels(dataset, ANNOTATIONS), read_labels(labels)
    signals, pairs, expected, instance = [], [], [], []
    for item in read_instances(dataset, category, split):
        key, side = item.instance.instance_id, max(item.instance.xywh[2:])
        truth, label = truths.get(key), sets.get(key)
        if truth is None or label is None or label.score is None:
            continue
        use = np.asarray(truth.vertex) >= 0
        if not use.any() or not len(label.vertex):
            continue
        tree = KDTree(np.stack([truth.x, truth.y], axis=1)[use])
        away, nearest = tree.query(np.stack([label.x, label.y], axis=1))
        near = (away <= max_distance * side) & (np.asarray(label.vertex) >= 0)
        signals.append(label_signals(label, side)[near])
        pairs.append(np.stack([label.vertex, np.asarray(truth.vertex)[use][nearest]], axis=1)[near])
        instance.append(np.full(int(near.sum()), len(instance)))
        if label.expected_error is not None:
            expected.append(known(label.expected_error)[near])
    if sum(map(len, pairs)) == 0:
        raise EmptyInstanceError(
            f"pseudo-labels of '{category}' with an annotated point near them",
            "none",
            "Name a data set with annotated points (`world`, `synthesise`, DensePose) and its own pseudo-labels.",
        )
    vertex = np.concatenate(pairs).astype(np.int64)
    distance = geodesic_pairs(partial(geodesic_rows, template), vertex[:, 0], vertex[:, 1:])[:, 0]
    return KnownErrors(
        np.concatenate(signals),
        distance.astype(np.float64) / template.diameter,
        np.concatenate(expected) if len(expected) == len(pairs) else None,
        np.concatenate(instance),
    )


def reliability_report(
    expected: Float[np.ndarray, " P"], known_errors: KnownErrors, how: str
) -> tuple[Curves, ReportTable, Reliability]:
    """The diagram and the table of expected against true errors, on SHIC's scale (the diameter is 228)."""
    found = measure_reliability(SHIC_SCALE * expected, SHIC_SCALE * known_errors.error, known_errors.instance)
    top = float(max(found.expected.max(), found.true.max()))
    curves = Curves(
        f"Reliability of the expected error ({how})",
        "expected geodesic error (of 228)",
        "true geodesic error (of 228)",
        {
            "measured": (found.expected, found.true),
            "lower end of its 95 % interval": (found.expected, found.low),
            "upper end": (found.expected, found.high),
            "perfect": (np.array([0.0, top]), np.array([0.0, top])),
        },
        f"Expected calibration error {found.gap:.2f} of 228 (one error for all: {found.constant_gap:.2f}); rank "
        f"correlation of expected and true errors {found.rank_correlation:.2f}. Ten bins of equally many points.",
    )
    rows = tuple(
        (float(e), float(t), float(low), float(high), int(n))
        for e, t, low, high, n in zip(
            found.expected, found.true, found.low, found.high, found.count, strict=True
        )
    )
    columns = ("expected", "true", "95 % from", "to", "points")
    table = ReportTable("Expected and true errors by bin (of 228)", columns, rows)
    return curves, table, found


def reliability_facts(reliability: Reliability) -> dict[str, Any]:
    """The figures as plain data, errors on the scale they were measured on."""
    return {
        "expected_calibration_error": round(reliability.gap, 4),
        "of_one_error_for_all": round(reliability.constant_gap, 4),
        "rank_correlation": round(reliability.rank_correlation, 4),
        "bins": [
            {"expected": round(float(e), 4), "true": round(float(t), 4), "points": int(n)}
            for e, t, n in zip(reliability.expected, reliability.true, reliability.count, strict=True)
        ],
    }
