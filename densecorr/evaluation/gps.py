"""Geodesic point similarity (GPS) of an instance, and average precision over it.

Source: R. A. Guler's thesis, sec. 4.2.3, eq. 4.2. GPSm, its geometric mean with the silhouettes' IoU, is the
DensePose COCO evaluator's. Distances are float32, as there. A point outside the predicted box or silhouette,
or without a vertex, is at infinity: it adds nothing and stays in the denominator.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from ..errors import EmptyInstanceError
from .average_precision import FIGURES, AveragePrecisionStatistic, ImageSimilarities
from .scored import Measurement, Omission, ScoredPoints, ScoringTemplate, sum_by_instance

KAPPA = 0.255  # metres: half similarity at 0.30 m, the half-size of a body segment (thesis, sec. 4.2.3)


def point_similarity(
    errors: Float[np.ndarray, " P"], kappa: float | Float[np.ndarray, " P"] = KAPPA
) -> Float[np.ndarray, " P"]:
    """exp(-d^2 / (2 kappa^2)) of each point, in [0, 1]; 0 for d = inf."""
    return np.exp(-(np.square(errors)) / (2 * np.square(kappa)))


def geodesic_point_similarity(
    errors: Float[np.ndarray, " P"], kappa: float | Float[np.ndarray, " P"] = KAPPA
) -> float:
    """GPS of one instance, in [0, 1] (eq. 4.2).

    Args:
        errors: geodesic distance from predicted to annotated vertex of each annotated point, metres on the
        human
            template; inf for a point that was missed.
        kappa: metres, one for all points or one a point; 0.255 puts GPS at 0.5 for an error of 0.30 m.

    Raises:
        EmptyInstanceError: the instance has no annotated point.
    """
    if errors.size == 0:
        raise EmptyInstanceError("at least one annotated point", "none", "Leave such instances out.")
    return float(point_similarity(errors, kappa).mean())


def masked_point_similarity(gps: float, silhouette_iou: float) -> float:
    """GPSm, sqrt(GPS * IoU of the predicted and the true silhouette), in [0, 1]."""
    return math.sqrt(gps * silhouette_iou)


@dataclass(frozen=True)
class GpsAveragePrecision:
    """AP and AR over GPS or GPSm, see `average_precision`.

    Each prediction was made for one annotated instance, so it is compared with that instance only, and has
    its area: other instances of the image count as dissimilar. An instance that got no prediction is a truth
    not found. GPSm is left out for a method without silhouettes.
    """

    kind: Literal["gps_ap"] = "gps_ap"
    similarity: Literal["gps", "gpsm"] = "gps"
    kappa: float = KAPPA
    max_detections: int = 20

    def __call__(self, scored: ScoredPoints, template: ScoringTemplate) -> Measurement | Omission:
        """One method's figures, `gps_ap`, `gps_ap50`, ... `gpsm_ar_l`, and each instance's similarity."""
        names = tuple(f"{self.similarity}_{name}" for name in FIGURES)
        if template.unit == "none":
            return Omission(names, "the template has no unit")
        kappa = np.where(np.isnan(scored.kappa), self.kappa, scored.kappa).astype(np.float32)
        missed_outside = np.where(scored.inside, scored.distance, np.float32(np.inf))
        n_points = sum_by_instance(np.ones(len(scored.instance)), scored)
        similarity = sum_by_instance(point_similarity(missed_outside, kappa), scored) / n_points
        if self.similarity == "gpsm":
            if not np.isfinite(scored.silhouette_iou).any():
                return Omission(names, "the method predicts no silhouette")
            similarity = np.sqrt(similarity * np.nan_to_num(scored.silhouette_iou, nan=0.0))
        statistic = AveragePrecisionStatistic(
            own_similarities(scored, similarity), len(scored.instance_id), self.max_detections
        )
        return Measurement(names, statistic, {self.similarity: similarity})


def own_similarities(scored: ScoredPoints, similarity: Float[np.ndarray, " N"]) -> list[ImageSimilarities]:
    """A matrix an image and category: each detection resembles the instance it was made for, and no other."""
    members: dict[tuple[str, str], list[int]] = {}
    for index, key in enumerate(zip(scored.image_id, scored.category, strict=True)):
        members.setdefault(key, []).append(index)
    return [_own_similarities(scored, similarity, *key, np.array(index)) for key, index in members.items()]


def _own_similarities(
    scored: ScoredPoints,
    similarity: Float[np.ndarray, " N"],
    image_id: str,
    category: str,
    truths: Int[np.ndarray, " G"],
) -> ImageSimilarities:
    predicted = truths[scored.predicted[truths]]
    own = np.where(predicted[:, None] == truths[None, :], similarity[predicted][:, None], 0.0)
    return ImageSimilarities(
        image_id=image_id,
        category=category,
        score=scored.score[predicted],
        similarity=own,
        detection_area=scored.area[predicted],
        truth_area=scored.area[truths],
        truth_ignore=scored.ignore[truths],
        truth_crowd=scored.iscrowd[truths],
        detection_unit=predicted,
        truth_unit=truths,
    )
