"""COCO's evaluator behind our names: figures by hand, and files that it would choke on."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from pycocotools import mask

from densecorr.errors import AnnotationError, DatasetNotFoundError, EmptyInstanceError
from densecorr.evaluation.coco_detection import NAMES, read_coco_results, read_coco_truth, score_coco

SHARED = Path(os.environ.get("DENSECORR_SHARED_DATA", Path(__file__).parents[4] / "shared" / "data"))
REAL = SHARED / "mmpose/coco/test_coco.json"


def coco(n: int = 4) -> dict[str, Any]:
    return {
        "images": [{"id": one, "height": 100, "width": 100} for one in range(n)],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        "annotations": [
            {"id": one, "image_id": one, "category_id": 1, "bbox": [10, 10, 40, 40], "area": 1600, "iscrowd": 0,
             "segmentation": [[10, 10, 50, 10, 50, 50, 10, 50]]}
            for one in range(n)
        ],
    }  # fmt: skip


def result(image: int, x: float = 10.0, score: float = 0.9) -> dict[str, Any]:
    pixels = np.zeros((100, 100), dtype=np.uint8, order="F")
    pixels[10:50, int(x) : int(x) + 40] = 1
    rle = mask.encode(pixels)
    segmentation = {"size": rle["size"], "counts": rle["counts"].decode()}
    return {
        "image_id": image,
        "category_id": 1,
        "bbox": [x, 10, 40, 40],
        "score": score,
        "segmentation": segmentation,
    }


def write(path: Path, value: Any) -> Path:
    path.write_text(json.dumps(value))
    return path


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_perfect_results_score_100_even_for_the_annotation_0(kind, tmp_path: Path, capsys) -> None:
    truth = read_coco_truth(write(tmp_path / "gt.json", coco()), kind)
    results = read_coco_results(write(tmp_path / "p.json", [result(one) for one in range(4)]), truth, kind)
    found = score_coco(truth, results, kind)
    assert_allclose([found.figures[name] for name in ("AP", "AP50", "APm", "AR1", "AR100")], 100.0)
    assert found.undefined == ("APs", "APl", "ARs", "ARl")
    assert found.by_category == {
        "cat": {"AP": pytest.approx(100.0), "AP50": pytest.approx(100.0), "objects": 4.0}
    }
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_half_found_is_half_of_the_recall(kind) -> None:
    found = score_coco(coco(), [result(0), result(1)], kind)
    assert_allclose(found.figures["AR100"], 50.0)
    assert_allclose(found.figures["AP"], 100.0 * 51 / 101)  # precision 1 at recall 0, .01, ..., .50


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_a_shifted_box_counts_up_to_its_iou(kind) -> None:
    found = score_coco(coco(), [result(one, x=18.0) for one in range(4)], kind)  # IoU 32 / 48
    assert_allclose(found.figures["AP"], 100.0 * 4 / 10)  # .50, .55, .60, .65
    assert_allclose((found.figures["AP50"], found.figures["AP75"]), (100.0, 0.0))


@pytest.mark.skipif(not REAL.is_file(), reason="no shared data: set DENSECORR_SHARED_DATA")
@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_real_annotations_as_their_own_results_score_100(kind, tmp_path: Path) -> None:
    truth = read_coco_truth(REAL, kind)
    sizes = {one["id"]: (one["height"], one["width"]) for one in truth["images"]}
    given = [
        {"image_id": one["image_id"], "category_id": one["category_id"], "bbox": one["bbox"], "score": 0.5,
         "segmentation": as_run_lengths(one["segmentation"], *sizes[one["image_id"]])}
        for one in truth["annotations"]
    ]  # fmt: skip
    results = read_coco_results(write(tmp_path / "p.json", given), truth, kind)
    figures = score_coco(truth, results, kind).figures
    assert_allclose([figures["AP"], figures["AR100"]], 100.0)


def as_run_lengths(polygons: list[list[float]], height: int, width: int) -> dict[str, Any]:
    rle = mask.merge(mask.frPyObjects(polygons, height, width))
    return {"size": rle["size"], "counts": rle["counts"].decode()}


def test_run_lengths_as_lists_are_the_same(tmp_path: Path) -> None:
    plain = result(0)
    plain["segmentation"] = {
        "size": [100, 100],
        "counts": [1010, *[40, 60] * 39, 40, 100 * 100 - 1010 - 39 * 100 - 40],
    }
    truth = read_coco_truth(write(tmp_path / "gt.json", coco(1)), "segm")
    results = read_coco_results(write(tmp_path / "p.json", [plain]), truth, "segm")
    assert_allclose(score_coco(truth, results, "segm").figures["AP"], 100.0)


def test_results_that_do_not_fit(tmp_path: Path) -> None:
    truth = coco()
    for changed, message in (
        ({"image_id": 77}, "image_id 77 in result 1"),
        ({"category_id": 9}, "category ids of the annotation file: 1, 2; received 9 in result 1"),
        ({"score": None}, "a finite score; received None in result 1"),
        ({"bbox": [1, 2, -3, 4]}, "in result 1"),
        ({"bbox": None}, "a box x, y, width, height; received None in result 1"),
    ):
        path = write(tmp_path / "p.json", [result(0), result(1) | changed])
        with pytest.raises(AnnotationError, match=message):
            read_coco_results(path, truth, "bbox")
    for segmentation in (None, [[1, 1, 5, 1, 5, 5]], {"size": [50, 100], "counts": [5000]}):
        path = write(tmp_path / "p.json", [result(0) | {"segmentation": segmentation}])
        with pytest.raises(AnnotationError, match="in result 0"):
            read_coco_results(path, truth, "segm")
    (tmp_path / "p.json").write_text('[{"score": NaN}]')
    with pytest.raises(AnnotationError, match="NaN or infinity"):
        read_coco_results(tmp_path / "p.json", truth, "bbox")
    with pytest.raises(EmptyInstanceError, match="at least one result"):
        read_coco_results(write(tmp_path / "p.json", []), truth, "bbox")
    with pytest.raises(DatasetNotFoundError, match="no such file"):
        read_coco_results(tmp_path / "none.json", truth, "bbox")


def test_annotations_that_do_not_fit(tmp_path: Path) -> None:
    bad = coco()
    del bad["annotations"][2]["area"]
    with pytest.raises(AnnotationError, match="an area; received none in annotation 2"):
        read_coco_truth(write(tmp_path / "gt.json", bad), "bbox")
    bad = coco()
    bad["annotations"][1]["id"] = 0
    with pytest.raises(AnnotationError, match="ids of `annotations` once each; received 0 repeated"):
        read_coco_truth(write(tmp_path / "gt.json", bad), "bbox")
    bad = coco()
    del bad["images"][0]["width"]
    with pytest.raises(AnnotationError, match="the image's height and width; received none for image 0"):
        read_coco_truth(write(tmp_path / "gt.json", bad), "segm")
    with pytest.raises(AnnotationError, match="a list `categories`"):
        read_coco_truth(write(tmp_path / "gt.json", {"images": [], "annotations": []}), "bbox")
    with pytest.raises(EmptyInstanceError, match="at least one annotation"):
        read_coco_truth(write(tmp_path / "gt.json", coco() | {"annotations": []}), "bbox")


def crowded(n_images: int, seed: int, *, ties: bool = False) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Objects of all sizes, crowds, and results that hit, miss and repeat; one category is never there."""
    rng = np.random.default_rng(seed)
    truth: dict[str, Any] = coco(n_images) | {"annotations": []}
    truth["images"] = [{"id": 7 * one, "height": 400, "width": 400} for one in range(n_images)]
    truth["categories"].append({"id": 3, "name": "unicorn"})
    results = []
    for image in truth["images"]:
        for _ in range(rng.integers(0, 6)):
            side = float(rng.choice([15, 50, 150]))
            box = [*rng.uniform(0, 240, 2).tolist(), side, side * float(rng.uniform(0.5, 1))]
            category = int(rng.integers(1, 3))
            truth["annotations"].append(
                {"id": len(truth["annotations"]), "image_id": image["id"], "category_id": category, "bbox": box,
                 "area": box[2] * box[3], "iscrowd": int(rng.random() < 0.1)}
            )  # fmt: skip
            for _ in range(rng.integers(0, 4)):
                score = float(rng.integers(3)) if ties else float(rng.random())
                shifted = [*(np.array(box[:2]) + rng.normal(0, side / 8, 2)).tolist(), *box[2:]]
                results.append(
                    {"image_id": image["id"], "category_id": category, "bbox": shifted, "score": score}
                )
    return truth, results


