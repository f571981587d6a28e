"""Average precision of COCO result files, by pycocotools."""

from pathlib import Path
from typing import Literal

from .field_scores import FieldOptions, FieldScores


def score_bbox(gt: Path, pred: Path, options: FieldOptions) -> FieldScores:
    """COCO's detection figures."""
    return _score(gt, pred, "bbox")


def score_segm(gt: Path, pred: Path, options: FieldOptions) -> FieldScores:
    """COCO's instance segmentation figures."""
    return _score(gt, pred, "segm")


def _score(gt: Path, pred: Path, kind: Literal["bbox", "segm"]) -> FieldScores:
    from densecorr.evaluation.coco_detection import read_coco_results, read_coco_truth, score_coco

    truth = read_coco_truth(gt, kind)
    found = score_coco(truth, read_coco_results(pred, truth, kind), kind)
    absent = f"; no such objects for {', '.join(found.undefined)}" if found.undefined else ""
    rule = (
        f"pycocotools' COCOeval, {kind}: IoU .50:.05:.95, 101 recall points, 100 detections an image and category, "
        f"areas in pixels: s < 32^2 <= m < 96^2 <= l; mean over categories; percent{absent}"
    )
    tables = {"category": [{"category": name, **row} for name, row in found.by_category.items()]}
    images = [str(row["id"]) for row in truth["images"]]
    return FieldScores(found.figures, {}, {}, images, rule, found.n_objects, {}, tables)
