"""Nearest-vertex and best-view search: the hot loops behind zero-shot labels, models and scoring.

Everything here is exact: the same argmax as the full product would give, without keeping the full product.
"""

from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import embedding_bag, normalize, pad

from .errors import SettingsError, TrainingError

Pooling = Literal["max", "mean", "best"]


def nearest_vertices(
    pixel_embedding: Float[Tensor, "P E"], vertex_embedding: Float[Tensor, "V E"], chunk: int = 8192
) -> Int[Tensor, " P"]:
    """The vertex of largest inner product for each pixel, in float32; the lowest id among equal embeddings.

    On the CPU faiss's fused L2 kernel does it: one coordinate more gives all vertices the same length, and then
    the nearest neighbour is the largest product (Bachrach et al. 2014). Elsewhere products are taken in chunks.

    Raises:
        TrainingError: an embedding is not finite.
    """
    if pixel_embedding.device.type == "cpu":
        vertex = _nearest_by_faiss(pixel_embedding.detach(), vertex_embedding.detach())
    else:
        vertex = _nearest_by_product(pixel_embedding.detach(), vertex_embedding.detach(), chunk)
    n_lost = int((vertex < 0).sum())
    if n_lost:
        raise TrainingError(
            "finite embeddings",
            f"NaN or infinity at {n_lost} of {len(vertex)} pixels",
            "The model has diverged: train it again with a lower learning rate.",
        )
    return vertex


def _nearest_by_faiss(pixels: Float[Tensor, "P E"], vertices: Float[Tensor, "V E"]) -> Int[Tensor, " P"]:
    import faiss

    squared = vertices.float().square().sum(dim=1)
    largest = squared.max()
    # a query's length changes nothing; at the vertices' length, distances keep the most digits of the product
    queries = normalize(pixels.float(), dim=1) * largest.sqrt()
    points = vertices.float()
    if float(largest - squared.min()) > 1e-6 * float(largest):  # not unit vectors
        points = torch.cat([points, (largest - squared).clamp(min=0).sqrt()[:, None]], dim=1)
        queries = pad(queries, (0, 1))
    index = faiss.IndexFlatL2(points.shape[1])
    index.add(points.contiguous().numpy())
    nearest = torch.from_numpy(index.search(queries.contiguous().numpy(), 1)[1][:, 0].copy())  # -1: NaN
    first = _first_equal(vertices.float())
    return nearest if first is None else torch.where(nearest < 0, -1, first[nearest])


def _nearest_by_product(
    pixels: Float[Tensor, "P E"], vertices: Float[Tensor, "V E"], chunk: int
) -> Int[Tensor, " P"]:
    best = [(part @ vertices.T).max(dim=1) for part in pixels.split(chunk)]
    return torch.cat([torch.where(part.values.isfinite(), part.indices, -1) for part in best])


def _first_equal(vertices: Float[Tensor, "V E"]) -> Int[Tensor, " V"] | None:
    """For each vertex the lowest one with the same embedding; None if all differ, which a hash mostly tells."""
    bits = (vertices + 0.0).contiguous().numpy().view(np.int32)  # + 0.0: no negative zeros
    odd = np.random.default_rng(0).integers(1, 2**62, bits.shape[1]) | 1
    hashes = (bits * odd).sum(axis=1)
    if len(np.unique(hashes)) == len(hashes):
        return None
    _, first, same = np.unique(bits, axis=0, return_index=True, return_inverse=True)
    return torch.from_numpy(first[same])


