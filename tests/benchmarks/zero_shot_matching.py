"""Zero-shot matching of one image: 900 cells of 768 numbers against 72 views of a 5,000-vertex template.

The views are real ones of the shipped body, 5,000 of its vertices, 60x60 cells; only the features are random.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from densecorr.matching import match_queries
from densecorr.pseudolabels.lift import cell_centers, foreground_cells, lift_views, nearest_cells
from densecorr.rendering.cameras import RigSettings, project_points
from densecorr.rendering.views import Views, ViewSettings, render_views
from densecorr.templates.catalog import load_catalog_mesh

from .measure import Benchmark, Comparison

N_CELLS, N_NUMBERS, N_VERTICES, STRIDE, SIZE = 900, 768, 5_000, 8, 480


class RandomFeatures:
    """An extractor whose features are noise from the image's key."""

    stride = STRIDE

    def __call__(self, images: Tensor, silhouettes: Tensor, keys: list[str]) -> Tensor:
        """One grid an image."""
        h, w = images.shape[2] // STRIDE, images.shape[3] // STRIDE
        seeds = [int(key.rsplit("-", 1)[1]) for key in keys]
        grids = [torch.randn(N_NUMBERS, h, w, generator=torch.Generator().manual_seed(s)) for s in seeds]
        return torch.stack(grids)


def prepare() -> Benchmark:
    """Render, lift, and take 900 noisy copies of view cells as the image."""
    V, F = load_catalog_mesh("body")
    rng = np.random.default_rng(0)
    vertices = np.sort(rng.choice(len(V), N_VERTICES, replace=False))
    rendered = render_views(V, F, ViewSettings(rig=RigSettings(size=SIZE)))
    views = lift_views(V, F, rendered, vertices, RandomFeatures())
    generator = torch.Generator().manual_seed(0)
    copied = views.rows[torch.randint(len(views.rows), (N_CELLS,), generator=generator)]
    queries = normalize(copied + 0.04 * torch.randn(copied.shape, generator=generator), dim=1)
    order = [by_distance(view, index, V[vertices], rendered) for index, view in enumerate(views.cell)]
    by_vertex = [views.rows[cell[seen]].T.contiguous() for cell, seen in zip(views.cell, order, strict=True)]
    n_most = max(features.shape[1] for features in by_vertex)
    visible_product = torch.empty(N_CELLS * n_most)
    cell_product = torch.empty(N_CELLS, len(views.rows))

    def visible_vertices() -> None:
        for features in by_vertex:
            n_visible = features.shape[1]
            torch.mm(queries, features, out=visible_product[: N_CELLS * n_visible].view(N_CELLS, n_visible))

    def check() -> None:
        expected = match_plainly(queries, by_vertex, order)
        found = match_queries(queries, views).vertex
        if not torch.equal(found, expected):
            raise AssertionError(f"another argmax at {int((found != expected).sum())} of {N_CELLS} cells")

    return Benchmark(
        lambda: match_queries(queries, views),
        check,
        (
            Comparison("visible-vertices", visible_vertices, 1.3),
            Comparison("cells", lambda: torch.mm(queries, views.rows.T, out=cell_product)),
        ),
        memory_mb=1000,
    )


def by_distance(cell: Tensor, view: int, V: np.ndarray, rendered: Views) -> Tensor:
    """The vertices a view sees, in the order of the tie rule: nearest its cell's centre first, then lowest id."""
    seen = torch.nonzero(cell >= 0).squeeze(1)
    silhouette = torch.from_numpy(rendered.fragments[view].face >= 0)
    centers = cell_centers(foreground_cells(silhouette, STRIDE), STRIDE)
    xy = project_points(V, rendered.cameras[view])[0][seen.numpy()]
    away = ((xy - centers[nearest_cells(xy, centers)]) ** 2).sum(axis=1)
    return seen[torch.from_numpy(np.lexsort((seen.numpy(), away)))]


def match_plainly(queries: Tensor, by_vertex: list[Tensor], order: list[Tensor]) -> Tensor:
    """Every cell against every visible vertex in double precision; the first best view and vertex win."""
    best = torch.full((len(queries),), -2.0, dtype=torch.float64)
    vertex = torch.full((len(queries),), -1)
    for features, seen in zip(by_vertex, order, strict=True):
        product = queries.double() @ features.double()
        top = product.max(dim=1).values
        first = (
            (product >= top[:, None] - 1e-12).int().argmax(dim=1)
        )  # vertices of a cell tie but for rounding
        better = top > best
        best = torch.where(better, top, best)
        vertex = torch.where(better, seen[first], vertex)
    return vertex
