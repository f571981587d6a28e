"""Matching an image's cells to a template's vertices over its rendered views (SHIC Sec. 3.3).

Vertices of a view that share a cell share its feature, so that work is done on cells: exact, and as many times
cheaper as there are vertices in a cell. Memory does not grow with the number of vertices times the number of pixels.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import embedding_bag

from .errors import SettingsError
from .view_features import Similarities, ViewFeatures

Pooling = Literal["max", "mean", "best"]
Far = Callable[[Tensor], Tensor]
"""Vertices (W,), indices in [0, K), to a mask (W, K) of those outside the geodesic ball around each."""

UNSEEN = -2.0  # below every cosine
APART = 59.0  # degrees between views that show another side
_CANDIDATES = 64  # cells compared anew after a product in bfloat16
_WINNERS = 128  # whose far rows are found at once
_BLOCK = 2**24  # pooled scores at a time


@dataclass(frozen=True)
class Matches:
    """The k best vertices of P queries, best first, and how far ahead the first is.

    Attributes:
        vertex: (P, k) indices in [0, K), distinct in a row; -1 where fewer than k vertices are seen.
        score: (P, k) pooled scores, `UNSEEN` behind -1; behind the first, max pooling gives the best among the cells
            that are the vertex's own.
        margin: (P,) the best score less the best one outside the ball around the best vertex.
    """

    vertex: Tensor
    score: Tensor
    margin: Tensor


def match_vertices(
    similarity: Similarities, picked: Int[Tensor, " P"], pooling: Pooling, far: Far | None = None, k: int = 1
) -> Matches:
    """The best vertices of some of the queries, pooled over the views that see each vertex (SHIC eq. 2).

    With max pooling the candidates are the cells' own vertices (the vertex nearest each cell's centre, then the
    lowest id); the first is the argmax over all vertices under that rule.

    Args:
        similarity: of all the image's cells.
        picked: queries to match, ascending.
        pooling: 'max' or 'mean'; for 'best' select the view with the highest `view_scores` first.
        far: for the margin, which is NaN without.
        k: how many vertices a query.
    """
    parts = []
    for start, block in similarity.blocks():
        inside = picked[(picked >= start) & (picked < start + len(block))]
        if len(inside):
            scores = block if len(inside) == len(block) else block[inside - start]
            if pooling == "max":
                parts.append(_match_cells(similarity, inside, scores, far, k))
            else:
                parts.append(_match_pooled(similarity.views, scores, pooling, far, k))
    empty = torch.empty(0, k, device=picked.device)
    parts = parts or [Matches(empty.long(), empty, empty[:, 0])]
    return Matches(
        *(torch.cat([getattr(part, name) for part in parts]) for name in ("vertex", "score", "margin"))
    )


def best_queries(
    similarity: Similarities, pooling: Pooling, vertices: Int[Tensor, " W"]
) -> Int[Tensor, " W"]:
    """The query that scores highest with each of some vertices (indices in [0, K)); the first among equals."""
    best = torch.full((len(vertices),), -torch.inf, device=vertices.device)
    query = torch.zeros_like(vertices)
    for start, block in similarity.blocks():
        top = pool_vertices(block, similarity.views, pooling, vertices).max(dim=0)
        better = top.values > best
        best = torch.where(better, top.values, best)
        query = torch.where(better, top.indices + start, query)
    return query


def view_scores(similarity: Similarities) -> Float[np.ndarray, " n_views"]:
    """How well each view fits the whole image: the mean over the queries of their best owned cell; `UNSEEN` if none."""
    views = similarity.views
    unowned = views.owner < 0
    sees = np.flatnonzero(np.diff(views.starts) > 0)
    total = np.full(len(views.starts) - 1, UNSEEN)
    total[sees] = 0.0
    for _, block in similarity.blocks():
        owned = block.masked_fill(unowned[None], UNSEEN) if bool(unowned.any()) else block
        for view in sees:
            start, end = int(views.starts[view]), int(views.starts[view + 1])
            total[view] += float(owned[:, start:end].max(dim=1).values.sum()) / len(similarity)
    return total


def view_lead(scores: Float[np.ndarray, " n_views"], angles: Float[np.ndarray, "n_views 2"]) -> float | None:
    """By how much the best view beats the best one from another side, `APART` degrees or more away; None without one.

    An image that two sides fit about equally well may be matched left for right or front for back.
    """
    azimuth, elevation = np.radians(angles.T)
    direction = np.stack(
        [np.cos(elevation) * np.sin(azimuth), np.sin(elevation), np.cos(elevation) * np.cos(azimuth)], axis=1
    )
    best = int(np.argmax(scores))
    elsewhere = direction @ direction[best] <= np.cos(np.radians(APART))
    return float(scores[best] - scores[elsewhere].max()) if elsewhere.any() else None


def _match_cells(
    similarity: Similarities,
    query: Int[Tensor, " P"],
    scores: Float[Tensor, "P N"],
    far: Far | None,
    k: int,
) -> Matches:
    """Max pooling, on cells; after a product in bfloat16 the best cells are compared in float32."""
    views = similarity.views
    if bool((views.owner < 0).any()):
        scores = scores.masked_fill(views.owner[None] < 0, UNSEEN)
    if similarity.precision == "bf16":
        some = scores.topk(min(scores.shape[1], max(_CANDIDATES, 8 * k)), dim=1).indices.sort(dim=1).values
        exact = similarity.exact(query, some).masked_fill(views.owner[some] < 0, UNSEEN)
        row, found, _ = _best_distinct(exact, some, views.owner, k)
    elif k == 1:
        row = _argmax(scores)[:, None]
        found = scores.gather(1, row)
    else:
        row, found = _distinct_rows(scores, views.owner, k)
    vertex = torch.where(row < 0, -1, views.owner[row.clamp(min=0)])
    if far is None:
        return Matches(vertex, found, torch.full_like(found[:, 0], torch.nan))
    runner_up = _best_far_row(views, scores, vertex[:, 0].clamp(min=0), far)
    return Matches(vertex, found, found[:, 0] - runner_up)


def _argmax(scores: Float[Tensor, "P N"]) -> Int[Tensor, " P"]:
    if scores.device.type == "cpu":  # numpy's argmax is several times torch's speed
        return torch.from_numpy(scores.numpy().argmax(axis=1))
    return scores.argmax(dim=1)


def _distinct_rows(
    scores: Float[Tensor, "P N"], owner: Int[Tensor, " N"], k: int
) -> tuple[Int[Tensor, "P k"], Float[Tensor, "P k"]]:
    """The best rows with k distinct owners, best first, and their scores; -1 and `UNSEEN` where there are fewer."""
    rows = torch.full((len(scores), k), -1, dtype=torch.int64, device=scores.device)
    found = torch.full((len(scores), k), UNSEEN, device=scores.device)
    short, width = torch.arange(len(scores), device=scores.device), 4 * k
    while len(short):
        width = min(width, scores.shape[1])
        some = scores[short]
        # with the argmax and in the order of rows: the first of equals comes first, however topk chooses
        top = torch.cat([_argmax(some)[:, None], some.topk(width, dim=1).indices], dim=1).sort(dim=1).values
        rows[short], found[short], enough = _best_distinct(some.gather(1, top), top, owner, k)
        short = short[~enough] if width < scores.shape[1] else short[:0]
        width *= 4
    return rows, found


def _best_distinct(
    value: Float[Tensor, "P w"], rows: Int[Tensor, "P w"], owner: Int[Tensor, " N"], k: int
) -> tuple[Int[Tensor, "P k"], Float[Tensor, "P k"], Bool[Tensor, " P"]]:
    """Of some rows the best with k distinct owners, best first, their scores, and whether there were k."""
    value, order = value.sort(dim=1, descending=True, stable=True)
    rows = rows.gather(1, order)
    fresh = _first_of_each(owner[rows]) & (value > UNSEEN)
    place = torch.where(fresh, fresh.cumsum(dim=1) - 1, k).clamp(max=k)
    best = torch.full((len(rows), k + 1), -1, dtype=torch.int64, device=rows.device).scatter_(1, place, rows)
    found = torch.full((len(rows), k + 1), UNSEEN, device=rows.device).scatter_(1, place, value)
    return best[:, :k], found[:, :k], fresh.sum(dim=1) >= k


def _first_of_each(values: Int[Tensor, "P w"]) -> Bool[Tensor, "P w"]:
    """Marks the first of equal values in each row."""
    ordered, order = values.sort(dim=1, stable=True)
    new = torch.ones_like(ordered, dtype=torch.bool)
    new[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    return torch.zeros_like(new).scatter_(1, order, new)


def _best_far_row(
    views: ViewFeatures, scores: Float[Tensor, "P N"], vertex: Int[Tensor, " P"], far: Far
) -> Float[Tensor, " P"]:
    """The best score among cells that hold a vertex outside the ball around each query's own vertex."""
    members, starts = views.members
    winners, mine = vertex.unique(return_inverse=True)
    out = torch.full((len(vertex),), UNSEEN, device=scores.device)
    for start in range(0, len(winners), _WINNERS):
        outside = far(winners[start : start + _WINNERS]).T.float().contiguous()  # (K, W)
        has_far = embedding_bag(members, outside, starts, mode="sum").T > 0  # (W, N)
        which = ((mine >= start) & (mine < start + _WINNERS)).nonzero()[:, 0]
        for some in which.split(_WINNERS):
            allowed = has_far[mine[some] - start]
            out[some] = scores[some].masked_fill_(~allowed, UNSEEN).max(dim=1).values
    return out


