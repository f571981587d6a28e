"""Average precision of boxes and silhouettes by COCO's own evaluator (pycocotools), with its names, in percent.

Nothing is scored here: files are checked, handed over, and the evaluator's twelve figures are named. Annotations are
renumbered from 1 for it, because it takes an annotation with the id 0 for unmatched.
"""

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ..datasets.checks import check_box, check_rle
from ..datasets.coco_types import Rle
from ..errors import AnnotationError, EmptyInstanceError
from .coco_statistic import CocoStatistic
from .densepose_files import read_json

Kind = Literal["bbox", "segm"]
NAMES: tuple[str, ...] = (
    "AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl",
)  # fmt: skip


@dataclass(frozen=True)
class CocoScores:
    """The evaluator's figures in percent; what it gives as -1 (no such object) is absent and named in `undefined`.

    `by_category` has AP, AP50 and the number of objects of each category that has objects. `statistic` gives `NAMES`,
    then AP and AP50 of each of `categories`, under counts of `image_ids`, the evaluator's own order.
    """

    figures: dict[str, float]
    undefined: tuple[str, ...]
    by_category: dict[str, dict[str, float]]
    n_objects: int
    image_ids: tuple[Any, ...]
    statistic: CocoStatistic
    categories: tuple[str, ...]


def read_coco_truth(path: Path, kind: Kind) -> dict[str, Any]:
    """A COCO annotation file for the evaluator, checked.

    Raises:
        DatasetNotFoundError: no such file.
        AnnotationError: another form, repeated ids, or an annotation that cannot be scored.
        EmptyInstanceError: no annotations.
    """
    data = read_json(path, "COCO annotations", dict[str, Any])
    for name in ("images", "annotations", "categories"):
        rows = data.get(name)
        if not isinstance(rows, list) or not all(isinstance(row, dict) and "id" in row for row in rows):
            raise AnnotationError(
                f"a list `{name}` of objects with an id", f"none in {path}", "Name a COCO file."
            )
        ids = [row["id"] for row in rows]
        if len(set(ids)) != len(ids):
            twice = next(one for one in ids if ids.count(one) > 1)
            raise AnnotationError(f"ids of `{name}` once each", f"{twice} repeated", "Correct the file.")
    if not data["annotations"]:
        raise EmptyInstanceError("at least one annotation", f"none in {path}", "Name a file with objects.")
    images, categories = {row["id"]: row for row in data["images"]}, {row["id"] for row in data["categories"]}
    for row in data["annotations"]:
        where = f"annotation {row['id']}"
        _check_ids(row, images, categories, where)
        _check_shape(row, images[row["image_id"]], kind, where)
        if not isinstance(row.get("area"), int | float):
            raise AnnotationError(
                "an area", f"none in {where}", "COCO's size classes need it; write the object's pixels."
            )
    return data


def read_coco_results(path: Path, truth: dict[str, Any], kind: Kind) -> list[dict[str, Any]]:
    """A COCO result file, checked against the annotations.

    Raises:
        DatasetNotFoundError: no such file.
        AnnotationError: another form, or a result of an image or category that the annotations do not have.
        EmptyInstanceError: no results.
    """
    results = read_json(path, "a list of COCO results", list[dict[str, Any]])
    if not results:
        raise EmptyInstanceError(
            "at least one result", f"none in {path}", "Without results there is no score."
        )
    images, categories = (
        {row["id"]: row for row in truth["images"]},
        {row["id"] for row in truth["categories"]},
    )
    for number, row in enumerate(results):
        where = f"result {number}"
        score = row.get("score")
        if not isinstance(score, int | float) or not np.isfinite(score):
            raise AnnotationError("a finite score", f"{score} in {where}", "Score each detection.")
        _check_ids(row, images, categories, where)
        _check_shape(row, images[row["image_id"]], kind, where)
    return results


