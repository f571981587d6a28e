"""What is compared: the annotated points of an instance, and one method's answer at those points."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from ..errors import AnnotationError
from ..images import decode_silhouette

Silhouette = Bool[np.ndarray, "H W"] | dict[str, Any]


@dataclass(frozen=True)
class InstanceTruth:
    """One annotated object: P points of the image and the template vertex seen at each.

    `xywh` is a COCO box, `xy` full-image pixels (centres at integers), `area` square pixels of the object.
    Points with `visible` False or `vertex` -1 are left out of every figure: no vertex is right for a pixel
    that shows something else. `kappa` (metres) replaces the metric's GPS width at each point. `visible_share`
    is the share of the object's own silhouette that is neither hidden nor cut off, where the source knows it.
    `azimuth` is the camera's (degrees, 0 in front, positive to the subject's left) and `source` who or what made the
    points, where known. `ignore` and `iscrowd` have COCO's meaning in average precision and none elsewhere.
    """

    instance_id: str
    image_id: str
    category: str
    xywh: tuple[float, float, float, float]
    xy: Float[np.ndarray, "P 2"]
    vertex: Int[np.ndarray, " P"]
    area: float
    silhouette: Silhouette | None = None
    visible: Bool[np.ndarray, " P"] | None = None
    kappa: Float[np.ndarray, " P"] | None = None
    visible_share: float | None = None
    azimuth: float | None = None
    source: str | None = None
    ignore: bool = False
    iscrowd: bool = False


@dataclass(frozen=True)
class PointPrediction:
    """One method's answer for one `InstanceTruth`, point by point in the same order.

    `vertex` is the predicted vertex at each truth point, -1 for none (which every error figure counts as the
    worst answer); `xy` the best-scoring pixel of each truth vertex, NaN for none; `score` ranks instances in
    average precision; `inside` says whether the point lies in the predicted box and silhouette (outside
    counts as missed in GPS); `silhouette_iou` compares the predicted silhouette with the true one, None if
    the method predicts none.
    """

    instance_id: str
    vertex: Int[np.ndarray, " P"]
    xy: Float[np.ndarray, "P 2"]
    score: float
    inside: Bool[np.ndarray, " P"]
    silhouette_iou: float | None = None


def scored_points(truth: InstanceTruth) -> Bool[np.ndarray, " P"]:
    """Which annotated points count: those that are visible and have a vertex."""
    known = truth.vertex >= 0
    return known if truth.visible is None else known & truth.visible


def silhouette_of(truth: InstanceTruth) -> Bool[np.ndarray, "H W"] | None:
    """The true silhouette as a mask, decoded when it is stored as run lengths."""
    if isinstance(truth.silhouette, dict):
        height, width = truth.silhouette["size"]
        return decode_silhouette(truth.silhouette, int(height), int(width))
    return truth.silhouette


def align_predictions(
    truths: Sequence[InstanceTruth], predictions: Sequence[PointPrediction]
) -> list[PointPrediction | None]:
    """The prediction of each truth, None where the method gave none.

    Raises:
        AnnotationError: two predictions or two truths for one instance, an unknown instance, or a wrong
        number of
            points.
    """
    by_id = {prediction.instance_id: prediction for prediction in predictions}
    if len(by_id) != len(predictions):
        raise AnnotationError(
            "one prediction an instance", f"{len(predictions)} for {len(by_id)}", "Keep the best one of each."
        )
    known = {truth.instance_id for truth in truths}
    if len(known) != len(truths):
        raise AnnotationError(
            "unique instance ids", f"{len(truths) - len(known)} repeated", "Rename or drop them."
        )
    if unknown := sorted(by_id.keys() - known):
        raise AnnotationError(
            "predictions for the annotated instances", f"'{unknown[0]}'", "Predict on the evaluated data set."
        )
    aligned = [by_id.get(truth.instance_id) for truth in truths]
    for truth, prediction in zip(truths, aligned, strict=True):
        if prediction is not None and len(prediction.vertex) != len(truth.vertex):
            raise AnnotationError(
                f"{len(truth.vertex)} predicted points for '{truth.instance_id}'",
                str(len(prediction.vertex)),
                "Predict at the truth's points, in their order.",
            )
    return aligned
