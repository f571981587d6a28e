import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from torch import Tensor

from densecorr.errors import SettingsError, TrainingError
from densecorr.matching import (
    Matches,
    ViewFeatures,
    _nearest_by_product,
    best_view,
    match_queries,
    match_rows,
    nearest_vertices,
    pool_vertices,
    row_similarity,
)


def random_views(rng: np.random.Generator, n_views: int = 4, n_vertices: int = 30) -> ViewFeatures:
    """Views of 0 to 12 cells; vertex 0 is never seen, and some cells have no vertex."""
    sizes = rng.integers(0, 13, n_views)
    starts = np.concatenate([[0], np.cumsum(sizes)])
    cell = np.full((n_views, n_vertices), -1)
    owner = np.full(starts[-1], -1)
    for view, size in enumerate(sizes):
        if size == 0:
            continue
        seen = np.flatnonzero(rng.random(n_vertices) < 0.6)
        seen = seen[seen != 0]
        cell[view, seen] = starts[view] + rng.integers(0, size, len(seen))
        for row in range(starts[view], starts[view + 1]):
            inside = np.flatnonzero(cell[view] == row)
            owner[row] = rng.choice(inside) if len(inside) else -1
    rows = torch.nn.functional.normalize(torch.from_numpy(rng.normal(size=(starts[-1], 6))).float(), dim=1)
    angles = np.stack([rng.uniform(0, 360, n_views), rng.uniform(-20, 40, n_views)], axis=1)
    vertices = 100 + np.arange(n_vertices)
    return ViewFeatures(rows, starts, torch.from_numpy(cell), torch.from_numpy(owner), vertices, angles)


def coarse_similarity(rng: np.random.Generator, n_queries: int, views: ViewFeatures) -> Tensor:
    """Cosines of a few values only, so that ties are everywhere."""
    return torch.from_numpy(rng.choice([-1.0, -0.5, 0.25, 0.5], (n_queries, len(views.rows)))).float()


def pool_by_loops(similarity: Tensor, views: ViewFeatures, pooling: str) -> np.ndarray:
    out = np.full((len(similarity), len(views.vertices)), -2.0)
    for query in range(len(similarity)):
        for vertex in range(len(views.vertices)):
            rows = [int(row) for row in views.cell[:, vertex] if row >= 0]
            if rows:
                scores = [float(similarity[query, row]) for row in rows]
                out[query, vertex] = max(scores) if pooling == "max" else np.mean(scores)
    return out


# ---- nearest vertices


def products(pixels: Tensor, vertices: Tensor) -> np.ndarray:
    return (pixels.double() @ vertices.double().T).numpy()


