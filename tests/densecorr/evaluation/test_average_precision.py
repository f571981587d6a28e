import contextlib
import io
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from densecorr.errors import AnnotationError
from densecorr.evaluation.average_precision import (
    AveragePrecisionStatistic,
    ImageSimilarities,
    average_precision,
    interpolated_precision,
)


def make_image(
    similarity: list[list[float]] | np.ndarray,
    score: list[float] | np.ndarray,
    name: str = "i",
    category: str = "c",
) -> ImageSimilarities:
    matrix = np.asarray(similarity, dtype=np.float64)
    n_detections, n_truths = matrix.shape
    return ImageSimilarities(
        image_id=name,
        category=category,
        score=np.asarray(score, dtype=np.float64),
        similarity=matrix,
        detection_area=np.full(n_detections, 50.0**2),
        truth_area=np.full(n_truths, 50.0**2),
        truth_ignore=np.zeros(n_truths, dtype=bool),
        truth_crowd=np.zeros(n_truths, dtype=bool),
        detection_unit=np.zeros(n_detections, dtype=np.int64),
        truth_unit=np.zeros(n_truths, dtype=np.int64),
    )


def take(image: ImageSimilarities, detections: np.ndarray | list[int]) -> ImageSimilarities:
    """The image with its detections picked, repeated or reordered."""
    return replace(
        image,
        score=image.score[detections],
        similarity=image.similarity[detections],
        detection_area=image.detection_area[detections],
        detection_unit=image.detection_unit[detections],
    )


@st.composite
def clear_images(draw: st.DrawFn) -> list[ImageSimilarities]:
    """Images in which each detection resembles one truth at most; equal scores are common."""
    images = []
    for index in range(draw(st.integers(1, 3))):
        n_truths, n_detections = draw(st.integers(1, 4)), draw(st.integers(1, 7))
        matrix = np.zeros((n_detections, n_truths))
        for row in matrix:
            row[draw(st.integers(0, n_truths - 1))] = draw(
                st.sampled_from([0.0, 0.4, 0.5, 0.62, 0.77, 0.9, 1.0])
            )
        score = draw(st.lists(st.integers(0, 4), min_size=n_detections, max_size=n_detections))
        areas = st.sampled_from([20.0**2, 50.0**2, 96.0**2, 150.0**2])
        images.append(
            replace(
                make_image(matrix, score, f"image {index}", draw(st.sampled_from(["cat", "dog"]))),
                detection_area=np.array(draw(st.lists(areas, min_size=n_detections, max_size=n_detections))),
                truth_area=np.array(draw(st.lists(areas, min_size=n_truths, max_size=n_truths))),
                truth_ignore=np.array(draw(st.lists(st.booleans(), min_size=n_truths, max_size=n_truths))),
            )
        )
    return images


def test_one_of_two_found() -> None:
    figures = average_precision([make_image([[0.8, 0.0]], [1.0])])
    assert_allclose(figures["ap50"], 51 / 101)  # recall 0.5: the recall points 0.00 to 0.50 at precision 1
    assert_allclose(figures["ap75"], 51 / 101)
    assert_allclose(figures["ap"], 51 / 101 * 7 / 10)  # found at .50 to .80
    assert_allclose(figures["ar"], 0.5 * 7 / 10)


def test_a_false_one_first() -> None:
    # wrong, right, right: precision 1/2 then 2/3, made monotone 2/3 everywhere
    figures = average_precision([make_image([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], [0.9, 0.8, 0.7])])
    assert_allclose(figures["ap"], 2 / 3)
    assert figures["ar"] == 1.0


def test_a_false_one_between() -> None:
    # right, wrong, right: precision 1 up to recall 1/2 (51 points), then 2/3 (50 points)
    figures = average_precision([make_image([[1.0, 0.0], [0.0, 0.0], [0.0, 1.0]], [0.9, 0.8, 0.7])])
    assert_allclose(figures["ap"], (51 + 50 * 2 / 3) / 101)


def test_equal_scores_enter_together() -> None:
    # one right and one wrong at the same score: one point of the curve, precision 1/2
    for rows in ([[1.0], [0.0]], [[0.0], [1.0]]):
        assert_allclose(average_precision([make_image(rows, [0.5, 0.5])])["ap"], 0.5)


def test_the_better_scored_takes_the_truth() -> None:
    figures = average_precision([make_image([[0.6], [0.9]], [0.9, 0.8])])
    assert_allclose(figures["ap50"], 1.0)  # the second is a false positive after full recall
    assert_allclose(figures["ap75"], 0.5)  # only the second reaches .75


