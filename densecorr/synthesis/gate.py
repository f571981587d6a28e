"""Does a generated image show what its labels say? Depth and outline are estimated anew and compared.

What this cannot see: a face painted on the back of a head, or left and right exchanged where the shape does not tell
them apart.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32

from ..errors import SettingsError
from ..images import silhouette_iou
from .conditions import DepthCondition
from .generated import Verdict


@dataclass(frozen=True)
class Gate:
    """Which images are kept.

    Attributes:
        min_depth_agreement: rank correlation, in the silhouette, of the depth that was asked for and the depth
            estimated from the image.
        min_silhouette_iou: intersection over union of the projected silhouette and that estimated from the image.
    """

    min_depth_agreement: float = 0.5
    min_silhouette_iou: float = 0.7


def check_gate(settings: Gate) -> None:
    """Raise a SettingsError unless both thresholds are in their range."""
    if not (-1 <= settings.min_depth_agreement <= 1 and 0 <= settings.min_silhouette_iou <= 1):
        raise SettingsError(
            "min_depth_agreement in [-1, 1] and min_silhouette_iou in [0, 1]",
            f"{settings.min_depth_agreement:g} and {settings.min_silhouette_iou:g}",
            "Correct generator.gate.",
        )


def judge_image(estimated: Float32[np.ndarray, "H W"], condition: DepthCondition, settings: Gate) -> Verdict:
    """Both figures, and the first that is too low.

    `estimated` is the relative inverse depth (greater is nearer) of the generated image, in any unit.
    """
    agreement = rank_correlation(estimated[condition.silhouette], condition.depth[condition.silhouette])
    iou = silhouette_iou(estimate_silhouette(estimated, condition), condition.silhouette)
    reason = ""
    if agreement < settings.min_depth_agreement:
        reason = "depth differs"
    elif iou < settings.min_silhouette_iou:
        reason = "outline differs"
    return Verdict(reason, agreement, iou)


def rank_correlation(a: Float[np.ndarray, " P"], b: Float[np.ndarray, " P"]) -> float:
    """Spearman's rank correlation, which knows neither scale nor shift; 0 where one of them does not vary."""
    from scipy.stats import rankdata

    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return float(np.corrcoef(rankdata(a), rankdata(b))[0, 1])


def estimate_silhouette(
    estimated: Float32[np.ndarray, "H W"], condition: DepthCondition
) -> Bool[np.ndarray, "H W"]:
    """The pixels that the image's depth puts nearer to the template's than to the background's.

    The estimate is brought to the condition's scale by least squares. The template's depth is continued outwards
    from the nearest pixel of its silhouette, the background's inwards as it is known there. An estimate that does
    not grow with the condition finds nothing.
    """
    from scipy.ndimage import distance_transform_edt

    x, y = estimated.ravel().astype(np.float64), condition.depth.ravel().astype(np.float64)
    covariance = float(np.mean((x - x.mean()) * (y - y.mean())))
    if covariance <= 1e-12:
        return np.zeros_like(condition.silhouette)
    scaled = (estimated - x.mean()) * (covariance / x.var()) + y.mean()
    nearest = distance_transform_edt(~condition.silhouette, return_distances=False, return_indices=True)
    template = condition.depth[tuple(nearest)]  # pyright: ignore[reportArgumentType] scipy's stub: also a pair
    return np.abs(scaled - template) < np.abs(scaled - condition.background)
