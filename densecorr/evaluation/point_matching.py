"""Which detection answers for which annotation, where a metric compares points and not detections."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import AnnotationError
from .densepose_similarity import CORRECTED, vertices_at_points
from .densepose_types import DensePoseDetection, DensePoseTruth, Id

MIN_IOU = 0.5  # of the boxes, for a detection to answer for an annotation


def match_detections(
    truths: Sequence[DensePoseTruth], detections: Sequence[DensePoseDetection]
) -> dict[Id, np.ndarray]:
    """The vertices at each annotation's points, of the detection with the greatest box IoU; each is used once."""
    from pycocotools import mask

    groups: dict[tuple[Id, Id], tuple[list, list]] = defaultdict(lambda: ([], []))
    for truth in truths:
        groups[truth.image_id, truth.category_id][0].append(truth)
    for detection in sorted(detections, key=lambda one: -one.score):
        groups[detection.image_id, detection.category_id][1].append(detection)
    found: dict[Id, np.ndarray] = {}
    for annotated, detected in groups.values():
        if not annotated or not detected:
            continue
        boxes: list[Any] = [
            np.array([one.xywh for one in side], dtype=np.float64) for side in (detected, annotated)
        ]
        iou = np.asarray(mask.iou(boxes[0], boxes[1], [0] * len(annotated)))
        for place in np.argsort(-iou, axis=None, kind="stable"):
            row, column = np.unravel_index(place, iou.shape)
            if iou[row, column] < MIN_IOU:
                continue  # too far apart, or one of the two is used (-1)
            truth, detection = annotated[column], detected[row]
            if detection.mesh and truth.mesh and detection.mesh != truth.mesh:
                raise AnnotationError(
                    f"results on the annotated mesh '{truth.mesh}'",
                    f"'{detection.mesh}' in result {detection.number}",
                    "Map the vertices to the annotated mesh first.",
                )
            pairs = vertices_at_points([detection], [detection.load()], [truth], CORRECTED)
            found[truth.id] = pairs.vertex[0]
            iou[row, :] = iou[:, column] = -1.0
    return found