def test_twenty_detections_an_image_count() -> None:
    rows = np.zeros((21, 1))
    rows[20] = 1.0
    image = make_image(rows, np.arange(21, 0, -1))
    assert average_precision([image])["ar"] == 0.0
    assert average_precision([image], max_detections=21)["ar"] == 1.0


def test_categories_are_averaged_and_never_mixed() -> None:
    found, lost = make_image([[1.0]], [1.0], "i", "cat"), make_image(np.zeros((0, 1)), [], "i", "dog")
    assert_allclose(average_precision([found, lost])["ap"], 0.5)


def test_areas_select_truths() -> None:
    small, large = make_image([[1.0]], [1.0], "s"), make_image([[0.0]], [1.0], "l")
    large = replace(large, truth_area=np.array([97.0**2]), detection_area=np.array([97.0**2]))
    figures = average_precision([small, large])
    assert (figures["ap_m"], figures["ap_l"]) == (1.0, 0.0)
    assert np.isnan(average_precision([small])["ap_l"])


def test_nothing_detected_is_zero_and_nothing_to_find_is_undefined() -> None:
    assert average_precision([make_image(np.zeros((0, 2)), [])])["ap"] == 0.0
    assert np.isnan(average_precision([make_image(np.zeros((2, 0)), [0.1, 0.2])])["ap"])


def test_a_false_positive_in_an_image_without_truths_counts() -> None:
    found, empty = make_image([[1.0]], [0.5], "a"), make_image(np.zeros((1, 0)), [0.9], "b")
    assert_allclose(average_precision([found, empty])["ap"], 0.5)


def test_crowds_absorb_and_ignored_truths_do_not_count() -> None:
    image = make_image([[1.0, 0.0], [0.0, 0.9], [0.0, 0.8]], [0.3, 0.9, 0.8])
    assert average_precision([replace(image, truth_crowd=np.array([False, True]))])["ap50"] == 1.0
    ignored = average_precision([replace(image, truth_ignore=np.array([False, True]))])
    assert_allclose(ignored["ap50"], 0.5)  # the second detection of the ignored truth is a false positive


@settings(max_examples=40, deadline=None)
@given(clear_images())
def test_perfect_detections_give_one(images: list[ImageSimilarities]) -> None:
    perfect = [
        replace(
            make_image(
                np.eye(image.similarity.shape[1]), np.zeros(image.similarity.shape[1]), image.image_id
            ),
            truth_ignore=image.truth_ignore,
        )
        for image in images
    ]
    figures = average_precision(perfect)
    if all(image.truth_ignore.all() for image in images):
        assert np.isnan(figures["ap"])
    else:
        assert figures["ap"] == figures["ar"] == 1.0


@settings(max_examples=40, deadline=None)
@given(clear_images(), st.randoms(use_true_random=False))
def test_order_of_images_and_detections_does_not_matter(
    images: list[ImageSimilarities], random: object
) -> None:
    shuffled = [take(image, random.sample(range(len(image.score)), len(image.score))) for image in images]
    random.shuffle(shuffled)
    assert_allclose(list(average_precision(shuffled).values()), list(average_precision(images).values()))


@settings(max_examples=40, deadline=None)
@given(clear_images(), st.data())
def test_a_duplicate_never_raises_ap(images: list[ImageSimilarities], data: st.DataObject) -> None:
    # Holds where a detection resembles one truth at most: with two it may find the second, as in COCO.
    which = data.draw(st.integers(0, len(images) - 1))
    copied = data.draw(st.integers(0, len(images[which].score) - 1))
    more = list(images)
    more[which] = take(images[which], [*range(len(images[which].score)), copied])
    before, after = average_precision(images), average_precision(more)
    for name in ("ap", "ap50", "ap75"):
        assert np.isnan(before[name]) or after[name] <= before[name] + 1e-12


@settings(max_examples=40, deadline=None)
@given(clear_images(), st.integers(0, 2**32 - 1))
def test_drawing_a_unit_twice_equals_having_its_images_twice(
    images: list[ImageSimilarities], seed: int
) -> None:
    counts = np.random.default_rng(seed).integers(0, 3, len(images))
    units = [
        replace(
            image,
            detection_unit=np.full_like(image.detection_unit, i),
            truth_unit=np.full_like(image.truth_unit, i),
        )
        for i, image in enumerate(images)
    ]
    copies = [
        replace(image, image_id=f"{image.image_id} copy {copy}")
        for image, count in zip(images, counts, strict=True)
        for copy in range(count)
    ]
    weighted = AveragePrecisionStatistic(units, len(units))(counts[None].astype(np.float64))[0]
    repeated = list(average_precision(copies).values()) if copies else np.full(10, np.nan)
    assert_allclose(weighted, repeated)


