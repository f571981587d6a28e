"""Invariants of DensePose AP, and what the corrected protocol mends, on sets made of a plane."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from densecorr.evaluation.bootstrap import BootstrapSettings, p_value
from densecorr.evaluation.densepose_score import ScoreSettings, score_set
from densecorr.evaluation.densepose_slices import compare_scores, slice_scores
from densecorr.evaluation.densepose_types import DensePoseDetection, DensePoseSet, DensePoseTruth, ScoredImage
from tests.densepose_worlds import make_geodesics

D = make_geodesics(0)
BOTH = ("reference", "corrected")


def make_set(seed: int, n_images: int = 4, **changes) -> DensePoseSet:
    """Every object found exactly: a detection says each point's vertex at its pixel and around it."""
    rng = np.random.default_rng(seed)
    images, truths, detections = [], [], []
    for image_id in range(1, n_images + 1):
        images.append(ScoredImage(image_id, 200, 200))
        for column in range(2):
            xywh = (10.0 + 95 * column, 20.0, 80.0, 100.0)
            cells = rng.integers(N_CELLS, size=(12, 2))
            vertices = rng.integers(len(D), size=(N_CELLS, N_CELLS))
            dp = (cells + 0.5) * 256 / N_CELLS
            mask = np.zeros((200, 200), dtype=np.uint8)
            mask[20:120, int(xywh[0]) : int(xywh[0]) + 80] = 1
            truths.append(
                DensePoseTruth(
                    id=len(truths) + 1, image_id=image_id, category_id=1 + image_id % 2, xywh=xywh, area=8000.0, dp=dp,
                    vertex=vertices[cells[:, 1], cells[:, 0]], mesh="plane", segmentation=encode(mask),
                )
            )  # fmt: skip
            grid = vertices[np.arange(100) * N_CELLS // 100][:, np.arange(80) * N_CELLS // 80]
            detections.append(
                DensePoseDetection(
                    len(detections),
                    image_id,
                    1 + image_id % 2,
                    float(rng.random()),
                    xywh,
                    grid.astype(np.int32),
                )
            )
    values = {"images": images, "truths": truths, "detections": detections} | changes
    return DensePoseSet(
        tuple(values["images"]),
        {1: "cow", 2: "horse"},
        tuple(values["truths"]),
        tuple(values["detections"]),
        {"": D},
        {},
    )


N_CELLS = 8


def encode(mask: np.ndarray) -> dict:
    from pycocotools import mask as coco_mask

    return coco_mask.encode(np.asfortranarray(mask))


def figures(scored: DensePoseSet, metric="gps") -> dict:
    found = score_set(scored, ScoreSettings((metric,)))
    return {protocol: found[protocol, metric].figures for protocol in BOTH}


def with_detections(scored: DensePoseSet, detections) -> DensePoseSet:
    return DensePoseSet(
        scored.images, scored.categories, scored.truths, tuple(detections), scored.geodesics, {}
    )


@pytest.mark.parametrize("metric", ["gps", "gpsm", "segm-iou"])
def test_a_perfect_prediction_has_an_ap_of_100(metric):
    for values in figures(make_set(0), metric).values():
        assert values["AP"] == values["AR"] == values["AP50"] == pytest.approx(100)


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 50), st.integers(0, 7), st.floats(0, 1))
def test_a_duplicate_never_raises_ap(seed, index, share):
    scored = make_set(seed)
    blurred = [blur(d, seed + d.number) for d in scored.detections]
    before = figures(with_detections(scored, blurred))
    one = blurred[index]
    copied = DensePoseDetection(99, one.image_id, one.category_id, one.score * share, one.xywh, one.vertices)
    after = figures(with_detections(scored, [*blurred, copied]))
    for protocol in BOTH:
        assert after[protocol]["AP"] <= before[protocol]["AP"] + 1e-9


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 50), st.randoms(use_true_random=False))
def test_the_order_of_images_and_results_does_not_matter(seed, random):
    scored = make_set(seed)
    blurred = [blur(d, seed + d.number) for d in scored.detections]
    before = figures(with_detections(scored, blurred))
    images, detections, truths = list(scored.images), list(blurred), list(scored.truths)
    for rows in (images, detections, truths):
        random.shuffle(rows)
    after = figures(make_set(seed, images=images, detections=detections, truths=truths))
    for protocol in BOTH:
        assert after[protocol] == pytest.approx(before[protocol], nan_ok=True)


def test_a_false_detection_lowers_ap_in_both():
    scored = make_set(1)
    wrong = DensePoseDetection(99, 1, 2, 2.0, (0.0, 130.0, 40.0, 50.0), np.zeros((50, 40), dtype=np.int32))
    for values in figures(with_detections(scored, [*scored.detections, wrong])).values():
        assert values["AP"] < 99


def test_an_image_without_annotations_counts_in_the_corrected_protocol_only():
    scored = make_set(1)
    empty = [*scored.images, ScoredImage(50, 200, 200)]
    wrong = DensePoseDetection(99, 50, 2, 2.0, (0.0, 0.0, 40.0, 50.0), np.zeros((50, 40), dtype=np.int32))
    found = figures(make_set(1, images=empty, detections=[*scored.detections, wrong]))
    assert found["reference"]["AP"] == pytest.approx(100)
    assert found["corrected"]["AP"] < 99


def test_ignored_and_crowd_annotations_are_honoured_in_the_corrected_protocol_only():
    from dataclasses import replace

    scored = make_set(1)
    first = replace(scored.truths[0], ignore=True)
    missed = with_detections(make_set(1, truths=[first, *scored.truths[1:]]), scored.detections[1:])
    found = figures(missed)
    assert found["corrected"]["AR"] == pytest.approx(100)
    assert found["reference"]["AR"] < 99


def test_a_missing_area_range_is_minus_100_or_undefined():
    found = figures(make_set(2))
    assert found["reference"]["APl"] == -100
    assert np.isnan(found["corrected"]["APl"])


def test_slices_and_comparisons():
    scored = make_set(3, n_images=6)
    few = BootstrapSettings(n_resamples=100)
    good = score_set(scored, ScoreSettings())["reference", "gps"]
    poor = score_set(with_detections(scored, scored.detections[:5]), ScoreSettings())["reference", "gps"]
    slices = slice_scores(good, scored.truths, scored.categories, few)
    assert slices["category"]["cow"][0].value == pytest.approx(100)
    assert {name: n for name, (_, n) in slices["category"].items()} == {"cow": 6, "horse": 6}
    interval, p = compare_scores(good, poor, few)["AR"]
    assert interval.value == pytest.approx(good.figures["AR"] - poor.figures["AR"])
    assert p is not None
    assert p < 0.05
    same, p = compare_scores(good, good, few)["AR"]
    assert (same.value, same.low, same.high, p) == (0, 0, 0, 1)


def test_p_values():
    assert p_value(np.array([1.0, 2.0, 3.0])) == 0
    assert p_value(np.array([-1.0, 1.0])) == 1
    assert p_value(np.array([-1.0, 1.0, 1.0, 1.0])) == 0.5
    assert p_value(np.array([np.nan])) is None


def blur(detection: DensePoseDetection, seed: int) -> DensePoseDetection:
    rng = np.random.default_rng(seed)
    vertices = np.asarray(detection.vertices).copy()
    wrong = rng.random(vertices.shape) < rng.uniform(0, 0.5)
    vertices[wrong] = rng.integers(len(D), size=wrong.sum())
    return DensePoseDetection(
        detection.number, detection.image_id, detection.category_id, detection.score, detection.xywh, vertices
    )