def _match_pooled(
    views: ViewFeatures, scores: Float[Tensor, "P N"], pooling: Pooling, far: Far | None, k: int
) -> Matches:
    """Mean pooling, a block of vertices at a time: once for the best, once more for the best far ones."""
    n_vertices = len(views.vertices)
    blocks = torch.arange(n_vertices, device=scores.device).split(max(1, _BLOCK // max(1, len(scores))))
    best = torch.full((len(scores), k), UNSEEN, device=scores.device)
    vertex = torch.full_like(best, -1, dtype=torch.int64)
    for some in blocks:
        pooled = pool_vertices(scores, views, pooling, some)
        top = pooled.topk(min(k, len(some)), dim=1) if k > 1 else pooled.max(dim=1, keepdim=True)
        value, order = torch.cat([best, top.values], dim=1).sort(dim=1, descending=True, stable=True)
        best = value[:, :k]
        vertex = torch.cat([vertex, some[top.indices]], dim=1).gather(1, order)[:, :k]
    vertex = vertex.masked_fill(best <= UNSEEN, -1)
    if far is None:
        return Matches(vertex, best, torch.full_like(best[:, 0], torch.nan))
    winners, mine = vertex[:, 0].clamp(min=0).unique(return_inverse=True)
    outside = far(winners)
    runner_up = torch.full((len(scores),), UNSEEN, device=scores.device)
    for some in blocks:
        pooled = pool_vertices(scores, views, pooling, some)
        allowed = outside[:, some][mine]
        runner_up = torch.maximum(runner_up, pooled.masked_fill(~allowed, UNSEEN).max(dim=1).values)
    return Matches(vertex, best, best[:, 0] - runner_up)


def pool_vertices(
    similarity: Float[Tensor, "P N"],
    views: ViewFeatures,
    pooling: Pooling,
    vertices: Int[Tensor, " K"] | None = None,
) -> Float[Tensor, "P K"]:
    """Pooled score of each query with each vertex (SHIC eq. 2), over the views that see the vertex.

    It is `UNSEEN` where no view does. `vertices` restricts the answer to some of [0, K).
    """
    if pooling not in ("max", "mean"):
        raise SettingsError(
            "pooling 'max' or 'mean'", repr(pooling), "For 'best', select the best view first."
        )
    cell = (views.cell if vertices is None else views.cell[:, vertices]).T
    seen = cell >= 0
    n_seen = seen.sum(dim=1)
    rows = cell[seen]  # vertex by vertex
    if vertices is None:
        by_row = similarity.T.contiguous()  # a row's similarities to all queries lie together
    else:
        used, rows = rows.unique(return_inverse=True)
        by_row = similarity[:, used].T.contiguous()
    pooled = embedding_bag(rows, by_row, n_seen.cumsum(0) - n_seen, mode=pooling)
    return pooled.masked_fill((n_seen == 0)[:, None], UNSEEN).T


def outside_ball(geodesics: Callable[[np.ndarray], np.ndarray], radius: float) -> Far:
    """The mask of vertices farther than `radius` from each, from rows of geodesic distances (same unit)."""

    def far(vertices: Int[Tensor, " W"]) -> Bool[Tensor, "W K"]:
        rows = geodesics(vertices.cpu().numpy())
        return torch.from_numpy(np.asarray(rows) > radius).to(vertices.device)

    return far
