"""DensePose scoring with the reference evaluator's quirks mended; each is listed in docs/scoring.md.

- the annotation frame is 256 wide, and a point belongs to the pixel whose centre is nearest;
- one kappa for all points of all meshes (R. A. Guler's thesis, eq. 4.2);
- `iscrowd` and `ignore` are honoured: such annotations, and those without points, are found without being counted;
- an annotation without points takes up detections by the IoU of the boxes, at each threshold like any other;
- images without a scored annotation count: their detections are false positives unless something ignored explains them;
- 100 detections an image and category, as COCO's; a detection's area is its silhouette's;
- equal scores enter the curve together, so that the order of the files does not matter;
- part masks are enlarged edge on edge; boxes beyond the image's left or top edge are cut, not wrapped around.
"""

from collections import defaultdict

import numpy as np
from jaxtyping import Float

from .average_precision import ImageSimilarities
from .densepose_reference import IGNORED_SHARE, box_ious, ignore_region, sort_key
from .densepose_similarity import Metric
from .densepose_types import DensePoseDetection, DensePoseSet, DensePoseTruth, Id, ImageGroup, Xywh

MAX_DETECTIONS = 100


def group_by_image(scored: DensePoseSet) -> list[ImageGroup]:
    """Annotations and best detections by category and image; what lies in regions to ignore is left out."""
    images = {image.id: image for image in scored.images}
    regions = {image.id: ignore_region(image) for image in scored.images}
    truths: dict[tuple[Id, Id], list[DensePoseTruth]] = defaultdict(list)
    detections: dict[tuple[Id, Id], list[DensePoseDetection]] = defaultdict(list)
    for truth in scored.truths:
        if truth.category_id in scored.categories and not _is_covered(truth.xywh, regions[truth.image_id]):
            truths[truth.category_id, truth.image_id].append(truth)
    for detection in scored.detections:
        if not _is_covered(detection.xywh, regions[detection.image_id]):
            detections[detection.category_id, detection.image_id].append(detection)
    groups = []
    for key in sorted(
        truths.keys() | detections.keys(), key=lambda key: (sort_key(key[0]), sort_key(key[1]))
    ):
        best = sorted(detections[key], key=lambda detection: -detection.score)
        groups.append(ImageGroup(images[key[1]], key[0], tuple(truths[key]), tuple(best)))
    return groups


def image_similarities(
    group: ImageGroup,
    similarity: Float[np.ndarray, "D G"],
    detection_area: Float[np.ndarray, " D"],
    metric: Metric,
    unit: int,
) -> ImageSimilarities:
    """What `average_precision` takes: annotations without points by the IoU of boxes, those flagged as ignored."""
    truths = group.truths
    without = np.array([truth.dp is None or len(truth.dp) == 0 for truth in truths], dtype=bool)
    if metric != "segm-iou" and without.any():
        similarity = np.where(without[None, :], box_ious(group), similarity)
    return ImageSimilarities(
        image_id=str(group.image.id),
        category=str(group.category_id),
        score=np.array([d.score for d in group.detections], dtype=np.float64),
        similarity=np.nan_to_num(similarity, nan=0.0),
        detection_area=detection_area,
        truth_area=np.array([truth.area for truth in truths], dtype=np.float64),
        truth_ignore=without | np.array([truth.ignore for truth in truths], dtype=bool),
        truth_crowd=np.array([truth.iscrowd for truth in truths], dtype=bool),
        detection_unit=np.full(len(group.detections), unit),
        truth_unit=np.full(len(truths), unit),
    )


def _is_covered(xywh: Xywh, region: np.ndarray | None) -> bool:
    """Whether at least 70 % of a box's pixels, those outside the image included, lie in regions to ignore."""
    if region is None:
        return False
    x, y, w, h = (int(value) for value in xywh)
    part = region[max(y, 0) : max(y + h, 0), max(x, 0) : max(x + w, 0)]
    return w * h > 0 and bool(part.sum() / (w * h) >= IGNORED_SHARE)
