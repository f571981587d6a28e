"""What was done in another tool, as the acts of a reviewer: the difference between a label set and a tool's file."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from densecorr.errors import AnnotationError
from densecorr.records import Decision, LabelRecord

from ..acts import check_decision, new_decision_id
from ..masks import OBJECT, TOLERANCE, check_mask, corrected_polygons, from_edges, same_mask
from ..state import PointState, ReviewState, replay
from .types import ToolInstance, ToolPoint


@dataclass(frozen=True)
class SentMask:
    """The mask that a tool was given: polygons in COCO's edge coordinates, in an image of this size (pixels)."""

    polygons: tuple[tuple[float, ...], ...]
    height: int
    width: int


@dataclass(frozen=True)
class Importer:
    """Whose acts they become, and when; `seconds` is the time spent on an object, 0 where the tool does not say."""

    dataset_id: str
    reviewer: str
    time: datetime
    seconds: float = 0.0
    file: str = ""  # a digest of the tool's file: the same act of the same file ends in the same digits
    n_vertices: int | None = None  # of the template; None leaves vertices unchecked above

    def decisions(
        self,
        label: LabelRecord,
        instance: ToolInstance,
        earlier: Sequence[Decision] = (),
        sent: SentMask | None = None,
    ) -> list[Decision]:
        """The acts that turn a label set, as this reviewer left it, into what the tool holds, then its acceptance.

        A point is found by its id, else by its place in the list where both have as many points; points that
        are left are new. A vertex that the tool lost stays as it was, and so does a mask that is gone; one that is not
        `same_mask` becomes an act `delineate`. None where this file was imported before.

        Args:
            label: the label set that was given to the tool.
            instance: what came back.
            earlier: the reviewer's decisions on the label set.
            sent: the mask that the tool was given; without it masks are passed over.

        Raises:
            AnnotationError: a vertex that the template does not have, a point id twice, a mask without a pixel.
        """
        if self.file and any(one.decision_id.endswith(self._tail(label, "accept", None)) for one in earlier):
            return []
        state = replay(label, earlier)
        held = {i: p for i, p in state.points.items() if instance.complete or (p.visible and p.vertex >= 0)}
        acts = list(_acts(held, _with_ids(state, held, instance.points)))
        if sent is not None and instance.polygons:
            acts += _mask_acts(label, state, from_edges(instance.polygons), sent)
        verdict = {"verdict": {"action": "accept", "reason": None}}
        acts.append(("accept", None, {"verdict": state.verdict}, verdict))
        made = [
            Decision(
                decision_id=new_decision_id(self._tail(label, action, point_id) if self.file else None),
                dataset_id=self.dataset_id,
                instance_id=label.instance_id,
                label_id=label.label_id,
                template_id=label.template_id,
                producer=label.producer,
                action=action,
                reviewer=self.reviewer,
                time=self.time,
                seconds=self.seconds / len(acts),
                point_id=point_id,
                before=before,
                after=after,
            )
            for action, point_id, before, after in acts
        ]
        for decision in made:
            check_decision(decision, self.n_vertices)
        return made

    def _tail(self, label: LabelRecord, action: str, point_id: int | None) -> str:
        text = "\0".join((self.file, self.reviewer, label.label_id, action, str(point_id)))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


_Act = tuple[str, int | None, dict, dict]


def _with_ids(
    state: ReviewState, held: Mapping[int, PointState], points: Sequence[ToolPoint]
) -> dict[int, ToolPoint]:
    if points and all(point.point_id is None for point in points) and len(points) == len(held):
        return dict(zip(held, points, strict=True))
    known: dict[int, ToolPoint] = {}
    fresh = []
    for point in points:
        if point.point_id is None:
            fresh.append(point)
        elif point.point_id in known:
            raise AnnotationError(
                "each point id once an object", f"{point.point_id} twice", "Give the copy no point id."
            )
        else:
            known[point.point_id] = point
    start = max((*state.points, *known), default=-1) + 1
    return {**known, **dict(enumerate(fresh, start))}


def _acts(held: Mapping[int, PointState], points: Mapping[int, ToolPoint]) -> Iterator[_Act]:
    for i, old in held.items():
        if i not in points:
            yield _act("delete", i, old, None)
            continue
        new = points[i]
        moved = max(abs(new.x - old.x), abs(new.y - old.y)) > TOLERANCE
        now = PointState(
            new.x if moved else old.x,
            new.y if moved else old.y,
            old.vertex if new.vertex is None else new.vertex,
            new.visible,
        )
        if now.vertex != old.vertex:
            yield _act("assign", i, old, now)
        elif moved or (now.visible and not old.visible):
            yield _act("move", i, old, now)
        elif now.visible != old.visible:
            yield _act("not_visible", i, old, now)
    for i in sorted(points.keys() - held.keys()):
        new = points[i]
        yield _act(
            "add", i, None, PointState(new.x, new.y, -1 if new.vertex is None else new.vertex, new.visible)
        )


def _mask_acts(
    label: LabelRecord, state: ReviewState, now: list[list[float]], sent: SentMask
) -> Iterator[_Act]:
    size = sent.height, sent.width
    held, exported = state.parts.get(OBJECT), from_edges(sent.polygons)
    try:
        if same_mask(now, exported if held is None else held, *size):
            return
        check_mask(now, *size)
    except AnnotationError as error:
        expected, received, remedy = error.args
        raise AnnotationError(expected, f"{received} (the mask of {label.instance_id})", remedy) from error
    after = corrected_polygons(label) if same_mask(now, exported, *size) else now
    yield "delineate", None, {"parts": {OBJECT: held}}, {"parts": {OBJECT: after}}


def _act(action: str, point_id: int, before: PointState | None, after: PointState | None) -> _Act:
    old, new = (
        {"points": {str(point_id): None if point is None else point.__dict__.copy()}}
        for point in (before, after)
    )
    return action, point_id, old, new
