from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from densecorr.errors import SettingsError
from densecorr.images import box_of_silhouette
from densecorr.pseudolabels.zero_shot import (
    ZeroShotLabels,
    ZeroShotSettings,
    label_instance,
    pick_points,
    predict_points,
    restrict,
    score_instance,
    select_views,
    views_within,
)
from densecorr.rendering.cameras import project_points

EVERYTHING = ZeroShotSettings(points=0, crop_size=128)


def label(subject, image, silhouette, xywh, settings: ZeroShotSettings, seed: int = 0) -> ZeroShotLabels:
    views = select_views(subject.views, settings.azimuths)
    scores = score_instance(image, silhouette, xywh, "key", views, subject.extractor, settings)
    assert scores is not None
    rng = np.random.default_rng(seed)
    return label_instance(scores, subject.distances.__getitem__, subject.diameter, settings, rng)


# ---- on renders, where the truth is known


@pytest.mark.parametrize("view", [0, 2, 7])
@pytest.mark.parametrize("pooling", ["max", "best"])
def test_a_template_s_own_view_matches_itself(subject, view: int, pooling: str) -> None:
    size = subject.rendered.images.shape[1]
    silhouette = subject.rendered.fragments[view].face >= 0
    settings = replace(EVERYTHING, padding=0.0, pooling=pooling)
    whole = (0.0, 0.0, float(size), float(size))  # so that the crop is the view to the bit
    labels = label(subject, subject.rendered.images[view], silhouette, whole, settings)
    n_cells = subject.views.starts[view + 1] - subject.views.starts[view]  # those with a vertex of this level
    owned = labels.score > 1 - 1e-5
    assert owned.sum() == n_cells > 50
    assert_array_equal(labels.cycle_px[owned], 0.0)
    xy = project_points(subject.V[labels.vertex[owned]], subject.rendered.cameras[view])[0]
    away = np.abs(xy - labels.xy[owned]).max(axis=1)
    assert (away <= 2).mean() > 0.9  # inside the cell
    assert away.max() < 4  # or beside it, at the outline


@pytest.mark.parametrize("azimuth", [30.0, 75.0, -80.0, 160.0])
def test_a_new_view_is_labelled_near_the_truth(subject, azimuth: float) -> None:
    photo = subject.photograph(azimuth)
    settings = replace(EVERYTHING, azimuths=((azimuth - 40, azimuth + 40),))
    labels = label(subject, photo.image, photo.silhouette, box_of_silhouette(photo.silhouette), settings)
    x, y = np.rint(labels.xy).astype(int).T
    true = photo.vertex[y, x]
    known = true >= 0
    error = (
        np.linalg.norm(subject.V[labels.vertex[known]] - subject.V[true[known]], axis=1) / subject.diameter
    )
    shuffled = subject.V[np.random.default_rng(0).permutation(labels.vertex[known])]
    chance = np.linalg.norm(shuffled - subject.V[true[known]], axis=1).mean() / subject.diameter
    assert np.median(error) < 0.06
    assert error.mean() < 0.5 * chance


def test_labels_lie_on_the_silhouette_and_are_vertices_of_the_level(subject) -> None:
    photo = subject.photograph(40.0)
    box = box_of_silhouette(photo.silhouette)
    labels = label(subject, photo.image, photo.silhouette, box, replace(EVERYTHING, points=30))
    assert labels.xy.shape == (30, 2)
    assert np.isin(labels.vertex, subject.vertices).all()
    x, y = np.rint(labels.xy).astype(int).T
    assert photo.silhouette[y, x].mean() > 0.9
    for values in (labels.score, labels.margin, labels.cycle_px):
        assert values.dtype == np.float32
        assert np.isfinite(values).all()
    assert (labels.cycle_px >= 0).all()
    assert (labels.score <= 1 + 1e-5).all()


def test_the_same_input_and_seed_give_the_same_bytes(subject) -> None:
    photo = subject.photograph(75.0)
    box = box_of_silhouette(photo.silhouette)
    settings = replace(EVERYTHING, points=40)
    first, again, other = (
        label(subject, photo.image, photo.silhouette, box, settings, seed) for seed in (3, 3, 4)
    )
    for name in ("xy", "vertex", "score", "margin", "cycle_px"):
        assert getattr(first, name).tobytes() == getattr(again, name).tobytes()
    assert first.xy.tobytes() != other.xy.tobytes()


