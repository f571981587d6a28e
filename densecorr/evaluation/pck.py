"""PCK: the share of points predicted within alpha times a reference length of the true pixel.

Benchmarks differ in the reference length, in alpha and in whether points or images are averaged, so all three
are named wherever a figure is shown.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from ..errors import EmptyInstanceError
from .bootstrap import RatioOfSums
from .scored import Measurement, ScoredPoints, ScoringTemplate, sum_by_instance


def bbox_reference(xywh: Float[np.ndarray, "N 4"]) -> Float[np.ndarray, " N"]:
    """The reference named "bbox": the longer side of the object's box, in pixels."""
    return xywh[:, 2:].max(axis=1)


def correct_points(
    xy_predicted: Float[np.ndarray, "P 2"],
    xy_true: Float[np.ndarray, "P 2"],
    alpha: float,
    reference_length: float | Float[np.ndarray, " P"],
) -> Bool[np.ndarray, " P"]:
    """Which points are correct, the threshold included; a NaN prediction never is."""
    return np.linalg.norm(xy_predicted - xy_true, axis=-1) <= alpha * np.asarray(reference_length)


def pck(
    xy_predicted: Float[np.ndarray, "P 2"],
    xy_true: Float[np.ndarray, "P 2"],
    alpha: float,
    reference_length: float | Float[np.ndarray, " P"],
) -> float:
    """Share of correct points.

    Args:
        xy_predicted: pixels, NaN for a point without a prediction.
        xy_true: pixels.
        alpha: share of the reference length.
        reference_length: pixels, one for all points or one a point.

    Raises:
        EmptyInstanceError: no points.
    """
    if len(xy_true) == 0:
        raise EmptyInstanceError("at least one point", "none", "Leave such instances out.")
    return float(correct_points(xy_predicted, xy_true, alpha, reference_length).mean())


@dataclass(frozen=True)
class Pck:
    """PCK at each alpha with the box's longer side as the reference length.

    `mean` "point" pools the points of all instances; "instance" averages the instances' own shares (the
    per-image mean of benchmarks with one object an image).
    """

    kind: Literal["pck"] = "pck"
    alphas: tuple[float, ...] = (0.1,)
    reference: Literal["bbox"] = "bbox"
    mean: Literal["point", "instance"] = "point"

    def __call__(self, scored: ScoredPoints, template: ScoringTemplate) -> Measurement:
        """The figures of one method, named `pck_<alpha>`."""
        length = bbox_reference(scored.xywh)[scored.instance]
        names = tuple(f"pck_{alpha:g}" for alpha in self.alphas)
        n_points = sum_by_instance(np.ones(len(scored.instance)), scored)[:, None]
        correct = np.stack(
            [
                sum_by_instance(correct_points(scored.xy_predicted, scored.xy_true, alpha, length), scored)
                for alpha in self.alphas
            ],
            axis=1,
        )
        share = correct / n_points
        if self.mean == "point":
            statistic = RatioOfSums(correct, np.broadcast_to(n_points, correct.shape))
        else:
            statistic = RatioOfSums(share, np.ones_like(share))
        return Measurement(names, statistic, dict(zip(names, share.T, strict=True)))