def score_coco(truth: dict[str, Any], results: Sequence[dict[str, Any]], kind: Kind) -> CocoScores:
    """COCOeval's figures for checked annotations and results; nothing is printed."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    annotations = [
        {**row, "id": number, "iscrowd": int(bool(row.get("iscrowd", 0)))}
        for number, row in enumerate(truth["annotations"], start=1)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        true = COCO()
        dataset: Any = {
            "images": truth["images"],
            "annotations": annotations,
            "categories": truth["categories"],
        }
        true.dataset = dataset
        true.createIndex()
        given = [_as_read(row, kind) for row in results]
        read: Any = true.loadRes(given)  # pyright: ignore[reportArgumentType] its stub lacks a list
        evaluator = COCOeval(true, read, kind)
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    values = dict(zip(NAMES, np.asarray(evaluator.stats, dtype=np.float64).tolist(), strict=True))
    precision = np.asarray(evaluator.eval["precision"])  # (IoU, recall, category, area, detections)
    labels = [str(row.get("name", row["id"])) for row in truth["categories"]]
    named = {
        row["id"]: label if labels.count(label) == 1 else f"{label} ({row['id']})"
        for label, row in zip(labels, truth["categories"], strict=True)
    }
    by_category = {}
    for column, category in enumerate(evaluator.params.catIds):
        table = precision[:, :, column, 0, -1]
        if not (table > -1).any():
            continue
        by_category[named[category]] = {
            "AP": 100.0 * float(table.mean()),
            "AP50": 100.0 * float(table[0].mean()),
            "objects": float(sum(row["category_id"] == category for row in annotations)),
        }
    return CocoScores(
        {name: 100.0 * value for name, value in values.items() if value > -1},
        tuple(name for name, value in values.items() if value <= -1),
        by_category,
        len(annotations),
        tuple(evaluator.params.imgIds),
        CocoStatistic(evaluator),
        tuple(named[category] for category in evaluator.params.catIds),
    )


def _as_read(row: dict[str, Any], kind: Kind) -> dict[str, Any]:
    """A result with its box or its mask alone, run lengths compressed as `loadRes` needs them."""
    kept = {key: row[key] for key in ("image_id", "category_id", "score")}
    if kind == "bbox":
        return {**kept, "bbox": row["bbox"]}
    from pycocotools import mask

    shape = row["segmentation"]
    if isinstance(shape["counts"], list):
        shape = mask.frPyObjects(shape, *shape["size"])  # pyright: ignore[reportCallIssue, reportArgumentType] its stub lacks a dict
    return {**kept, "segmentation": shape}


def _check_ids(
    row: dict[str, Any], images: dict[Any, dict[str, Any]], categories: set[Any], where: str
) -> None:
    if row.get("image_id") not in images:
        raise AnnotationError(
            "images of the annotation file",
            f"image_id {row.get('image_id')} in {where}",
            "Score the results on the image set they were made for.",
        )
    if row.get("category_id") not in categories:
        known = ", ".join(str(one) for one in sorted(categories, key=str)[:8])
        raise AnnotationError(
            f"category ids of the annotation file: {known}",
            f"{row.get('category_id')} in {where}",
            "Map the results' categories to the annotations' first.",
        )


def _check_shape(row: dict[str, Any], image: dict[str, Any], kind: Kind, where: str) -> None:
    try:
        if kind == "bbox":
            if not isinstance(row.get("bbox"), list):
                raise AnnotationError("a box x, y, width, height", str(row.get("bbox")), "Write `bbox`.")
            check_box(row["bbox"])
            return
        shape, height, width = row.get("segmentation"), image.get("height"), image.get("width")
        if not (isinstance(height, int) and isinstance(width, int)):
            raise AnnotationError(
                "the image's height and width", f"none for image {image['id']}", "Masks need them."
            )
        if isinstance(shape, dict) and {"size", "counts"} <= set(shape):
            check_rle(Rle(shape["size"], shape["counts"]), height, width)
        elif not (where.startswith("annotation") and isinstance(shape, list) and shape):
            raise AnnotationError(
                "a segmentation: run lengths (annotations also: polygons)", str(shape)[:60], "Write one."
            )
    except AnnotationError as error:
        expected, received, remedy = error.args
        raise AnnotationError(expected, f"{received} in {where}", remedy) from error
