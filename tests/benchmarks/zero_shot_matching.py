"""Zero-shot matching of one image: vertex, score, margin and way back of every foreground cell.

The views are real ones of the shipped body (subdivided where more vertices are asked for), 60x60 cells; only the
features are random. The baseline is the bare product over foreground cells and visible vertices, nothing else.
"""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from densecorr.pseudolabels.lift import cell_centers, foreground_cells, lift_views, nearest_cells
from densecorr.rendering.cameras import RigSettings, project_points
from densecorr.rendering.views import Views, ViewSettings, render_views
from densecorr.templates.catalog import load_catalog_mesh
from densecorr.view_features import Similarities, ViewFeatures
from densecorr.view_matching import Far, Matches, best_queries, match_vertices, outside_ball

from .measure import Benchmark, Comparison

STRIDE, SIZE = 8, 480


class RandomFeatures:
    """An extractor whose features are noise from the image's key."""

    stride = STRIDE

    def __init__(self, n_numbers: int) -> None:
        self._n_numbers = n_numbers

    def __call__(self, images: Tensor, silhouettes: Tensor, keys: list[str]) -> Tensor:
        """One grid an image."""
        shape = self._n_numbers, images.shape[2] // STRIDE, images.shape[3] // STRIDE
        seeds = [int(key.rsplit("-", 1)[1]) for key in keys]
        return torch.stack([torch.randn(shape, generator=torch.Generator().manual_seed(s)) for s in seeds])


def prepare(
    n_vertices: int, n_numbers: int, n_cells: int, n_views: int, half: bool, at_most: float
) -> Benchmark:
    """Render, lift, and take noisy copies of view cells as the image."""
    V, F = load_catalog_mesh("body")
    if n_vertices > len(V):
        import trimesh

        V, F = trimesh.remesh.subdivide(V, F)
    rng = np.random.default_rng(0)
    vertices = np.sort(rng.choice(len(V), n_vertices, replace=False))
    elevations = (-15.0, 10.0, 35.0) if n_views % 3 == 0 else (10.0,)
    rig = RigSettings(n_azimuths=n_views // len(elevations), elevations=elevations, size=SIZE)
    rendered = render_views(V, F, ViewSettings(rig=rig))
    views = lift_views(V, F, rendered, vertices, RandomFeatures(n_numbers))
    if half:
        views = replace(views, rows=views.rows.half())
    generator = torch.Generator().manual_seed(0)
    copied = views.rows[torch.randint(len(views.rows), (n_cells,), generator=generator)].float()
    noise = torch.randn(copied.shape, generator=generator) / n_numbers**0.5
    queries = normalize(copied + noise, dim=1)
    order = [by_distance(view, index, V[vertices], rendered) for index, view in enumerate(views.cell)]
    by_vertex = [
        views.rows[cell[seen]].float().T.contiguous() for cell, seen in zip(views.cell, order, strict=True)
    ]
    n_most = max(features.shape[1] for features in by_vertex)
    product = torch.empty(n_cells * n_most)
    every = torch.arange(n_cells)
    where = V[vertices].astype(np.float32)
    # straight lines: how long geodesics take is the template's business
    far = outside_ball(lambda k: np.linalg.norm(where[k][:, None] - where[None], axis=-1), 0.1)

    def visible_vertices() -> None:
        for features in by_vertex:
            n_visible = features.shape[1]
            torch.mm(queries, features, out=product[: n_cells * n_visible].view(n_cells, n_visible))

    def check() -> None:
        expected, found = match_plainly(queries, by_vertex, order), match(queries, views, far)[0].vertex[:, 0]
        if not torch.equal(found, expected):
            raise AssertionError(f"another argmax at {int((found != expected).sum())} of {n_cells} cells")

    return Benchmark(
        lambda: match(queries, views, far),
        check,
        (
            Comparison("visible-vertices", visible_vertices, at_most),
            Comparison("argmax-alone", lambda: match_vertices(Similarities(queries, views), every, "max")),
        ),
        memory_mb=600,
    )


def match(queries: Tensor, views: ViewFeatures, far: Far) -> tuple[Matches, Tensor]:
    """All that a pseudo-label needs."""
    similarity = Similarities(queries, views)
    found = match_vertices(similarity, torch.arange(len(queries)), "max", far)
    return found, best_queries(similarity, "max", found.vertex[:, 0])


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
