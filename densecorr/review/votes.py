"""The vote of several reviewers on one point: is it there, can it be seen, which vertex is it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from densecorr.evaluation.scored import GeodesicRows

from .state import PointState


@dataclass(frozen=True)
class Vote:
    """The point as voted (None: not there) and what voters differ on: (what, value by reviewer, settled)."""

    point: PointState | None
    differences: tuple[tuple[Literal["exists", "visible", "vertex"], dict[str, Any], bool], ...]


def vote_on_point(
    ballot: Mapping[str, PointState | None],
    before: PointState | None,
    place: Mapping[int, int],
    D: Float[np.ndarray, "n n"],
    agree_within: float,
    on_tie: Literal["drop", "label"],
) -> Vote:
    """Count the votes (the rules are `resolver.Majority`'s).

    Args:
        ballot: the point as each reviewer has it, None where deleted; the order does not matter.
        before: as it was before the review; None for one that was added.
        place: row in D of each vertex that is not everyone's.
        D: geodesic distances between those.
        agree_within: in the unit of D.
        on_tie: what becomes of a point whose largest clusters are equally large.
    """
    held = {name: point for name, point in sorted(ballot.items()) if point is not None}
    differences: list[tuple[Literal["exists", "visible", "vertex"], dict[str, Any], bool]] = []
    if not held:
        return Vote(before if not ballot else None, ())
    if len(held) < len(ballot):
        tie = 2 * len(held) == len(ballot)
        differences.append(("exists", {name: name in held for name in sorted(ballot)}, not tie))
        if 2 * len(held) < len(ballot):
            return Vote(None, tuple(differences))
    seen = sum(point.visible for point in held.values())
    visible = (before is None or before.visible) if 2 * seen == len(held) else 2 * seen > len(held)
    if 0 < seen < len(held):
        said = {name: point.visible for name, point in held.items()}
        differences.append(("visible", said, 2 * seen != len(held)))
    winner, contested = _medoid(held, place, D, agree_within)
    if contested:
        said = {name: point.vertex for name, point in held.items()}
        differences.append(("vertex", said, winner is not None))
    if winner is None:
        return Vote(before if on_tie == "label" else None, tuple(differences))
    return Vote(PointState(winner.x, winner.y, winner.vertex, visible), tuple(differences))


def geodesics_between(
    vertices: Iterable[int], rows: GeodesicRows
) -> tuple[dict[int, int], Float[np.ndarray, "n n"]]:
    """Each vertex's row, and the distances between them, the mean of both directions."""
    ids = np.array(sorted(vertices), dtype=np.int64)
    if not len(ids):
        return {}, np.zeros((0, 0))
    D = np.asarray(rows(ids), dtype=np.float64)[:, ids]
    return {int(vertex): index for index, vertex in enumerate(ids)}, 0.5 * (D + D.T)


def split_added(
    points: Mapping[str, Mapping[int, PointState]], known: set[int], same_px: float
) -> list[Mapping[str, PointState]]:
    """The points that reviewers added, as one ballot a place, by place (y, then x).

    Ids that a label set does not have are each reviewer's own, so places decide: in order of place, an addition
    joins the nearest ballot begun within `same_px` pixels that its reviewer is not part of, or begins one.
    """
    rows = sorted(
        (point.y, point.x, name, point_id)
        for name, held in points.items()
        for point_id, point in held.items()
        if point_id not in known
    )
    places: list[tuple[float, float]] = []
    ballots: list[dict[str, PointState]] = []
    for y, x, name, point_id in rows:
        near = [
            (np.hypot(x - other_x, y - other_y), index)
            for index, (other_y, other_x) in enumerate(places)
            if name not in ballots[index]
        ]
        distance, index = min(near, default=(np.inf, -1))
        if distance > same_px:
            places.append((y, x))
            ballots.append({})
            index = len(ballots) - 1
        ballots[index][name] = points[name][point_id]
    return [*ballots]


def _medoid(
    held: Mapping[str, PointState], place: Mapping[int, int], D: Float[np.ndarray, "n n"], agree_within: float
) -> tuple[PointState | None, bool]:
    """The medoid of the largest cluster (None: a tie), and whether there is more than one cluster.

    Of equally central voters the one with the smallest vertex, then place, is taken: names play no part.
    """
    voters = sorted(held.values(), key=lambda point: (point.vertex, point.y, point.x))
    distance = np.array([[_distance(a.vertex, b.vertex, place, D) for b in voters] for a in voters])
    clusters = _components(distance <= agree_within)
    sizes = np.bincount(clusters)
    largest = np.flatnonzero(sizes == sizes.max())
    if len(largest) > 1:
        return None, True
    members = np.flatnonzero(clusters == largest[0])
    central = members[np.argmin(distance[np.ix_(members, members)].sum(axis=1))]
    return voters[central], len(sizes) > 1


def _components(near: np.ndarray) -> np.ndarray:
    """The connected component of each voter."""
    from scipy.sparse.csgraph import connected_components

    return connected_components(near, directed=False)[1]


def _distance(a: int, b: int, place: Mapping[int, int], D: Float[np.ndarray, "n n"]) -> float:
    if a == b:
        return 0.0
    return np.inf if -1 in (a, b) else float(D[place[a], place[b]])
