"""From several reviewers' states to one reviewed label set; where they differ is kept beside it.

What every rule shares:
  Votes. Accept keeps the label set, reject and not_visible drop it; unsure, skip and no verdict do not count.
  Conflicts. Every difference between those who decided is listed, `settled` if the rule has an answer. An unsettled
  verdict gives no label set, so that nothing is trained on before someone decides.
  Masks. Of those who accept and changed the object's mask, the one whose review is the latest: most look at the points
  alone, so that a mask which was left as it was is no vote for it. `Senior` and `Latest` take that reviewer's.
  Agreement. Two vertices agree within a geodesic distance; an unknown vertex (-1) agrees with unknown ones only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from densecorr.evaluation.scored import GeodesicRows
from densecorr.records import LabelRecord

from .masks import OBJECT, polygons_area
from .reviewers import Review
from .state import PointState, ReviewState, initial_state, reviewed_label
from .votes import Vote, geodesics_between, split_added, vote_on_point


@dataclass(frozen=True)
class Majority:
    """Most reviewers win: the verdict first, then each point among those who accept.

    A point's vertex is the medoid of the largest cluster of their vertices (single linkage at `agree_within`), with
    the pixel of the reviewer who chose it. Deleted if over half deleted it, visible if over half see it; half and half
    leaves both as they were. Points that reviewers add are kept, for nobody else was shown them: additions within
    `same_px` of each other are one point.

    Attributes:
        on_tie: where the largest clusters are equally large, leave the point out (`drop`: a wrong label costs more than
            a missing one) or keep the label set's own (`label`).
        same_px: pixels.
    """

    kind: Literal["majority"] = "majority"
    on_tie: Literal["drop", "label"] = "drop"
    same_px: float = 3.0


@dataclass(frozen=True)
class Senior:
    """The first of `order` who decided, verdict and points; `Majority` where none of them did."""

    order: tuple[str, ...]
    kind: Literal["senior"] = "senior"


@dataclass(frozen=True)
class Latest:
    """Who decided last, verdict and points; of two at the same time the first by name."""

    kind: Literal["latest"] = "latest"


Rule = Majority | Senior | Latest


@dataclass(frozen=True)
class Conflict:
    """A difference between reviewers about a label set (`point_id` None: its verdict, or the object's mask).

    `values` holds what each said: a vertex, a verdict's action, whether the point is there or visible, or the mask's
    area in square pixels (None: the data set's mask).
    """

    instance_id: str
    label_id: str
    what: Literal["verdict", "exists", "visible", "vertex", "mask"]
    values: dict[str, Any]
    settled: bool
    point_id: int | None = None


@dataclass(frozen=True)
class Resolution:
    """The reviewed label set, None if dropped or undecided; whether it was accepted; all differences."""

    label: LabelRecord | None
    accepted: bool | None
    conflicts: tuple[Conflict, ...]


def resolve(
    label: LabelRecord,
    reviews: Sequence[Review],
    rule: Rule,
    rows: GeodesicRows,
    agree_within: float,
    label_id: str,
    producer: str,
) -> Resolution:
    """One reviewed label set (source `correction`) from all reviews of a label set; their order does not matter.

    Args:
        label: as it was reviewed.
        reviews: one a reviewer (`reviewers.reviews_of`).
        rule: which.
        rows: geodesic distances of the template.
        agree_within: distance up to which two vertices say the same, in the unit of `rows`.
        label_id: of the result.
        producer: of the result.
    """
    decided = sorted((r for r in reviews if r.vote is not None), key=lambda review: review.reviewer)
    chief = _chief(decided, rule)
    accepted = _verdict(decided) if chief is None else chief.vote
    conflicts = []
    if len({review.vote for review in decided}) > 1:
        said = {review.reviewer: (review.state.verdict or {})["action"] for review in decided}
        conflicts.append(Conflict(label.instance_id, label.label_id, "verdict", said, accepted is not None))
    accepting = [review for review in decided if review.vote]
    majority = rule if isinstance(rule, Majority) else Majority()
    state, votes = _merge(label, accepting, majority, rows, agree_within)
    for point_id, vote in votes.items():
        for what, values, settled in vote.differences:
            conflicts.append(
                Conflict(
                    label.instance_id,
                    label.label_id,
                    what,
                    values,
                    settled or chief is not None,
                    point_id,
                )
            )
    drawn = _drawn(label, accepting)
    masks = {review.reviewer: review.state.parts.get(OBJECT) for review in drawn}
    if any(one != other for one, other in pairwise(masks.values())):
        areas = {name: None if mask is None else polygons_area(mask) for name, mask in masks.items()}
        conflicts.append(Conflict(label.instance_id, label.label_id, "mask", areas, True))
    if not accepted:
        return Resolution(None, accepted, tuple(conflicts))
    if chief is not None:
        state = chief.state
    elif drawn:
        state = replace(state, parts=max(drawn, key=lambda review: review.time).state.parts)
    return Resolution(reviewed_label(label, state, label_id, producer), True, tuple(conflicts))


def _chief(decided: Sequence[Review], rule: Rule) -> Review | None:
    """The one reviewer whose word the rule takes, if it takes one's."""
    if isinstance(rule, Senior):
        rank = {name: place for place, name in enumerate(rule.order)}
        return min(
            (r for r in decided if r.reviewer in rank), key=lambda review: rank[review.reviewer], default=None
        )
    if isinstance(rule, Latest):
        return max(decided, key=lambda review: review.time, default=None)
    return None


def _drawn(label: LabelRecord, accepting: Sequence[Review]) -> list[Review]:
    """The reviews that changed the object's mask."""
    before = initial_state(label).parts.get(OBJECT)
    return [review for review in accepting if review.state.parts.get(OBJECT) != before]


def _verdict(decided: Sequence[Review]) -> bool | None:
    """What over half say; None for a tie, or without a vote."""
    balance = sum(1 if review.vote else -1 for review in decided)
    return None if balance == 0 else balance > 0


def _merge(
    label: LabelRecord,
    accepting: Sequence[Review],
    rule: Majority,
    rows: GeodesicRows,
    agree_within: float,
) -> tuple[ReviewState, dict[int, Vote]]:
    """The state of the majority and the vote on each point."""
    before = initial_state(label)
    added = split_added(
        {review.reviewer: review.state.points for review in accepting}, set(before.points), rule.same_px
    )
    ballots: dict[int, dict[str, PointState | None]] = {
        point_id: {review.reviewer: review.state.points.get(point_id) for review in accepting}
        for point_id in before.points
    }
    first = max(before.points, default=-1) + 1
    ballots.update({first + index: dict(ballot) for index, ballot in enumerate(added)})
    place, D = _distances(ballots, rows)
    votes = {
        point_id: vote_on_point(ballot, before.points.get(point_id), place, D, agree_within, rule.on_tie)
        for point_id, ballot in sorted(ballots.items())
    }
    points = {point_id: vote.point for point_id, vote in votes.items() if vote.point is not None}
    return replace(before, points=points), votes


def _distances(
    ballots: Mapping[int, Mapping[str, PointState | None]], rows: GeodesicRows
) -> tuple[dict[int, int], Float[np.ndarray, "n n"]]:
    """Distances between the vertices about which reviewers differ, and each one's row."""
    contested: set[int] = set()
    for ballot in ballots.values():
        vertices = {point.vertex for point in ballot.values() if point is not None}
        if len(vertices) > 1:
            contested |= vertices
    return geodesics_between(contested - {-1}, rows)
