"""Nearest-vertex and best-view search: the hot loops behind zero-shot labels, models and scoring.

Everything here is exact: the same argmax as the full product would give, without keeping the full product.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from .errors import SettingsError

Pooling = Literal["max", "mean", "best"]


def nearest_vertices(
    pixel_embedding: Float[Tensor, "P E"], vertex_embedding: Float[Tensor, "V E"], chunk: int = 8192
) -> Int[Tensor, " P"]:
    """The vertex of largest inner product for each pixel; the lowest id among equals.

    On the CPU faiss's fused L2 kernel does it: adding one coordinate that gives every vertex the same length
    turns the nearest neighbour into the largest product (Bachrach et al. 2014). Elsewhere the product is taken in
    chunks.
    """
    if pixel_embedding.device.type == "cpu":
        return _nearest_by_faiss(pixel_embedding.detach(), vertex_embedding.detach())
    return _nearest_by_product(pixel_embedding.detach(), vertex_embedding.detach(), chunk)


def _nearest_by_faiss(pixels: Float[Tensor, "P E"], vertices: Float[Tensor, "V E"]) -> Int[Tensor, " P"]:
    import faiss

    squared = vertices.float().square().sum(dim=1)
    lift = (squared.max() - squared).clamp(min=0).sqrt()[:, None]
    lifted = torch.cat([vertices.float(), lift], dim=1).contiguous()
    # a query's length changes nothing; at the vertices' length, distances keep the most digits of the product
    directions = normalize(pixels.float(), dim=1) * squared.max().sqrt()
    queries = torch.cat([directions, torch.zeros(len(pixels), 1)], dim=1).contiguous()
    index = faiss.IndexFlatL2(lifted.shape[1])
    index.add(lifted.numpy())
    return torch.from_numpy(index.search(queries.numpy(), 1)[1][:, 0].copy())


def _nearest_by_product(
    pixels: Float[Tensor, "P E"], vertices: Float[Tensor, "V E"], chunk: int
) -> Int[Tensor, " P"]:
    best = [
        (pixels[start : start + chunk] @ vertices.T).argmax(dim=1) for start in range(0, len(pixels), chunk)
    ]
    return torch.cat(best) if best else torch.empty(0, dtype=torch.int64, device=pixels.device)


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
    owned = similarity.masked_fill(views.owner[None] < 0, -2.0)
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
    score, row = similarity.masked_fill(views.owner[None] < 0, -2.0).max(dim=1)
    view = torch.from_numpy(np.searchsorted(views.starts, row.numpy(), side="right") - 1)
    return Matches(views.owner[row], score, view)


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
    cell = views.cell
    cell = cell if vertices is None else cell[:, vertices]
    by_row = similarity.T.contiguous()  # a vertex's scores for all queries lie together
    pooled = torch.full((cell.shape[1], similarity.shape[0]), -2.0 if pooling != "mean" else 0.0)
    count = torch.zeros(cell.shape[1])
    for row in cell:
        seen = torch.nonzero(row >= 0).squeeze(1)
        values = by_row[row[seen]]
        if pooling == "mean":
            pooled[seen] += values
            count[seen] += 1
        else:
            pooled[seen] = torch.maximum(pooled[seen], values)
    if pooling == "mean":
        pooled = torch.where(count[:, None] > 0, pooled / count.clamp(min=1)[:, None], -2.0)
    return pooled.T
