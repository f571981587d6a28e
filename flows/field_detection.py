"""Average precision of COCO result files, by pycocotools, with intervals over images."""

from pathlib import Path
from typing import Literal

from densecorr.evaluation.bootstrap import Interval

from .field_scores import FieldOptions, FieldScores, unit_intervals


def score_bbox(gt: Path, pred: Path, options: FieldOptions) -> FieldScores:
    """COCO's detection figures."""
    return _score(gt, pred, "bbox", options)


def score_segm(gt: Path, pred: Path, options: FieldOptions) -> FieldScores:
    """COCO's instance segmentation figures."""
    return _score(gt, pred, "segm", options)


def _score(gt: Path, pred: Path, kind: Literal["bbox", "segm"], options: FieldOptions) -> FieldScores:
    from densecorr.evaluation.coco_detection import NAMES, read_coco_results, read_coco_truth, score_coco

    truth = read_coco_truth(gt, kind)
    found = score_coco(truth, read_coco_results(pred, truth, kind), kind)
    absent = f"; no such objects for {', '.join(found.undefined)}" if found.undefined else ""
    rule = (
        f"pycocotools' COCOeval, {kind}: IoU .50:.05:.95, 101 recall points, 100 detections an image and category, "
        f"areas in pixels: s < 32^2 <= m < 96^2 <= l; mean over categories; percent{absent}"
    )
    drawn = unit_intervals([found.statistic], len(found.image_ids), options.bootstrap)[0]
    bounds = dict(zip(NAMES, drawn, strict=False))
    by_category = {
        name: {"AP": drawn[place], "AP50": drawn[place + 1]}
        for place, name in zip(range(len(NAMES), len(drawn), 2), found.categories, strict=True)
    }
    rows = [
        {"category": name, **row}
        | {
            f"{figure}_{end}": getattr(one, end)
            for figure, one in by_category[name].items()
            for end in ("low", "high")
        }
        for name, row in found.by_category.items()
    ]
    intervals = {
        name: Interval(value, bounds[name].low, bounds[name].high) for name, value in found.figures.items()
    }
    images = [str(one) for one in found.image_ids]
    return FieldScores(
        found.figures,
        intervals,
        {},
        images,
        rule,
        found.n_objects,
        tables={"category": rows},
        others={NAMES: found.statistic},
    )
