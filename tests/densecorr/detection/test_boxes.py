import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from densecorr.detection.boxes import best_boxes, clip_boxes, overlap, usable_boxes


def some_boxes(seed: int, n: int = 12) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    xywh = np.concatenate([rng.uniform(-5, 40, (n, 2)), rng.uniform(1, 30, (n, 2))], axis=1)
    return xywh, rng.uniform(0.1, 1.0, n)


def test_overlap_by_hand() -> None:
    box, others = (
        np.array([[0.0, 0.0, 10.0, 10.0]]),
        np.array([[5.0, 0.0, 10.0, 10.0], [20.0, 0.0, 5.0, 5.0]]),
    )
    assert_allclose(overlap(box, others, np.zeros(2, dtype=bool)), [[50 / 150, 0.0]])
    assert_allclose(overlap(box, others, np.array([True, False])), [[50 / 100, 0.0]])  # a crowd
    assert overlap(box, np.zeros((0, 4)), np.zeros(0, dtype=bool)).shape == (1, 0)


@settings(deadline=None)
@given(st.integers(0, 1000), st.sampled_from([0.2, 0.5, 0.8]))
def test_what_is_kept_does_not_overlap_and_what_is_not_overlaps_something_better(
    seed: int, nms: float
) -> None:
    xywh, score = some_boxes(seed)
    kept = best_boxes(xywh, score, nms)
    assert (np.diff(score[kept]) <= 0).all()
    shared = overlap(xywh, xywh, np.zeros(len(xywh), dtype=bool))
    assert (shared[np.ix_(kept, kept)][~np.eye(len(kept), dtype=bool)] <= nms + 1e-6).all()
    for lost in np.setdiff1d(np.arange(len(xywh)), kept):
        assert (shared[lost, kept][score[kept] >= score[lost]] > nms - 1e-6).any()


def test_no_boxes() -> None:
    assert_array_equal(best_boxes(np.zeros((0, 4)), np.zeros(0), 0.5), [])


def test_clipping_keeps_what_is_inside_and_marks_what_is_not() -> None:
    boxes = np.array([[-2.0, -2, 10, 10], [5, 5, 100, 100], [70, 5, 5, 5], [np.nan, 0, 5, 5], [3, 3, 0.4, 5]])
    clipped = clip_boxes(boxes, 48, 60)
    assert_allclose(clipped[:2], [[0, 0, 8, 8], [5, 5, 55, 43]])
    assert_array_equal(usable_boxes(clipped), [True, True, False, False, False])
