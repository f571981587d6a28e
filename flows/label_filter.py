"""Which of the label sets to train on, and which of their points: `LabelFilter` on tables."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from densecorr.errors import TrainingError
from densecorr.evaluation.scored import geodesic_pairs
from densecorr.pseudolabels.filters import LabelFilter, risk_threshold, select_instances, uncalibrated_risk
from densecorr.records import LabelRecord
from densecorr.templates.template import Template, kept_geodesic_rows
from storage.datasets import DatasetInstance, read_labels


def distances_to(
    opinion: Path, pairs: list[tuple[DatasetInstance, LabelRecord]], template: Template
) -> dict[str, np.ndarray]:
    """Geodesic distance, a share of the diameter, of each scored label set's points to an opinion's vertices.

    By label id; 1 where either has no vertex. A label set that the opinion says nothing of is left out.

    Raises:
        TrainingError: the opinion has other points, or is for another template.
    """
    others, rows = read_labels(opinion), kept_geodesic_rows(template)
    found = {}
    for _, label in pairs:
        other = others.get(label.instance_id)
        if label.score is None or other is None:
            continue
        if not (np.array_equal(label.x, other.x) and np.array_equal(label.y, other.y)):
            raise TrainingError(
                f"an opinion at the {len(label.x)} points of {label.label_id}",
                f"one at {len(other.x)} points, others among them",
                "Make it from the same labels: densecorr opinion --labels LABELS.",
            )
        if other.template_id != label.template_id:
            raise TrainingError(
                f"an opinion on the template {label.template_id}",
                f"one on {other.template_id}",
                "Make it from the same labels: densecorr opinion --labels LABELS.",
            )
        one, two = (np.asarray(given.vertex, dtype=np.int64) for given in (label, other))
        known = (one >= 0) & (two >= 0)
        distance = np.ones(len(one))
        distance[known] = geodesic_pairs(rows, one[known], two[known, None])[:, 0] / template.diameter
        found[label.label_id] = distance
    return found


def filter_labels(
    pairs: list[tuple[DatasetInstance, LabelRecord]],
    rule: LabelFilter,
    apart: Mapping[str, np.ndarray] | None = None,
) -> list[tuple[DatasetInstance, LabelRecord]]:
    """The label sets that the filter keeps, the vertices of points it drops set to -1; unscored ones are all kept.

    Args:
        pairs: instances and their label sets.
        rule: what to keep.
        apart: distances to an opinion by label id (`distances_to`), which are then the risk.

    Raises:
        TrainingError: none is left.
    """
    given = [pair for pair in pairs if pair[1].score is None]
    usable = [
        (item, label)
        for item, label in pairs
        if label.score is not None
        and len(label.vertex)
        and (rule.mirrored or not label.extra.get("probably_mirrored"))
        and (apart is None or label.label_id in apart)
    ]
    if not usable and not given:
        raise TrainingError(
            "label sets that are not probably left for right",
            f"none among {len(pairs)}",
            "Look at them (`densecorr review open`); filter.mirrored = true keeps them.",
        )
    if not usable:
        return given
    calibrated = all(label.expected_error is not None for _, label in usable)
    if not calibrated and rule.max_expected_error is not None:
        raise TrainingError(
            "calibrated labels, as filter.max_expected_error asks for",
            "labels without an expected error",
            "Name a `calibrate` artifact in the pseudo-label stage, or leave the setting out.",
        )
    if apart is not None:
        risks = [apart[label.label_id] for _, label in usable]
        risk = np.array([float(points.mean()) for points in risks])
    elif calibrated:
        risks = [known(label.expected_error) for _, label in usable]
        risk = np.array([float(points.mean()) for points in risks])
    else:
        risks = [-known(label.score) for _, label in usable]
        cycle = [float(known(label.cycle_px).mean()) / max(item.instance.xywh[2:]) for item, label in usable]
        risk = uncalibrated_risk(np.array([-float(points.mean()) for points in risks]), np.array(cycle))
    kept = np.flatnonzero(select_instances(risk, rule.instances))
    highest = risk_threshold([risks[k] for k in kept], rule.points)
    chosen = []
    for k in kept:
        item, label = usable[k]
        use = (np.asarray(label.vertex) >= 0) & (risks[k] <= highest)
        if rule.max_expected_error is not None:
            use &= known(label.expected_error) <= rule.max_expected_error
        if use.any():
            chosen.append((item, replace(label, vertex=np.where(use, label.vertex, -1))))
    if not chosen and not given:
        raise TrainingError(
            f"points with an expected error up to {rule.max_expected_error}",
            f"none; the least is {min(float(known(label.expected_error).min()) for _, label in usable):.3f}",
            "Raise filter.max_expected_error, a share of the template's diameter.",
        )
    return given + chosen


def known(values: np.ndarray | None) -> np.ndarray:
    """A column of a label set as numbers; a single 0 for an absent one."""
    return np.zeros(1) if values is None else np.asarray(values, dtype=np.float64)