def test_moving_the_subject_in_the_image_moves_the_labels_with_it(subject) -> None:
    photo = subject.photograph(75.0)
    shift = (14, 9)
    moved_image = np.zeros((240, 250, 3), dtype=np.uint8)
    moved_image[shift[1] : shift[1] + 200, shift[0] : shift[0] + 200] = photo.image
    moved_mask = np.zeros((240, 250), dtype=bool)
    moved_mask[shift[1] : shift[1] + 200, shift[0] : shift[0] + 200] = photo.silhouette
    here = label(subject, photo.image, photo.silhouette, box_of_silhouette(photo.silhouette), EVERYTHING)
    there = label(subject, moved_image, moved_mask, box_of_silhouette(moved_mask), EVERYTHING)
    assert_allclose(there.xy, here.xy + shift)
    assert (there.vertex == here.vertex).mean() > 0.95  # what lies outside the old image differs a little


def test_an_instance_without_foreground_in_its_box_has_no_scores(subject) -> None:
    image, mask = np.zeros((50, 60, 3), dtype=np.uint8), np.zeros((50, 60), dtype=bool)
    box = (5.0, 5.0, 20.0, 20.0)
    assert score_instance(image, mask, box, "k", subject.views, subject.extractor, EVERYTHING) is None
    mask[40:, 45:] = True  # outside the box
    assert score_instance(image, mask, box, "k", subject.views, subject.extractor, EVERYTHING) is None


# ---- definitions, by hand

LINE = (
    np.abs(np.subtract.outer(np.arange(4.0), np.arange(4.0))).astype(np.float32).__getitem__
)  # metres, diameter 3


def test_the_margin_is_to_the_best_vertex_farther_than_the_radius(plain_views, make_scores) -> None:
    views = plain_views(1, 4, [0.0])
    scores = make_scores([[0.9, 0.8, 0.5, 0.1]], views)
    rng = np.random.default_rng(0)
    for radius, runner_up in [(0.0, 0.8), (0.34, 0.5), (0.67, 0.1)]:  # 0, 1.02 and 2.01 m
        settings = ZeroShotSettings(points=0, margin_radius=radius)
        labels = label_instance(scores, LINE, 3.0, settings, rng)
        assert labels.vertex.tolist() == [0]
        assert labels.score[0] == pytest.approx(0.9)
        assert labels.margin[0] == pytest.approx(0.9 - runner_up)


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_the_cycle_goes_to_the_vertex_and_back_to_its_best_cell(
    plain_views, make_scores, scale: float
) -> None:
    views = plain_views(1, 4, [0.0])
    scores = make_scores(
        [
            [0.9, 0.1, 0.1, 0.1],  # to vertex 0, whose best cell is the third: 2 cells of 4 crop pixels away
            [0.1, 0.8, 0.1, 0.1],  # to vertex 1 and straight back
            [0.95, 0.1, 0.1, 0.97],  # to vertex 3 and back
        ],
        views,
        scale,
    )
    labels = label_instance(scores, LINE, 3.0, ZeroShotSettings(points=0), np.random.default_rng(0))
    assert labels.vertex.tolist() == [0, 10, 30]
    assert_allclose(labels.cycle_px, np.array([8.0, 0.0, 0.0]) / scale)
    assert_allclose(labels.xy[:, 0], (np.array([2.0, 6.0, 10.0]) + 0.5) / scale + 100 - 0.5)


def test_mean_pooling_needs_agreement_where_max_takes_one_view_s_word(plain_views, make_scores) -> None:
    views = plain_views(2, 3, [0.0, 90.0])
    scores = make_scores([[0.6, 0.1, 0.0, 0.6, 0.95, 0.0]], views)
    rng = np.random.default_rng(0)
    chosen = {
        pooling: label_instance(scores, LINE, 3.0, ZeroShotSettings(points=0, pooling=pooling), rng).vertex
        for pooling in ("max", "mean")
    }
    assert {pooling: vertex.tolist() for pooling, vertex in chosen.items()} == {"max": [10], "mean": [0]}


def test_candidates_are_the_next_best_vertices(plain_views, make_scores) -> None:
    views = plain_views(2, 4, [0.0, 90.0])
    scores = make_scores([[0.5, 0.6, 0.1, -0.3, 0.9, 0.2, 0.7, 0.0]], views)
    settings = ZeroShotSettings(points=0, candidates=3)
    labels = label_instance(scores, LINE, 3.0, settings, np.random.default_rng(0))
    assert labels.candidates.tolist() == [[0, 20, 10]]  # vertex 0 once, with its better view
    assert_allclose(labels.candidate_scores, [[0.9, 0.7, 0.6]])
    assert labels.vertex.tolist() == [0]