def copies(truth: dict[str, Any], results: list[dict[str, Any]], ids: list[int], counts: list[int]) -> Any:
    """The data set in which each image stands as often as it was drawn."""
    images, annotations, found = [], [], []
    for image_id, count in zip(ids, counts, strict=True):
        for _ in range(count):
            new = len(images)
            images.append({"id": new, "height": 400, "width": 400})
            annotations += [a | {"image_id": new} for a in truth["annotations"] if a["image_id"] == image_id]
            found += [r | {"image_id": new} for r in results if r["image_id"] == image_id]
    annotations = [a | {"id": number} for number, a in enumerate(annotations)]
    return truth | {"images": images, "annotations": annotations}, found


def test_weighted_figures_are_the_evaluators_own_on_as_many_copies() -> None:
    truth, results = crowded(12, seed=0)
    found = score_coco(truth, results, "bbox")
    rng = np.random.default_rng(1)
    for counts in rng.multinomial(12, np.full(12, 1 / 12), size=8).tolist():
        weighted = found.statistic(np.array([counts], dtype=np.float64))[0]
        own = score_coco(*copies(truth, results, list(found.image_ids), counts), "bbox")
        expected = [own.figures.get(name, np.nan) for name in NAMES]
        expected += [
            own.by_category.get(name, {}).get(figure, np.nan)
            for name in found.categories
            for figure in ("AP", "AP50")
        ]
        assert_allclose(weighted, expected, rtol=1e-9)
    assert np.isnan(found.statistic(np.zeros((2, 12)))).all()


def test_each_image_once_is_the_evaluators_figure_even_with_equal_scores() -> None:
    found = score_coco(*crowded(15, seed=3, ties=True), "bbox")
    once = found.statistic(np.ones((1, 15)))[0]
    assert_allclose(once[:12], [found.figures.get(name, np.nan) for name in NAMES], rtol=1e-9)


def test_no_result_is_a_hit() -> None:
    found = score_coco(coco(), [result(0) | {"category_id": 2}], "bbox")
    assert_allclose(found.statistic(np.ones((1, 4)))[0][:2], 0.0)
    assert found.figures["AP"] == 0.0
