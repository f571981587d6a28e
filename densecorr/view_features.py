"""A template's features under one extractor, view by view, and the similarities of an image's cells with them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

MatchPrecision = Literal["fp32", "bf16"]
_CHUNK_MB = 32  # of float32 rows at a time, where they are kept as float16
_KEPT_SELECTIONS = 4


@dataclass(frozen=True)
class ViewFeatures:
    """A template's features under one extractor, one row a foreground cell, all views after one another.

    Attributes:
        rows: (N_rows, C) unit vectors, float32 or float16.
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
        """Only these views, in this order; the last few selections of several views are kept."""
        key = tuple(int(view) for view in views)
        if key in self._selected:
            return self._selected[key]
        some = self._select(views)
        if len(key) > 1:
            if len(self._selected) == _KEPT_SELECTIONS:
                self._selected.clear()
            self._selected[key] = some
        return some

    @cached_property
    def _selected(self) -> dict[tuple[int, ...], "ViewFeatures"]:
        return {}

    def _select(self, views: np.ndarray) -> "ViewFeatures":
        index = self.rows_of(views)
        lengths = np.diff(self.starts)[views]
        starts = np.concatenate([[0], np.cumsum(lengths)])
        shift = torch.from_numpy(starts[:-1] - self.starts[views])[:, None].to(self.cell.device)
        cell = self.cell[torch.from_numpy(views)]
        return ViewFeatures(
            self.rows[index],
            starts,
            torch.where(cell >= 0, cell + shift, -1),
            self.owner[index],
            self.vertices,
            self.angles[views],
        )

    def rows_of(self, views: np.ndarray) -> Tensor:
        """The rows of these views, in their order."""
        parts = [np.arange(int(self.starts[view]), int(self.starts[view + 1])) for view in views]
        index = np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)
        return torch.from_numpy(index.astype(np.int64)).to(self.rows.device)

    def to(self, device: str | torch.device) -> "ViewFeatures":
        """The same on another device."""
        return replace(
            self, rows=self.rows.to(device), cell=self.cell.to(device), owner=self.owner.to(device)
        )

    @cached_property
    def members(self) -> tuple[Tensor, Tensor]:
        """The vertices of each row one after another (indices in [0, K)), and where each row's begin (N_rows,)."""
        seen = self.cell >= 0
        row, vertex = self.cell[seen], seen.nonzero()[:, 1]
        order = row.argsort(stable=True)
        counts = torch.bincount(row, minlength=len(self.rows))
        return vertex[order], counts.cumsum(0) - counts


class Similarities:
    """Cosine similarities of Q unit queries with every row of the views (SHIC eq. 2 before pooling).

    They are computed for a block of queries at a time, in float32, so that memory is bounded whatever the numbers of
    cells, views and vertices; a single block is kept. `precision` 'bf16' rounds the features to bfloat16 and adds up in
    float32, which is quicker on a GPU and moves a similarity by some 1e-4; the best cells are then compared anew.
    """

    def __init__(
        self,
        queries: Float[Tensor, "Q C"],
        views: ViewFeatures,
        precision: MatchPrecision = "fp32",
        limit_mb: int = 256,
    ) -> None:
        """Take unit queries on the device of the views; nothing is computed yet."""
        self.queries, self.views = queries, views
        self.precision: MatchPrecision = precision
        self._limit_mb = limit_mb
        self._block = max(1, limit_mb * 2**20 // (4 * max(1, len(views.rows))))
        self._kept: Tensor | None = None

    @classmethod
    def known(cls, similarity: Float[Tensor, "Q N"], views: ViewFeatures) -> "Similarities":
        """Similarities that are known already, as one block."""
        made = cls(torch.empty(len(similarity), 0), views)
        made._kept = similarity
        return made

    def __len__(self) -> int:
        """Number of queries."""
        return len(self.queries)

    def blocks(self) -> Iterator[tuple[int, Tensor]]:
        """Blocks (P, N_rows) of consecutive queries, each with the index of its first query."""
        if self._kept is None and len(self) <= self._block:
            self._kept = self._product(self.queries)
        if self._kept is not None:
            yield 0, self._kept
            return
        for start in range(0, len(self), self._block):
            yield start, self._product(self.queries[start : start + self._block])

    def select(self, views: np.ndarray) -> "Similarities":
        """The similarities with these views only."""
        some = Similarities(self.queries, self.views.select(views), self.precision, self._limit_mb)
        if self._kept is not None:
            some._kept = self._kept[:, self.views.rows_of(views)]
        return some

    def exact(self, query: Int[Tensor, " P"], rows: Int[Tensor, "P R"]) -> Float[Tensor, "P R"]:
        """Similarities in float32 of some queries (indices) with some rows each, whatever the precision."""
        out = torch.empty(rows.shape, device=rows.device)
        step = max(1, _CHUNK_MB * 2**20 // (4 * max(1, rows.shape[1] * self.queries.shape[1])))
        for start in range(0, len(rows), step):
            some = slice(start, start + step)
            vectors = self.views.rows[rows[some]].float()
            out[some] = torch.einsum("prc,pc->pr", vectors, self.queries[query[some]].float())
        return out

    def _product(self, queries: Float[Tensor, "P C"]) -> Float[Tensor, "P N"]:
        rows, half = self.views.rows, self.precision == "bf16"
        if rows.dtype == torch.float32 and not half:
            return queries @ rows.T
        out = torch.empty(len(queries), len(rows), device=rows.device)
        step = max(1, _CHUNK_MB * 2**20 // (4 * max(1, rows.shape[1])))
        for start in range(0, len(rows), step):
            part = rows[start : start + step]
            if not half:
                out[:, start : start + step] = queries @ part.float().T
            elif rows.is_cuda:
                out[:, start : start + step] = torch.mm(
                    queries.bfloat16(), part.bfloat16().T, out_dtype=torch.float32
                )
            else:  # a CPU's product of bfloat16 would round its result, too
                out[:, start : start + step] = queries.bfloat16().float() @ part.bfloat16().float().T
        return out