@pytest.mark.parametrize("pixel_scale", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("vertex_scale", ["unit", "alike", "from tiny to large"])
def test_nearest_vertices_have_the_largest_product(pixel_scale: float, vertex_scale: str) -> None:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randn(500, 16, generator=generator) * pixel_scale
    vertices = torch.randn(700, 16, generator=generator)
    if vertex_scale == "unit":
        vertices = torch.nn.functional.normalize(vertices, dim=1)
    elif vertex_scale == "from tiny to large":
        vertices = vertices * torch.exp(torch.linspace(-6, 3, 700))[:, None]
    exact = products(pixels, vertices)
    found = nearest_vertices(pixels, vertices).numpy()
    two_best = np.sort(exact, axis=1)[:, -2:]
    clear = two_best[:, 1] - two_best[:, 0] > 1e-4 * np.abs(two_best[:, 1])
    assert clear.mean() > 0.95
    assert_array_equal(found[clear], exact.argmax(axis=1)[clear])
    lost = exact.max(axis=1) - exact[np.arange(500), found]
    assert (lost <= 1e-5 * np.abs(exact.max(axis=1))).all()


def test_the_path_by_products_gives_the_same_vertices_in_any_chunks() -> None:
    generator = torch.Generator().manual_seed(1)
    pixels, vertices = torch.randn(301, 8, generator=generator), torch.randn(90, 8, generator=generator)
    for chunk in (1, 100, 8192):
        assert torch.equal(_nearest_by_product(pixels, vertices, chunk), nearest_vertices(pixels, vertices))


@pytest.mark.gpu
def test_a_gpu_gives_the_same_vertices() -> None:
    pixels, vertices = torch.randn(3000, 16), torch.randn(5000, 16)
    found = nearest_vertices(pixels.cuda(), vertices.cuda(), chunk=1024).cpu()
    assert (found == nearest_vertices(pixels, vertices)).float().mean() > 0.999


def test_the_lowest_of_equal_vertices_wins() -> None:
    generator = torch.Generator().manual_seed(2)
    pixels, vertices = torch.randn(200, 16, generator=generator), torch.randn(40, 16, generator=generator)
    thrice = torch.cat([vertices, vertices, vertices])
    assert torch.equal(nearest_vertices(pixels, thrice), nearest_vertices(pixels, vertices))
    assert torch.equal(_nearest_by_product(pixels, thrice, 64), nearest_vertices(pixels, vertices))


def test_no_pixels_and_a_single_vertex_are_fine() -> None:
    for search in (nearest_vertices, lambda p, v: _nearest_by_product(p, v, 8)):
        none = search(torch.empty(0, 3), torch.randn(4, 3))
        assert none.shape == (0,)
        assert none.dtype == torch.int64
        assert search(torch.randn(2, 3), torch.randn(1, 3)).tolist() == [0, 0]


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
@pytest.mark.parametrize("whose", ["one pixel", "all vertices"])
def test_embeddings_of_a_model_that_diverged_are_an_error(bad: float, whose: str) -> None:
    pixels, vertices = torch.ones(6, 4), torch.eye(4).repeat(3, 1)
    if whose == "one pixel":
        pixels[3, 1] = bad
    else:
        vertices = torch.full_like(vertices, bad)
    with pytest.raises(TrainingError, match="diverged"):
        nearest_vertices(pixels, vertices)


def test_pixel_embeddings_need_not_be_detached() -> None:
    pixels = torch.eye(5, requires_grad=True)
    unit = torch.nn.functional.normalize(pixels, dim=1)
    assert nearest_vertices(pixels, unit).tolist() == [0, 1, 2, 3, 4]


# ---- pooling over views


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["max", "mean"]))
def test_pooling_is_what_a_loop_over_views_gives(seed: int, pooling: str) -> None:
    rng = np.random.default_rng(seed)
    views = random_views(rng)
    queries = torch.nn.functional.normalize(torch.from_numpy(rng.normal(size=(5, 6))).float(), dim=1)
    similarity = row_similarity(queries, views)
    expected = pool_by_loops(similarity, views, pooling)
    np.testing.assert_allclose(pool_vertices(similarity, views, pooling), expected, atol=1e-6)
    some = torch.from_numpy(rng.choice(30, 7, replace=False))
    np.testing.assert_allclose(
        pool_vertices(similarity, views, pooling, some), expected[:, some.numpy()], atol=1e-6
    )


def test_best_is_not_a_rule_for_a_vertex() -> None:
    views = random_views(np.random.default_rng(0))
    with pytest.raises(SettingsError, match="best"):
        pool_vertices(torch.zeros(2, len(views.rows)), views, "best")


def matches_by_loops(similarity: Tensor, views: ViewFeatures) -> Matches:
    """The tie rule: the first among the best cells that have a vertex, then its owner."""
    vertex, score, view = [], [], []
    for query in similarity:
        best = max(
            (row for row in range(len(query)) if views.owner[row] >= 0), key=lambda r: (float(query[r]), -r)
        )
        vertex.append(int(views.owner[best]))
        score.append(float(query[best]))
        view.append(max(v for v in range(len(views.cell)) if views.starts[v] <= best))
    return Matches(torch.tensor(vertex), torch.tensor(score), torch.tensor(view))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_matching_cells_is_max_pooling_over_vertices(seed: int, ties: bool) -> None:
    rng = np.random.default_rng(seed)
    views = random_views(rng, n_views=6)
    assume((views.owner >= 0).any())
    similarity = torch.from_numpy(rng.uniform(-1, 1, (8, len(views.rows)))).float()
    if ties:
        similarity = coarse_similarity(rng, 8, views)
    found = match_rows(similarity, views)
    pooled = pool_vertices(similarity, views, "max")
    assert torch.equal(found.score, pooled.max(dim=1).values)
    assert torch.equal(pooled.gather(1, found.vertex[:, None])[:, 0], found.score)  # an argmax, exactly
    expected = matches_by_loops(similarity, views)
    assert torch.equal(found.vertex, expected.vertex)
    assert torch.equal(found.view, expected.view)


