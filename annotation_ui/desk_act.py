"""An act as the panel sends it, made a decision."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

from densecorr.errors import AnnotationError
from densecorr.records import Decision, LabelRecord
from densecorr.review.acts import check_decision, new_decision_id
from densecorr.review.state import ReviewState, replay

from .desk_errors import DeskError

_KEYS = ("action", "point_id", "undoes", "after", "reason", "seconds")


def tail_of(act: Mapping[str, Any]) -> str | None:
    """The end of the decision id that an act's key stands for, so that an act that is sent twice is stored once."""
    key = act.get("key")
    return None if key is None else hashlib.sha256(str(key).encode()).hexdigest()[:16]


def check_addressee(act: Mapping[str, Any], dataset_id: str, reviewer: str) -> None:
    """Refuse an act that was meant for another App: ports are used again, and a page outlives its App.

    Raises:
        DeskError: it names another reviewer or data set (`version`: the page keeps the act).
    """
    named = (act.get("dataset", dataset_id), act.get("reviewer", reviewer))
    if named != (dataset_id, reviewer):
        raise DeskError(
            "version",
            f"acts of {reviewer} on {dataset_id}",
            f"one of {named[1]} on {named[0]}",
            "This page belongs to an App that was closed: open that one again, and reload the page.",
        )


def sent_before(act: Mapping[str, Any], decisions: Sequence[Decision]) -> Decision | None:
    """What was stored of an act that came before, if it did: a browser sends again when an answer is lost."""
    tail = tail_of(act)
    return None if tail is None else next((one for one in decisions if one.decision_id.endswith(tail)), None)


def make_decision(
    act: Mapping[str, Any],
    label: LabelRecord,
    decisions: Sequence[Decision],
    dataset_id: str,
    reviewer: str,
    n_vertices: int,
) -> Decision:
    """Check an act and turn it into a decision; `before` is what holds here, whatever the panel thought.

    Args:
        act: the object `act` of docs/review-protocol.md.
        label: the label set it is about.
        decisions: the reviewer's earlier ones on it.
        dataset_id: of the data set.
        reviewer: who acted.
        n_vertices: of the template.

    Raises:
        AnnotationError: an act that could not be replayed.
    """
    try:
        given = {key: act.get(key) for key in _KEYS}
        decision = Decision(
            decision_id=new_decision_id(tail_of(act)),
            dataset_id=dataset_id,
            instance_id=label.instance_id,
            label_id=label.label_id,
            template_id=label.template_id,
            producer=label.producer,
            action=str(given["action"]),
            reviewer=reviewer,
            time=datetime.now(UTC),
            seconds=float(given["seconds"] or 0.0),
            point_id=None if given["point_id"] is None else int(given["point_id"]),
            undoes=given["undoes"],
            after=given["after"] or {},
            reason=given["reason"] or None,
        )
        if decision.undoes is None:
            decision = replace(decision, before=_excerpt(replay(label, decisions), decision.after))
        else:
            decision = _undo(decision, label, decisions)
        check_decision(decision, n_vertices)
        _check_numbers(decision.after)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise _refused("an act as in docs/review-protocol.md", f"{error}") from error
    return decision


def _undo(decision: Decision, label: LabelRecord, decisions: Sequence[Decision]) -> Decision:
    """An undo with what it changes, found by replaying with and without it."""
    undone = next((act for act in decisions if act.decision_id == decision.undoes), None)
    if undone is None:
        raise DeskError(
            "input",
            "the id of an own act on this instance to undo",
            repr(decision.undoes),
            "Load the instance again.",
        )
    keys = undone.after
    before = _excerpt(replay(label, decisions), keys)
    after = _excerpt(replay(label, [*decisions, decision]), keys)
    return replace(decision, before=before, after=after)


def _excerpt(state: ReviewState, keys: Mapping[str, Any]) -> dict[str, Any]:
    """The patch that leads to a state, for the keys of another patch."""
    patch: dict[str, Any] = {}
    if "points" in keys:
        patch["points"] = {
            key: None if int(key) not in state.points else asdict(state.points[int(key)])
            for key in keys["points"]
        }
    if "verdict" in keys:
        patch["verdict"] = state.verdict
    if "regions" in keys:
        patch["regions"] = state.regions
    if "parts" in keys:
        patch["parts"] = {name: state.parts.get(name) for name in keys["parts"]}
    return patch


def _check_numbers(patch: Mapping[str, Any]) -> None:
    """Refuse positions that are no numbers, and polygons that are none."""
    for point in patch.get("points", {}).values():
        if point is not None and not (math.isfinite(point["x"]) and math.isfinite(point["y"])):
            raise _refused("finite positions", f"{point}")
    polygons = [
        *patch.get("regions", []),
        *(p for part in patch.get("parts", {}).values() for p in part or []),
    ]
    for polygon in polygons:
        if len(polygon) < 6 or len(polygon) % 2 or not all(math.isfinite(value) for value in polygon):
            raise _refused("polygons of three or more points as x, y, x, y, ...", f"{polygon}"[:80])


def _refused(expected: str, received: str) -> AnnotationError:
    return AnnotationError(expected, received, "The act was not stored; reload the panel and try again.")
