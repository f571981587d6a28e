"""Matching over views against plain loops over vertices and views."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from torch import Tensor

from densecorr.errors import SettingsError
from densecorr.view_features import Similarities, ViewFeatures
from densecorr.view_matching import (
    UNSEEN,
    Matches,
    best_queries,
    match_vertices,
    outside_ball,
    pool_vertices,
    view_lead,
    view_scores,
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


def random_queries(rng: np.random.Generator, n: int) -> Tensor:
    return torch.nn.functional.normalize(torch.from_numpy(rng.normal(size=(n, 6))).float(), dim=1)


def random_far(
    rng: np.random.Generator, n_vertices: int = 30
) -> tuple[Callable[[Tensor], Tensor], np.ndarray]:
    """A ball around each vertex: distances on a line, radius 4."""
    place = rng.uniform(0, 20, n_vertices)
    distance = np.abs(place[:, None] - place[None])
    return outside_ball(distance.__getitem__, 4.0), distance > 4.0


def match_by_loops(pooled: np.ndarray, outside: np.ndarray, vertex: np.ndarray) -> np.ndarray:
    """The margin of each query's vertex: the best score less the best outside the ball."""
    best = pooled[np.arange(len(pooled)), vertex]
    return best - np.where(outside[vertex], pooled, UNSEEN).max(axis=1)


# ---- pooling


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["max", "mean"]))
def test_pooling_is_what_a_loop_over_views_gives(seed: int, pooling: str) -> None:
    rng = np.random.default_rng(seed)
    views = random_views(rng)
    similarity = random_queries(rng, 5) @ views.rows.T
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


