"""A unit ball with exact geodesics (great circles), label sets on it, and acts of named reviewers."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property
from itertools import count

import numpy as np

from densecorr.records import Decision, LabelRecord
from densecorr.review.acts import new_decision_id
from densecorr.review.state import PointState, replay

START = datetime(2026, 1, 1, tzinfo=UTC)
_clock = count()


@dataclass(frozen=True, eq=False)
class Ball:
    """Vertices spread evenly, mirror symmetric in x; everything an evaluation asks of a template."""

    V: np.ndarray
    mirror: np.ndarray
    unit: str = "m"
    diameter: float = float(np.pi)
    mirror_residual: float = 0.0

    @cached_property
    def D(self) -> np.ndarray:
        """Great circles; made when first asked for, as it is large."""
        D = np.arccos(np.clip(self.V @ self.V.T, -1, 1)).astype(np.float32)
        np.fill_diagonal(D, 0)
        return D

    def rows(self, ids: np.ndarray) -> np.ndarray:
        return self.D[ids]

    def at(self, *xyz: float) -> int:
        """The vertex nearest to a direction."""
        return int(np.argmax(self.V @ np.array(xyz)))


@cache
def make_ball(n: int = 2000) -> Ball:
    i = np.arange(n // 2)
    x = 1 - (2 * i + 1) / n
    angle = np.pi * (3 - 5**0.5) * i
    half = np.stack([x, np.cos(angle) * np.sqrt(1 - x**2), np.sin(angle) * np.sqrt(1 - x**2)], axis=1)
    V = np.concatenate([half, half * [-1, 1, 1]])
    return Ball(V, np.roll(np.arange(n), n // 2))


def make_label(vertices: Sequence[int] | np.ndarray, name: str = "a", **extra: object) -> LabelRecord:
    """Points 10 pixels apart on a line."""
    vertex = np.array(vertices, np.int64)
    x = 10 * np.arange(len(vertex), dtype=np.float32)
    y = np.full(len(vertex), 5, np.float32)
    label_id = f"label-{name}"
    return LabelRecord(label_id, f"instance-{name}", "ball", "zero_shot", "t", x, y, vertex, **extra)  # type: ignore


def act(
    label: LabelRecord, reviewer: str, action: str, after: dict, before: dict | None = None, **more: object
) -> Decision:
    """An act; `before` is only needed where a test reads it."""
    fields: dict = {"seconds": 1.0, "time": START + timedelta(seconds=next(_clock)), **more}
    before = dict.fromkeys(after) if before is None else before
    return Decision(
        decision_id=new_decision_id(),
        dataset_id="d",
        instance_id=label.instance_id,
        label_id=label.label_id,
        template_id=label.template_id,
        producer=label.producer,
        action=action,
        reviewer=reviewer,
        before=before,
        after=after,
        **fields,
    )


def verdict(label: LabelRecord, reviewer: str, action: str = "accept", **more: object) -> Decision:
    return act(label, reviewer, action, {"verdict": {"action": action, "reason": None}}, **more)


def assign(
    label: LabelRecord, reviewer: str, point_id: int, vertex: int | None, **changes: object
) -> Decision:
    """Give a point of the label set a vertex (None: delete it), or change its place and visibility."""
    old = {"x": float(label.x[point_id]), "y": float(label.y[point_id]), "visible": True}
    point = None if vertex is None else {**old, "vertex": vertex, **changes}
    action = "delete" if vertex is None else "assign"
    return act(label, reviewer, action, {"points": {str(point_id): point}}, point_id=point_id)


def corrections(
    label: LabelRecord, reviewer: str, vertices: dict[int, int | None], says: str = "accept"
) -> list:
    """A whole review: the points it changes, and its verdict."""
    return [*(assign(label, reviewer, i, v) for i, v in vertices.items()), verdict(label, reviewer, says)]


def points_after(label: LabelRecord, decisions: Sequence[Decision]) -> dict[int, PointState]:
    return replay(label, list(decisions)).points
