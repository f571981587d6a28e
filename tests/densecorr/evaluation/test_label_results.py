"""Sparse labels become the vertex of each pixel near them, and scoring finds them where they were."""

import numpy as np
import pytest

from densecorr.errors import AnnotationError, SettingsError
from densecorr.evaluation.densepose_score import ScoreSettings, score_set
from densecorr.evaluation.densepose_types import DensePoseSet, DensePoseTruth, ScoredImage
from densecorr.evaluation.label_results import results_of_labels, spread_labels
from densecorr.records import LabelRecord
from tests.densepose_worlds import N_VERTICES, make_geodesics

XYWH = (10.5, 20.0, 40.9, 30.2)


def label(
    x: list[float],
    y: list[float],
    vertex: list[int],
    instance: str = "toys/7",
    score: np.ndarray | None = None,
) -> LabelRecord:
    xy = np.array(x), np.array(y)
    return LabelRecord("l", instance, "m", "zero_shot", "t", *xy, np.array(vertex), score=score)


def truth(identity: int | str = 7, mesh: str = "m", n: int = 6) -> DensePoseTruth:
    rng = np.random.default_rng(0)
    dp = rng.uniform(20, 230, (n, 2))
    return DensePoseTruth(identity, 1, 2, XYWH, 900.0, dp, rng.integers(0, N_VERTICES, n), mesh)


def test_pixels_take_the_nearest_label_within_reach() -> None:
    """By brute force over all pixels of the box, whose corner is cut to whole pixels."""
    rng = np.random.default_rng(1)
    x, y = rng.uniform(8, 55, 12), rng.uniform(15, 55, 12)
    vertex = rng.integers(0, 60, 12)
    vertex[3] = -1  # not known: as if it were not there
    spread = spread_labels(label(x.tolist(), y.tolist(), vertex.tolist()), XYWH, 6.0)
    assert spread.shape == (30, 40)
    known = vertex >= 0
    for row, column in np.ndindex(spread.shape):
        distance = np.hypot(x[known] - (10 + column), y[known] - (20 + row))
        nearest = vertex[known][distance.argmin()] if distance.min() <= 6.0 else -1
        assert spread[row, column] == nearest


def test_reach_is_inclusive() -> None:
    spread = spread_labels(label([14.0], [25.0], [9]), XYWH, 3.0)
    assert spread[5, 4] == spread[5, 7] == spread[5, 1] == spread[2, 4] == 9
    assert spread[5, 8] == spread[8, 5] == -1
    assert (spread_labels(label([14.0], [25.0], [9]), XYWH, 0.0) >= 0).sum() == 1
    assert (spread_labels(label([14.5], [25.0], [9]), XYWH, 0.0) == -1).all()  # no pixel's centre


def test_a_box_thinner_than_a_pixel_and_labels_without_a_vertex() -> None:
    assert spread_labels(label([3.0], [4.0], [40_000]), (3.2, 4.0, 0.5, 0.2), 1.0).tolist() == [[40_000]]
    assert (spread_labels(label([14.0, np.nan], [25.0, 20.0], [-1, 3]), XYWH, 50.0) == -1).all()
    assert (spread_labels(label([], [], []), XYWH, 50.0) == -1).all()


def test_scores_boxes_and_ids() -> None:
    rows = [
        label([14.0], [25.0], [1], "a/7"),
        label([14.0, 15.0], [25.0, 25.0], [1, 2], "a/x/8", score=np.array([0.25, 0.75], np.float32)),
        label([14.0], [25.0], [5], "a/7", score=np.array([np.nan])),
    ]
    first, second = results_of_labels(rows, [truth(), truth("x/8", "n")], 8.0)
    assert (first.number, first.image_id, first.category_id, first.xywh) == (0, 1, 2, XYWH)
    assert first.load()[5, 4] == 5  # the last set of an instance counts
    assert (first.score, second.score) == (1.0, 0.5)
    assert second.mesh == "m"  # annotated with n: scoring asks for a map
    assert results_of_labels([label([14.0], [25.0], [1], "a/7")], [truth(mesh="n")], 8.0)[0].mesh is None


def test_true_labels_score_in_full() -> None:
    """Labels at the annotated points score AP 100 by both protocols (they differ by half a pixel)."""
    one = truth()
    assert one.dp is not None
    xy = one.dp * np.array([XYWH[2], XYWH[3]]) / 256.0 + np.array([XYWH[0], XYWH[1]]) - 0.5
    found = results_of_labels([label(xy[:, 0].tolist(), xy[:, 1].tolist(), one.vertex.tolist())], [one], 2.0)
    scored = DensePoseSet(
        (ScoredImage(1, 100, 100),), {2: "cow"}, (one,), found, {"m": make_geodesics(0)}, {}
    )
    scores = score_set(scored, ScoreSettings())
    assert [score.figures["AP"] for score in scores.values()] == pytest.approx([100.0, 100.0])


def test_bad_input_is_named() -> None:
    with pytest.raises(AnnotationError, match=r"'toys/9', which none of 1 annotations is"):
        results_of_labels([label([1.0], [2.0], [3], "toys/9")], [truth()], 8.0)
    for reach in (-1.0, float("nan"), float("inf")):
        with pytest.raises(SettingsError, match="a reach of at least 0 pixels"):
            results_of_labels([], [truth()], reach)
