"""The acts of a review and their ids. An act is a `Decision` whose `before` and `after` are patches.

A patch is a JSON object with any of the keys of a review state; what it does not name stays as it is:

    points   {point id: {"x", "y", "vertex", "visible"} or null}   full-image pixels; null: no such point
    verdict  {"action", "reason"} or null                          accept, reject, skip, unsure, not_visible
    regions  [[x, y, x, y, ...], ...]                              all regions dropped so far, as polygons
    parts    {part name: [[x, y, ...], ...] or null}               delineated parts, as polygons; `masks.OBJECT`
                                                                   is the whole object's mask

`after` is what holds once the act is done, `before` what held until then, for the same keys.
"""

import secrets
import time
from typing import Any

from densecorr.errors import AnnotationError
from densecorr.records import Decision

VERDICTS = ("accept", "reject", "skip", "unsure", "not_visible")
POINT_ACTS = ("not_visible", "assign", "move", "add", "delete")
ACTIONS = (*VERDICTS, "assign", "move", "add", "delete", "mirror", "drop_region", "delineate", "undo")
_KEYS = {"points", "verdict", "regions", "parts"}
_POINT = {"x", "y", "vertex", "visible"}
_last = 0


def new_decision_id(tail: str | None = None) -> str:
    """A unique id; those made in one process, or after one another on one clock, sort in the order they were made.

    Args:
        tail: its last 16 hexadecimal digits, by which an act that is imported again is known; random if None.
    """
    global _last
    _last = max(time.time_ns(), _last + 1)
    return f"{_last:016x}{tail or secrets.token_hex(8)}"


def check_decision(decision: Decision, n_vertices: int | None = None) -> None:
    """Refuse an act that could not be replayed.

    Args:
        decision: the act.
        n_vertices: of the template; None leaves vertices unchecked above.

    Raises:
        AnnotationError: an unknown action, a patch that is not one, a vertex the template does not have, an
            undo of nothing, an act on a point that names none.
    """
    if decision.action not in ACTIONS:
        raise _refuse(f"an action among {', '.join(ACTIONS)}", repr(decision.action))
    if (decision.action == "undo") != (decision.undoes is not None):
        raise _refuse(
            "`undoes` with the action undo, and only there", f"{decision.action}, {decision.undoes}"
        )
    if decision.action in POINT_ACTS and decision.action != "not_visible" and decision.point_id is None:
        raise _refuse("a point_id", f"none for '{decision.action}'")
    if not decision.seconds >= 0:
        raise _refuse("seconds >= 0", repr(decision.seconds))
    if set(decision.before) != set(decision.after):
        raise _refuse(
            "the same keys before and after", f"{sorted(decision.before)}, {sorted(decision.after)}"
        )
    for patch in (decision.before, decision.after):
        _check_patch(patch, n_vertices)


def _check_patch(patch: dict[str, Any], n_vertices: int | None) -> None:
    if not set(patch) <= _KEYS:
        raise _refuse(f"a patch of {', '.join(sorted(_KEYS))}", f"{sorted(set(patch) - _KEYS)}")
    for key, point in patch.get("points", {}).items():
        if not str(key).isdecimal():
            raise _refuse("point ids from 0 on", repr(key))
        if point is None:
            continue
        if set(point) != _POINT:
            raise _refuse(f"points with {', '.join(sorted(_POINT))}", str(point))
        if not -1 <= point["vertex"] < (float("inf") if n_vertices is None else n_vertices):
            raise _refuse(f"a vertex in [-1, {n_vertices})", str(point["vertex"]))
    verdict = patch.get("verdict")
    if verdict is not None and verdict.get("action") not in VERDICTS:
        raise _refuse(f"a verdict among {', '.join(VERDICTS)}", str(verdict))


def _refuse(expected: str, received: str) -> AnnotationError:
    return AnnotationError(expected, received, "The act was not stored; reload the panel and try again.")
