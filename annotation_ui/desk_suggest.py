"""Suggested corrections: what a point's confident neighbours say, and what another label set says."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from densecorr.records import LabelRecord
from densecorr.review.state import ReviewState, initial_state
from densecorr.templates.stored import Template

from .desk_instance import known_of_points
from .desk_template import nearest_vertices

_NEIGHBOURS = 8
_TOGETHER = 0.2  # diameters: neighbours further from the middle one are of another limb
_BLUR = 0.05  # diameters: the expected error, or misfit, at which confidence falls to 1 / e
_NEAR = 0.03  # share of the points' extent within which another label set's point says something of ours
_LEAST = 3  # neighbours together that say something; one or two can be of anything
_SURE = 0.35  # confidence below which neighbours are not worth a look
_WORTH = 0.03  # diameters: smaller corrections are not suggested unasked


def suggest(
    template: Template,
    label: LabelRecord,
    state: ReviewState,
    opinion: LabelRecord | None,
    point_id: int | None,
) -> list[dict[str, Any]]:
    """The suggestions for one point, or for all points where the suggestion is another place than theirs.

    None for a point whose vertex the reviewer has set: that is settled.

    Raises:
        KeyError: there is no such point.
    """
    wanted = sorted(state.points) if point_id is None else [point_id]
    if not wanted:
        return []
    evidence = gather_evidence(label, state)
    extent = float(np.ptp(evidence.xy, axis=0).max()) if len(evidence.xy) else 0.0
    found = []
    untouched = initial_state(label).points
    for key in wanted:
        point, known = state.points[key], untouched.get(key)
        if point.vertex >= 0 and (known is None or known.vertex != point.vertex):
            continue
        place = np.array([point.x, point.y])
        votes = {
            "neighbours": ask_neighbours(template, evidence, place, without=key),
            "model": None if opinion is None else ask_labels(template, opinion, place, extent),
        }
        for why, vote in votes.items():
            if vote is not None and (point_id is not None or _is_elsewhere(template, point.vertex, vote[0])):
                found.append(
                    {"point_id": key, "vertex": vote[0], "confidence": round(vote[1], 3), "why": why}
                )
    return found


@dataclass(frozen=True)
class Evidence:
    """The points of an instance that say something about others: ids, pixels, vertices, trust in [0, 1]."""

    ids: np.ndarray
    xy: Float[np.ndarray, "n 2"]
    vertices: np.ndarray
    trust: np.ndarray


def gather_evidence(label: LabelRecord, state: ReviewState) -> Evidence:
    """The visible points with vertices; those that the reviewer set are trusted most."""
    known = known_of_points(label, state)
    untouched = initial_state(label).points
    kept = [
        (key, point) for key, point in sorted(state.points.items()) if point.vertex >= 0 and point.visible
    ]
    return Evidence(
        np.array([key for key, _ in kept], int),
        np.array([(point.x, point.y) for _, point in kept], float).reshape(-1, 2),
        np.array([point.vertex for _, point in kept], int),
        np.array([confidence(*known[key]) if untouched.get(key) == point else 1.0 for key, point in kept]),
    )


def confidence(score: float | None, expected_error: float | None) -> float:
    """How far to trust a point, 0 to 1: by its expected error if it has one, else by its score."""
    if expected_error is not None:
        return float(np.exp(-max(expected_error, 0.0) / _BLUR))
    return 0.5 if score is None else float(np.clip(score, 0.0, 1.0))


def ask_neighbours(
    template: Template, evidence: Evidence, place: Float[np.ndarray, " 2"], without: int | None = None
) -> tuple[int, float] | None:
    """The vertex that the nearest confident points put at a place, and how far they agree; None if hardly.

    Of the nearest points those count that lie together on the template: around the one in the middle of the
    most trusted. The surface between them is taken as flat: an affine map from pixels to space, fitted to them.

    Args:
        template: of the labels.
        evidence: the points.
        place: in full-image pixels.
        without: the point that is asked about, which is no evidence.
    """
    xy, trust = evidence.xy, evidence.trust
    asked = np.flatnonzero(evidence.ids != without)
    if len(asked) == 0:
        return None
    confident = asked[trust[asked] >= np.median(trust[asked])]
    nearest = confident[np.argsort(np.hypot(*(xy[confident] - place).T))[:_NEIGHBOURS]]
    gaps = np.hypot(*(xy[nearest] - place).T)
    weight = trust[nearest] / (1.0 + (gaps / max(np.median(gaps), 1e-6)) ** 2) + 1e-9
    V = template.V[evidence.vertices[nearest]]
    apart = np.linalg.norm(V[:, None] - V[None], axis=2) / template.diameter
    middle = int((np.minimum(apart, _TOGETHER) @ weight).argmin())
    together = apart[middle] <= _TOGETHER
    agreement = float(weight[together].sum() / weight.sum())
    if together.sum() < _LEAST:
        return None
    position, misfit = _flat_position(xy[nearest][together] - place, V[together], weight[together])
    vertex = int(nearest_vertices(template, position[None])[0])
    blur = np.exp(-misfit / template.diameter / _BLUR)
    sure = float(agreement * blur * np.average(trust[nearest][together], weights=weight[together]))
    return (vertex, sure) if sure >= _SURE else None


def _flat_position(
    offsets: Float[np.ndarray, "n 2"], V: Float[np.ndarray, "n 3"], weight: np.ndarray
) -> tuple[Float[np.ndarray, " 3"], float]:
    """Where offset 0 lies, and the mean misfit, by an affine map from offsets to space; of few points the mean."""
    mean = np.average(V, axis=0, weights=weight)
    if len(V) < 4 or np.linalg.matrix_rank(offsets - offsets.mean(axis=0), tol=1e-3) < 2:
        return mean, float(np.average(np.linalg.norm(V - mean, axis=1), weights=weight))
    root = np.sqrt(weight)[:, None]
    design = np.column_stack([np.ones(len(V)), offsets])
    solution = np.linalg.lstsq(design * root, V * root, rcond=None)[0]
    misfit = np.average(np.linalg.norm(design @ solution - V, axis=1), weights=weight)
    low, high = V.min(axis=0), V.max(axis=0)  # beyond the neighbours the plane says little
    slack = 0.5 * (high - low)
    return np.clip(solution[0], low - slack, high + slack), float(misfit)


def ask_labels(
    template: Template, opinion: LabelRecord, place: Float[np.ndarray, " 2"], extent: float
) -> tuple[int, float] | None:
    """The vertex another label set has at a place: of its nearest point, if that is near enough."""
    rows = np.flatnonzero((opinion.vertex >= 0) & (opinion.vertex < len(template.V)))
    if len(rows) == 0:
        return None
    gaps = np.hypot(opinion.x[rows] - place[0], opinion.y[rows] - place[1])
    best = int(rows[gaps.argmin()])
    near = max(2.0, _NEAR * extent)
    if gaps.min() > near:
        return None
    trust = confidence(_value(opinion.score, best), _value(opinion.expected_error, best))
    return int(opinion.vertex[best]), trust * float(1.0 - 0.5 * gaps.min() / near)


def _value(column: np.ndarray | None, row: int) -> float | None:
    return float(column[row]) if column is not None and np.isfinite(column[row]) else None


def _is_elsewhere(template: Template, vertex: int, suggested: int) -> bool:
    if vertex < 0:
        return True
    gap = np.linalg.norm(template.V[vertex] - template.V[suggested])
    return bool(gap > _WORTH * template.diameter)
