"""The state one reviewer's acts lead to: replayed from the label set, so that undo has no limit and nothing is lost."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from densecorr.records import Decision, LabelRecord

from .masks import KEY, OBJECT, corrected_polygons


@dataclass(frozen=True)
class PointState:
    """One point under review: full-image pixels (centres at integers), vertex (-1 unknown), whether it can be seen."""

    x: float
    y: float
    vertex: int
    visible: bool = True


@dataclass(frozen=True)
class ReviewState:
    """A label set under review: points by id, verdict (None while undecided), dropped regions, delineated parts.

    Regions and parts are lists of polygons (x, y, x, y, ...) in full-image pixels. The part `masks.OBJECT` is the mask
    of the whole object, where it is not the data set's.
    """

    points: dict[int, PointState]
    verdict: dict[str, Any] | None = None
    regions: list[list[float]] = field(default_factory=list)
    parts: dict[str, list[list[float]]] = field(default_factory=dict)


def initial_state(label: LabelRecord) -> ReviewState:
    """The label set before any act; points without ids are numbered from 0."""
    ids = np.arange(len(label.x)) if label.point_ids is None else label.point_ids
    seen = np.ones(len(label.x), bool) if label.visible is None else label.visible
    rows = zip(ids, label.x, label.y, label.vertex, seen, strict=True)
    points = {int(i): PointState(float(x), float(y), int(v), bool(s)) for i, x, y, v, s in rows}
    mask = corrected_polygons(label)
    return ReviewState(points, parts={} if mask is None else {OBJECT: mask})


def apply_patch(state: ReviewState, patch: dict[str, Any]) -> ReviewState:
    """The state after a patch (see `acts`)."""
    points = dict(state.points)
    for key, point in patch.get("points", {}).items():
        if point is None:
            points.pop(int(key), None)
        else:
            points[int(key)] = PointState(
                float(point["x"]), float(point["y"]), int(point["vertex"]), bool(point["visible"])
            )
    parts = {**state.parts, **patch.get("parts", {})}
    return replace(
        state,
        points=points,
        verdict=patch.get("verdict", state.verdict),
        regions=patch.get("regions", state.regions),
        parts={name: polygons for name, polygons in parts.items() if polygons is not None},
    )


def effective(decisions: Iterable[Decision]) -> list[Decision]:
    """The acts that count, in order: without undos and without what they undo (an undone undo is a redo)."""
    ordered = sorted(decisions, key=lambda decision: decision.decision_id)
    undone: set[str] = set()
    kept = []
    for decision in reversed(ordered):
        if decision.decision_id in undone:
            continue
        if decision.undoes is not None:
            undone.add(decision.undoes)
        else:
            kept.append(decision)
    return kept[::-1]


def replay(label: LabelRecord, decisions: Sequence[Decision]) -> ReviewState:
    """One reviewer's state of a label set: `after` of each act that counts, in order, on the label set."""
    state = initial_state(label)
    for decision in effective(decisions):
        state = apply_patch(state, decision.after)
    return state


def verdict_of(decisions: Iterable[Decision]) -> dict[str, Any] | None:
    """The verdict that one reviewer's decisions on a label set lead to."""
    verdict = None
    for act in effective(decisions):
        verdict = act.after.get("verdict", verdict)
    return verdict


def has_decided(verdict: dict[str, Any] | None) -> bool:
    """Whether a verdict is one that decides: a skip leaves that to later, or to others."""
    return verdict is not None and verdict["action"] != "skip"


def reviewed_label(
    label: LabelRecord, state: ReviewState, label_id: str, producer: str, weight: float = 1.0
) -> LabelRecord:
    """The label set as reviewed, source `correction`: points in the order of their ids, the unseen kept as such.

    It carries the object's mask where that is not the data set's (`masks.corrected_polygons`).
    What was known of points that moved or changed (score, margin, part, u, v, ...) is dropped: it was said of
    the old ones.
    """
    ids = sorted(state.points)
    points = [state.points[i] for i in ids]
    mask = {KEY: state.parts[OBJECT]} if OBJECT in state.parts else {}
    return LabelRecord(
        label_id=label_id,
        instance_id=label.instance_id,
        template_id=label.template_id,
        source="correction",
        producer=producer,
        x=np.array([p.x for p in points], np.float32),
        y=np.array([p.y for p in points], np.float32),
        vertex=np.array([p.vertex for p in points], np.int64),
        point_ids=np.array(ids, np.int64),
        visible=np.array([p.visible for p in points], bool),
        weight=weight,
        extra={"reviewed": label.label_id, **mask},
    )