def test_precision_is_read_at_the_recall_reached() -> None:
    true, found = np.array([[1.0, 1.0, 2.0]]), np.array([[1.0, 2.0, 3.0]])
    assert_allclose(interpolated_precision(true, found, np.array([4.0])), [(26 + 25 * 2 / 3) / 101])


def test_bad_input_is_refused() -> None:
    image = make_image([[1.0]], [1.0])
    with pytest.raises(AnnotationError, match="one image"):
        average_precision([])
    with pytest.raises(AnnotationError, match="repeated"):
        average_precision([image, image])
    with pytest.raises(AnnotationError, match="NaN"):
        average_precision([replace(image, score=np.array([np.nan]))])


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_equals_pycocotools_on_boxes(seed: int) -> None:
    evaluator = _coco_evaluation(np.random.default_rng(seed))
    precision, recall = evaluator.eval["precision"], evaluator.eval["recall"]  # (T, R, K, A, 1), (T, K, A, 1)

    def mean(values: np.ndarray) -> float:
        return float(values[values > -1].mean()) if (values > -1).any() else np.nan

    figures = average_precision(_as_similarities(evaluator))
    for name, area in (("ap", 0), ("ap_m", 1), ("ap_l", 2)):
        assert_allclose(figures[name], mean(precision[:, :, :, area]), atol=1e-9)
        assert_allclose(figures[name.replace("ap", "ar")], mean(recall[:, :, area]), atol=1e-9)
    assert_allclose(figures["ap50"], mean(precision[0, :, :, 0]), atol=1e-9)
    assert_allclose(figures["ap75"], mean(precision[5, :, :, 0]), atol=1e-9)


def _coco_evaluation(rng: np.random.Generator) -> COCOeval:
    truths, detections = [], []
    for image in range(1, 7):
        for _ in range(rng.integers(0, 6)):
            xywh = np.r_[rng.uniform(0, 200, 2), rng.uniform(20, 160, 2)]
            category, crowd = int(rng.integers(1, 3)), bool(rng.random() < 0.15)
            truths.append(
                {"id": len(truths) + 1, "image_id": image, "category_id": category, "bbox": xywh.tolist()}
                | {"area": float(xywh[2] * xywh[3] * rng.uniform(0.5, 1)), "iscrowd": int(crowd)}
            )
            for _ in range(rng.integers(0, 4)):
                moved = xywh + rng.normal(0, 8, 4)
                detections.append({"image_id": image, "category_id": category, "bbox": moved.tolist()})
    for _ in range(4):
        box = [float(x) for x in rng.uniform(20, 100, 4)]
        detections.append({"image_id": int(rng.integers(1, 7)), "category_id": 1, "bbox": box})
    for detection in detections:
        detection["score"] = float(rng.random())
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "info": {},
            "images": [{"id": image} for image in range(1, 7)],
            "categories": [{"id": 1}, {"id": 2}],
            "annotations": truths,
        }
        coco.createIndex()
        evaluator = COCOeval(coco, coco.loadRes(detections), "bbox")
        evaluator.params.maxDets = [20]
        evaluator.params.areaRng = [[0, 1e10], [32**2, 96**2], [96**2, 1e10]]
        evaluator.params.areaRngLbl = ["all", "medium", "large"]
        evaluator.evaluate()
        evaluator.accumulate()
    return evaluator


def _as_similarities(evaluator: COCOeval) -> list[ImageSimilarities]:
    images = []
    for key in sorted(evaluator.ious):
        truths = evaluator._gts[key]
        detections = sorted(evaluator._dts[key], key=lambda d: -d["score"])  # the order of its IoU rows
        similarity = np.asarray(evaluator.ious[key]).reshape(len(detections), len(truths))
        images.append(
            replace(
                make_image(similarity, [d["score"] for d in detections], str(key[0]), str(key[1])),
                detection_area=np.array([d["area"] for d in detections], dtype=np.float64),
                truth_area=np.array([t["area"] for t in truths], dtype=np.float64),
                truth_crowd=np.array([bool(t["iscrowd"]) for t in truths], dtype=bool),
            )
        )
    return images
