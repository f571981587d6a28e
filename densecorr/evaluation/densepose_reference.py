"""The figures of detectron2's DensePose evaluator (commit 02b5c4e), to the last bit.

What it does that one would not expect, and that `densepose_corrected` mends:

- a point's frame is 255 wide where training divides by 256, and its pixel is cut towards zero;
- on the human mesh kappa is the part's, where the annotation names the part;
- annotations with points count even if they are crowds or ignored; a crowd can be found many times;
- an image and category without a scored annotation takes its detections out: none is a false positive;
- 20 detections an image and category; areas include both bounds; a detection's area is its box's;
- a detection unmatched at .95 takes the annotation whose box fits best (IoU at least .8) among those free at .95 or
  crowds, and is hidden at all thresholds if that one is, shown at all if it is not;
- a match to an annotation with id 0 counts as none;
- part masks are enlarged with the centres of their corner pixels on the box's.

It stops on boxes wholly outside the image and on `dp_masks` that are one mask; here the first have an empty silhouette
and the second are that mask. Without results it says -1; here AP is 0.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from .average_precision import RECALLS, THRESHOLDS
from .densepose_matching import Matches
from .densepose_types import DensePoseDetection, DensePoseSet, DensePoseTruth, Id, ImageGroup, ScoredImage

MAX_DETECTIONS = 20
IGNORED_SHARE = 0.7  # of a box in ignore regions: the box is dropped
NAMES = ("AP", "AP50", "AP75", "APm", "APl", "AR", "AR50", "AR75", "ARm", "ARl")


def group_by_image(scored: DensePoseSet) -> list[ImageGroup]:
    """What the evaluator looks at, categories first, then images by id, without what lies in regions to ignore."""
    last = {truth.id: truth for truth in scored.truths}  # a repeated id stands for the last one that has it
    images = {image.id: image for image in scored.images}
    by_image: dict[Id, list[DensePoseTruth]] = defaultdict(list)
    for truth in scored.truths:
        if truth.category_id in scored.categories:
            by_image[truth.image_id].append(last[truth.id])
    ordered = sorted(images, key=sort_key)
    regions: dict[Id, Any] = {}
    truths: dict[tuple[Id, Id], list[DensePoseTruth]] = defaultdict(list)
    for truth in (truth for image_id in ordered for truth in by_image[image_id]):
        if truth.image_id not in regions:
            regions[truth.image_id] = ignore_region(images[truth.image_id])
        if _is_kept(truth.xywh, regions[truth.image_id]):
            truths[truth.image_id, truth.category_id].append(truth)
    detections: dict[tuple[Id, Id], list[DensePoseDetection]] = defaultdict(list)
    for detection in scored.detections:
        if _is_kept(detection.xywh, regions.get(detection.image_id)):
            detections[detection.image_id, detection.category_id].append(detection)
    groups = []
    for category in sorted(scored.categories, key=sort_key):
        for image_id in ordered:
            key = (image_id, category)
            if truths[key] or detections[key]:
                best = sorted(detections[key], key=lambda detection: -detection.score)[:MAX_DETECTIONS]
                groups.append(ImageGroup(images[image_id], category, tuple(truths[key]), tuple(best)))
    return groups


def precision_recall(
    matches: Sequence[Matches],
) -> tuple[Float[np.ndarray, "T R"], Float[np.ndarray, " T"]] | None:
    """Precision at 101 recall points and final recall of one category and area; None without an annotation to find."""
    n_truths = sum(int(np.count_nonzero(m.counts)) for m in matches)
    if n_truths == 0:
        return None
    score = np.concatenate([m.score for m in matches])
    by_score = np.argsort(-score, kind="stable")
    matched = np.concatenate([m.matched for m in matches], axis=1)[:, by_score]
    shown = ~np.concatenate([m.hidden for m in matches], axis=1)[:, by_score]
    true = np.cumsum(matched & shown, axis=1).astype(np.float64)
    false = np.cumsum(~matched & shown, axis=1).astype(np.float64)
    precision = np.zeros((len(THRESHOLDS), len(RECALLS)))
    recall = np.zeros(len(THRESHOLDS))
    if len(score) == 0:
        return precision, recall
    reached = true / n_truths
    envelope = np.maximum.accumulate((true / (false + true + np.spacing(1)))[:, ::-1], axis=1)[:, ::-1]
    for t in range(len(THRESHOLDS)):
        place = np.searchsorted(reached[t], RECALLS, side="left")
        inside = place < len(score)
        precision[t, inside] = envelope[t, place[inside]]
    return precision, reached[:, -1]


def summarise(curves: Sequence[Sequence[tuple[np.ndarray, np.ndarray] | None]]) -> dict[str, float]:
    """The ten figures in percent, from the curves by area (all, medium, large) and category; -100 without a truth."""
    figures: dict[str, float] = {}
    for kind, name in ((0, "AP"), (1, "AR")):
        every, medium, large = ([None if c is None else c[kind] for c in row] for row in curves)
        figures[name] = _mean(every)
        figures[f"{name}50"] = _mean([None if c is None else c[:1] for c in every])
        figures[f"{name}75"] = _mean([None if c is None else c[5:6] for c in every])
        figures[f"{name}m"], figures[f"{name}l"] = _mean(medium), _mean(large)
    return {name: figures[name] for name in NAMES}


def _mean(parts: Sequence[np.ndarray | None]) -> float:
    """Mean in percent over thresholds, recalls and categories in the original's order of summation."""
    known = [part for part in parts if part is not None]
    if not known:
        return -100.0
    return float(np.mean(np.stack(known, axis=-1).ravel()) * 100)


def box_ious(group: ImageGroup) -> Float[np.ndarray, "D G"]:
    """IoU of the boxes, by pycocotools; over the detection's area for crowds."""
    from pycocotools import mask as coco_mask

    if not group.truths or not group.detections:
        return np.zeros((len(group.detections), len(group.truths)))
    detections: Any = [list(d.xywh) for d in group.detections]
    truths: Any = [list(t.xywh) for t in group.truths]
    return np.asarray(coco_mask.iou(detections, truths, [int(t.iscrowd) for t in group.truths]))


def ignore_region(image: ScoredImage) -> np.ndarray | None:
    """The image's regions to ignore as one mask (H, W) uint8; None without any."""
    from pycocotools import mask as coco_mask

    if not image.ignore_regions:
        return None
    regions: Any = list(image.ignore_regions)
    return coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(regions, image.height, image.width)))


def _is_kept(xywh: tuple[float, float, float, float], region: np.ndarray | None) -> bool:
    """Whether less than 70 % of a box lies in the regions to ignore (cut to whole pixels; Python's slices)."""
    if region is None:
        return True
    x, y, w, h = (int(value) for value in xywh)
    if w * h == 0:
        return False
    covered = region[y : min(y + h, region.shape[0]), x : min(x + w, region.shape[1])].sum()
    return bool(covered == 0 or covered / w / h < IGNORED_SHARE)


def sort_key(value: Id) -> tuple[bool, Id]:
    """Numbers before texts, each in their own order."""
    return (isinstance(value, str), value)