def test_best_pooling_is_max_pooling_over_the_view_that_fits_best(plain_views, make_scores) -> None:
    views = plain_views(2, 3, [0.0, 90.0])
    similarity = [[0.9, 0, 0, 0, 0.99, 0], [0, 0.9, 0, 0, 0, 0.1], [0, 0, 0.9, 0, 0, 0.1]]
    rng = np.random.default_rng(0)
    settings = ZeroShotSettings(points=0, pooling="best")
    line = LINE(slice(3))[:, :3].__getitem__
    best = label_instance(make_scores(similarity, views), line, 2.0, settings, rng)
    alone = label_instance(
        make_scores([row[:3] for row in similarity], views.select(np.array([0]))),
        line,
        2.0,
        replace(settings, pooling="max"),
        rng,
    )
    assert best.vertex.tolist() == alone.vertex.tolist() == [0, 10, 20]
    assert_array_equal(best.margin, alone.margin)
    assert_array_equal(best.cycle_px, [0, 0, 0])


def test_auto_is_not_a_rule_to_label_with(plain_views, make_scores) -> None:
    with pytest.raises(SettingsError, match="choose_variant"):
        label_instance(
            make_scores([[0.5, 0.5, 0.5, 0.5]], plain_views(1, 4, [0.0])),
            LINE,
            3.0,
            ZeroShotSettings(pooling="auto"),
            np.random.default_rng(0),
        )


# ---- views by azimuth


@pytest.mark.parametrize(
    ("intervals", "expected"),
    [
        (((-30.0, 30.0),), [0, 30, 330]),
        (((330.0, 390.0),), [0, 30, 330]),
        (((-390.0, -330.0),), [0, 30, 330]),
        (((170.0, 190.0),), [180]),
        (((-190.0, -170.0),), [180]),
        (((60.0, 60.0),), [60]),
        (((-60.0, -60.0), (85.0, 121.0)), [90, 120, 300]),
        (((-180.0, 180.0),), list(range(0, 360, 30))),
        (((-15.0, 345.0),), list(range(0, 360, 30))),
    ],
)
def test_intervals_of_azimuth_wrap_around(plain_views, intervals: tuple, expected: list[int]) -> None:
    views = plain_views(12, 2, [30.0 * k for k in range(12)])
    assert views.angles[views_within(views, intervals), 0].tolist() == expected
    assert select_views(views, intervals).angles[:, 0].tolist() == expected


def test_no_intervals_keep_all_views_and_empty_ones_are_an_error(plain_views) -> None:
    views = plain_views(3, 2, [0.0, 120.0, 240.0])
    assert select_views(views, ()) is views
    with pytest.raises(SettingsError, match="at least one view"):
        select_views(views, ((10.0, 100.0),))


def test_restricting_afterwards_is_selecting_before(subject) -> None:
    photo, intervals = subject.photograph(20.0), ((-40.0, 70.0), (100.0, 130.0))
    box = box_of_silhouette(photo.silhouette)

    def scored(views):
        return score_instance(photo.image, photo.silhouette, box, "k", views, subject.extractor, EVERYTHING)

    everything = scored(subject.views)
    list(everything.similarity.blocks())  # the product is made before the views are chosen
    after, before = restrict(everything, intervals), scored(select_views(subject.views, intervals))
    for (_, first), (_, second) in zip(after.similarity.blocks(), before.similarity.blocks(), strict=True):
        torch.testing.assert_close(first, second)
    assert torch.equal(after.views.cell, before.views.cell)
    assert torch.equal(after.views.owner, before.views.owner)
    assert restrict(after, ()) is after


# ---- points


def test_points_are_a_sample_without_repetition_or_all() -> None:
    rng = np.random.default_rng(0)
    assert_array_equal(pick_points(5, 0, rng), np.arange(5))
    assert_array_equal(pick_points(5, 9, rng), np.arange(5))
    some = pick_points(100, 30, rng)
    assert len(np.unique(some)) == 30
    assert (np.diff(some) > 0).all()
    counts = np.bincount(np.concatenate([pick_points(10, 3, rng) for _ in range(1000)]), minlength=10)
    assert (np.abs(counts - 300) < 80).all()


def test_predictions_answer_both_ways_at_given_queries(plain_views, make_scores) -> None:
    views = plain_views(1, 4, [0.0])
    scores = make_scores([[0.1, 0.9, 0.1, 0.2], [0.8, 0.1, 0.1, 0.3], [0.1, 0.1, 0.1, 0.4]], views, scale=2.0)
    cells_xy = (scores.centers + 0.5) / 2.0 + [100, 50] - 0.5
    asked = cells_xy[[2, 0, 1, 0]] + [[0.4, 9.0], [-3.0, 0.0], [0.0, 0.3], [0.1, 0.0]]
    vertex, pixels = predict_points(scores, asked, np.array([0, 1, 3]), "max")
    assert vertex.tolist() == [30, 10, 0, 10]
    assert_allclose(pixels, cells_xy[[1, 0, 2]])