@pytest.mark.parametrize("n_queries", [0, 1, 25])
def test_matching_in_parts_is_matching_at_once(n_queries: int) -> None:
    rng = np.random.default_rng(4)
    views = random_views(rng)
    queries = torch.nn.functional.normalize(torch.from_numpy(rng.normal(size=(n_queries, 6))).float(), dim=1)
    at_once, in_parts = match_queries(queries, views), match_queries(queries, views, limit_mb=0)
    expected = match_rows(row_similarity(queries, views), views)
    for found in (at_once, in_parts):
        assert torch.equal(found.vertex, expected.vertex)
        assert torch.equal(found.view, expected.view)
        torch.testing.assert_close(found.score, expected.score)


def test_unseen_vertices_and_cells_without_a_vertex_never_win() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        views = random_views(rng)
        similarity = torch.full((3, len(views.rows)), -1.0)  # the worst score a seen vertex can have
        similarity[:, (views.owner < 0)] = 1.0
        seen = (views.cell >= 0).any(dim=0)
        assert seen[match_rows(similarity, views).vertex].all()
        for pooling in ("max", "mean"):
            assert seen[pool_vertices(similarity, views, pooling).argmax(dim=1)].all()


# ---- selecting views


def columns_of(views: ViewFeatures, chosen: list[int]) -> Tensor:
    return torch.cat([torch.arange(int(views.starts[v]), int(views.starts[v + 1])) for v in chosen])


@pytest.mark.parametrize("chosen", [[0], [3, 1], [2, 0, 3, 1]])
@pytest.mark.parametrize("seed", range(3))
def test_selected_views_answer_as_if_the_others_were_not_there(chosen: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    views = random_views(rng)
    similarity = torch.from_numpy(rng.uniform(-1, 1, (5, len(views.rows)))).float()
    cell = torch.full_like(views.cell, -1)
    cell[chosen] = views.cell[chosen]
    others_blind = ViewFeatures(views.rows, views.starts, cell, views.owner, views.vertices, views.angles)
    some = views.select(np.array(chosen))
    columns = columns_of(views, chosen)
    assert torch.equal(some.rows, views.rows[columns])
    assert_array_equal(some.angles, views.angles[chosen])
    for pooling in ("max", "mean"):
        torch.testing.assert_close(
            pool_vertices(similarity[:, columns], some, pooling),
            pool_vertices(similarity, others_blind, pooling),
        )
    for view, start in enumerate(some.starts[:-1]):
        for vertex in range(30):
            row = int(views.cell[chosen[view], vertex])
            assert int(some.cell[view, vertex]) == (
                -1 if row < 0 else row - views.starts[chosen[view]] + start
            )
    assert torch.equal(some.owner, views.owner[columns])


def test_selecting_all_views_in_order_changes_nothing() -> None:
    views = random_views(np.random.default_rng(5))
    same = views.select(np.arange(4))
    assert torch.equal(same.rows, views.rows)
    assert torch.equal(same.cell, views.cell)
    assert_array_equal(same.starts, views.starts)


def test_the_best_view_is_best_on_average_over_the_queries() -> None:
    starts = np.array([0, 2, 2, 4])  # the second view sees nothing
    owner = torch.tensor([0, 1, 1, -1])
    cell = torch.tensor([[0, 1], [-1, -1], [-1, 2]])
    views = ViewFeatures(torch.eye(4), starts, cell, owner, np.arange(2), np.zeros((3, 2)))
    similarity = torch.tensor([[0.6, 0.1, 0.9, 1.0], [0.1, 0.6, 0.1, 1.0]])  # means .6 and .5: a cell counts
    assert best_view(similarity, views) == 0  # once only if a vertex lies in it
    similarity[1, 2] = 0.4
    assert best_view(similarity, views) == 2