# ---- matching


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans(), st.sampled_from(["max", "mean"]), st.sampled_from([1, 3]))
def test_matches_are_those_of_a_loop_over_all_vertices(seed: int, ties: bool, pooling: str, k: int) -> None:
    rng = np.random.default_rng(seed)
    views = random_views(rng, n_views=6)
    assume((views.owner >= 0).any())
    plain = coarse_similarity(rng, 8, views) if ties else random_queries(rng, 8) @ views.rows.T
    far, outside = random_far(rng)
    found = match_vertices(Similarities.known(plain, views), torch.arange(8), pooling, far, k)
    pooled = pool_by_loops(plain, views, pooling)
    first = found.vertex[:, 0].numpy()
    np.testing.assert_allclose(found.score[:, 0], pooled.max(axis=1), atol=1e-6)
    np.testing.assert_allclose(pooled[np.arange(8), first], pooled.max(axis=1), atol=1e-6)
    np.testing.assert_allclose(found.margin, match_by_loops(pooled, outside, first), atol=1e-6)
    for query, (vertices, scores) in enumerate(zip(found.vertex.numpy(), found.score.numpy(), strict=True)):
        known = vertices[vertices >= 0]
        assert len(set(known.tolist())) == len(known)
        if pooling == "max":  # of the cells that are a vertex's own, which it may not be in its best view
            assert (scores[vertices >= 0] <= pooled[query, known] + 1e-6).all()
        else:
            np.testing.assert_allclose(scores[vertices >= 0], pooled[query, known], atol=1e-6)
        assert (np.diff(scores) <= 0).all()
        assert (scores[vertices < 0] == UNSEEN).all()
        if pooling == "mean" and not ties:
            np.testing.assert_allclose(scores, np.sort(pooled[query])[::-1][:k], atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_winner_of_a_tie_is_the_owner_of_the_first_best_cell(seed: int) -> None:
    rng = np.random.default_rng(seed)
    views = random_views(rng, n_views=6)
    assume((views.owner >= 0).any())
    plain = coarse_similarity(rng, 8, views)
    expected = []
    for query in plain:
        owned = [row for row in range(len(query)) if views.owner[row] >= 0]
        best = max(owned, key=lambda row: (float(query[row]), -row))
        expected.append(int(views.owner[best]))
    for k in (1, 4):
        found = match_vertices(Similarities.known(plain, views), torch.arange(8), "max", None, k)
        assert found.vertex[:, 0].tolist() == expected


def test_without_a_ball_there_is_no_margin() -> None:
    views = random_views(np.random.default_rng(1))
    for pooling in ("max", "mean"):
        similarity = Similarities.known(torch.zeros(2, len(views.rows)), views)
        assert match_vertices(similarity, torch.arange(2), pooling).margin.isnan().all()


@pytest.mark.parametrize("pooling", ["max", "mean"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_blocks_give_what_the_whole_gives(pooling: str, dtype: torch.dtype) -> None:
    rng = np.random.default_rng(4)
    views = random_views(rng)
    views = ViewFeatures(
        views.rows.to(dtype), views.starts, views.cell, views.owner, views.vertices, views.angles
    )
    queries, (far, _) = random_queries(rng, 25), random_far(rng)
    picked = torch.from_numpy(np.sort(rng.choice(25, 11, replace=False)))
    whole, parts = Similarities(queries, views), Similarities(queries, views, limit_mb=0)
    assert len(list(parts.blocks())) == 25
    first, second = (match_vertices(one, picked, pooling, far, 2) for one in (whole, parts))
    for name in ("vertex", "score", "margin"):
        torch.testing.assert_close(getattr(first, name), getattr(second, name))
    asked = torch.arange(30)
    assert torch.equal(best_queries(whole, pooling, asked), best_queries(parts, pooling, asked))
    np.testing.assert_allclose(view_scores(whole), view_scores(parts), atol=1e-6)
    exact = queries @ views.rows.float().T
    torch.testing.assert_close(next(whole.blocks())[1], exact)


def test_no_query_is_fine() -> None:
    views = random_views(np.random.default_rng(2))
    found = match_vertices(Similarities(torch.empty(0, 6), views), torch.arange(0), "max", None, 3)
    assert found.vertex.shape == found.score.shape == (0, 3)
    assert isinstance(found, Matches)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["max", "mean"]))
def test_the_way_back_is_the_query_with_the_highest_pooled_score(seed: int, pooling: str) -> None:
    rng = np.random.default_rng(seed)
    views = random_views(rng)
    plain = random_queries(rng, 9) @ views.rows.T
    pooled = pool_by_loops(plain, views, pooling)
    asked = torch.from_numpy(rng.integers(1, 30, 12))
    back = best_queries(Similarities.known(plain, views), pooling, asked).numpy()
    np.testing.assert_allclose(pooled[back, asked.numpy()], pooled[:, asked.numpy()].max(axis=0), atol=1e-6)


def test_unseen_vertices_and_cells_without_a_vertex_never_win() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        views = random_views(rng)
        plain = torch.full((3, len(views.rows)), -1.0)  # the worst score a seen vertex can have
        plain[:, (views.owner < 0)] = 1.0
        seen = (views.cell >= 0).any(dim=0)
        for pooling in ("max", "mean"):
            found = match_vertices(Similarities.known(plain, views), torch.arange(3), pooling)
            assert seen[found.vertex[:, 0]].all()


@pytest.mark.parametrize("offset", [0.0, 3.0])
def test_bfloat16_is_nearly_float32_in_all_that_is_kept(offset: float) -> None:
    """With a common offset all cosines are near 1, where a product rounded to bfloat16 would say little."""
    rng = np.random.default_rng(5)
    n, c = 1500, 256
    rows = torch.nn.functional.normalize(torch.from_numpy(rng.normal(size=(n, c)) + offset).float(), dim=1)
    cell = torch.arange(n).reshape(3, n // 3) % n
    starts, vertices = np.arange(4) * (n // 3), np.arange(n // 3)
    views = ViewFeatures(rows, starts, cell, torch.arange(n) % (n // 3), vertices, np.zeros((3, 2)))
    noise = torch.from_numpy(rng.normal(size=(300, c))).float()
    queries = torch.nn.functional.normalize(
        rows[rng.integers(n, size=300)] + 0.05 * noise / (1 + offset), dim=1
    )
    far = outside_ball(lambda k: np.ones((len(k), n // 3)), 0.5)
    every = torch.arange(300)
    for pooling in ("max", "mean"):
        full, half = (Similarities(queries, views, precision) for precision in ("fp32", "bf16"))
        first, second = (match_vertices(one, every, pooling, far, 3) for one in (full, half))
        assert (first.vertex[:, 0] == second.vertex[:, 0]).float().mean() >= 0.99
        torch.testing.assert_close(first.score[:, 0], second.score[:, 0], atol=1e-3, rtol=0)
        torch.testing.assert_close(first.margin, second.margin, atol=2e-3, rtol=0)
        back = [best_queries(one, pooling, first.vertex[:, 0]) for one in (full, half)]
        assert (back[0] == back[1]).float().mean() >= 0.97
    np.testing.assert_allclose(view_scores(full), view_scores(half), atol=1e-3)


def test_many_rows_of_one_vertex_leave_room_for_the_next() -> None:
    """The best cells all belong to one vertex: the next best are far down the list."""
    plain = 400
    owner = torch.cat([torch.zeros(plain, dtype=torch.int64), torch.arange(1, 6)])
    cell = torch.full((1, 6), -1)
    cell[0] = torch.tensor([0, *range(plain, plain + 5)])
    views = ViewFeatures(
        torch.zeros(len(owner), 1), np.array([0, len(owner)]), cell, owner, np.arange(6), np.zeros((1, 2))
    )
    scores = torch.linspace(1, 0, len(owner))[None].repeat(3, 1)
    found = match_vertices(Similarities.known(scores, views), torch.arange(3), "max", None, 4)
    assert found.vertex.tolist() == [[0, 1, 2, 3]] * 3


@pytest.mark.gpu
def test_a_gpu_gives_the_same_matches() -> None:
    rng = np.random.default_rng(6)
    views, queries, (far, _) = random_views(rng), random_queries(rng, 20), random_far(rng)
    here = match_vertices(Similarities(queries, views), torch.arange(20), "max", far)
    there = match_vertices(
        Similarities(queries.cuda(), views.to("cuda")), torch.arange(20).cuda(), "max", far
    )
    assert torch.equal(here.vertex, there.vertex.cpu())


def test_the_best_view_is_best_on_average_over_the_queries() -> None:
    starts = np.array([0, 2, 2, 4])  # the second view sees nothing
    owner = torch.tensor([0, 1, 1, -1])
    cell = torch.tensor([[0, 1], [-1, -1], [-1, 2]])
    views = ViewFeatures(torch.eye(4), starts, cell, owner, np.arange(2), np.zeros((3, 2)))
    plain = torch.tensor([[0.6, 0.1, 0.9, 1.0], [0.1, 0.6, 0.1, 1.0]])  # the last cell has no vertex
    np.testing.assert_allclose(view_scores(Similarities.known(plain, views)), [0.6, UNSEEN, 0.5])


def test_the_lead_is_over_the_best_view_from_another_side() -> None:
    angles = np.array([[0.0, 10.0], [30.0, 10.0], [180.0, 10.0], [90.0, 10.0]])
    assert view_lead(np.array([0.9, 0.89, 0.7, 0.8]), angles) == pytest.approx(
        0.1
    )  # 30 degrees are the same side
    assert view_lead(np.array([0.7, 0.6, 0.9, 0.2]), angles) == pytest.approx(0.2)
    assert view_lead(np.array([0.9, 0.8]), angles[:2]) is None


def test_members_are_the_vertices_of_each_row() -> None:
    views = random_views(np.random.default_rng(7))
    vertex, starts = views.members
    ends = [*starts[1:].tolist(), len(vertex)]
    for row, (start, end) in enumerate(zip(starts.tolist(), ends, strict=True)):
        assert sorted(vertex[start:end].tolist()) == sorted((views.cell == row).nonzero()[:, 1].tolist())


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