@dataclass(frozen=True)
class ViewFeatures:
    """A template's features under one extractor, one row a foreground cell, all views after one another.

    Attributes:
        rows: (N_rows, C) unit vectors.
        starts: (n_views + 1,) where each view's rows begin.
        cell: (n_views, K) the row of the cell that each of K vertices falls into, -1 where it is not visible.
        owner: (N_rows,) index in [0, K) of the visible vertex that projects nearest the cell's centre, -1 if none.
        vertices: (K,) template vertex ids.
        angles: (n_views, 2) azimuth and elevation of each view, degrees.
    """

    rows: Tensor
    starts: np.ndarray
    cell: Tensor
    owner: Tensor
    vertices: np.ndarray
    angles: np.ndarray

    def select(self, views: np.ndarray) -> "ViewFeatures":
        """Only these views, in this order."""
        keep = [np.arange(int(self.starts[view]), int(self.starts[view + 1])) for view in views]
        starts = np.concatenate([[0], np.cumsum([len(rows) for rows in keep])])
        index = torch.from_numpy(np.concatenate(keep)) if keep else torch.empty(0, dtype=torch.int64)
        shift = torch.from_numpy(starts[:-1] - self.starts[views])[:, None]
        cell = self.cell[torch.from_numpy(views)]
        return ViewFeatures(
            self.rows[index],
            starts,
            torch.where(cell >= 0, cell + shift, -1),
            self.owner[index],
            self.vertices,
            self.angles[views],
        )


@dataclass(frozen=True)
class Matches:
    """Per query: the index of its vertex in [0, K), its score, and the view that score comes from."""

    vertex: Tensor
    score: Tensor
    view: Tensor


def row_similarity(queries: Float[Tensor, "P C"], views: ViewFeatures) -> Float[Tensor, "P N"]:
    """Cosine similarity of unit queries with each foreground cell of each view (SHIC eq. 2 before pooling)."""
    return queries @ views.rows.T


def best_view(similarity: Float[Tensor, "P N"], views: ViewFeatures) -> int:
    """The view whose best cells score highest on average over the queries."""
    unowned = views.owner < 0
    owned = similarity.masked_fill(unowned[None], -2.0) if bool(unowned.any()) else similarity
    means = [
        float(owned[:, start:end].max(dim=1).values.mean()) if end > start else -2.0
        for start, end in zip(views.starts[:-1], views.starts[1:], strict=True)
    ]
    return int(np.argmax(means))


def match_rows(similarity: Float[Tensor, "P N"], views: ViewFeatures) -> Matches:
    """The best vertex of each query under max pooling, found on cells instead of vertices.

    Vertices of a view that share a cell share its feature, so the best cell's owner is the best vertex: exact,
    and as many times cheaper as there are vertices in a cell. Ties in a cell go to the vertex nearest its centre.
    """
    row = torch.from_numpy(similarity.numpy().argmax(axis=1))  # numpy's argmax is several times torch's speed
    again = torch.nonzero(views.owner[row] < 0).squeeze(1)  # a cell that no vertex falls into won
    if len(again):
        row[again] = similarity[again].masked_fill(views.owner[None] < 0, -2.0).argmax(dim=1)
    view = torch.from_numpy(np.searchsorted(views.starts, row.numpy(), side="right") - 1)
    return Matches(views.owner[row], similarity.gather(1, row[:, None]).squeeze(1), view)


def match_queries(queries: Float[Tensor, "P C"], views: ViewFeatures, limit_mb: int = 256) -> Matches:
    """`match_rows` of `row_similarity`, as many queries at a time as keep the similarities below the limit."""
    at_once = max(1, limit_mb * 2**20 // (4 * max(1, len(views.rows))))
    parts = [match_rows(row_similarity(block, views), views) for block in queries.split(at_once)]
    return Matches(*(torch.cat([getattr(part, f.name) for part in parts]) for f in fields(Matches)))


def pool_vertices(
    similarity: Float[Tensor, "P N"],
    views: ViewFeatures,
    pooling: Pooling,
    vertices: Int[Tensor, " K"] | None = None,
) -> Float[Tensor, "P K"]:
    """Pooled score of each query with each vertex (SHIC eq. 2), over the views that see the vertex.

    It is -2 where no view does. `vertices` restricts the answer to some of [0, K).
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
    return pooled.masked_fill((n_seen == 0)[:, None], -2.0).T
