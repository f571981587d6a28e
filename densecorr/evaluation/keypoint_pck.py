"""PCK between two images, by the rules that benchmarks use: reference length, alpha, and what is averaged.

| reference | length, pixels of image B | benchmark |
| --- | --- | --- |
| bbox | the longer side of the object's box | SPair-71k (Min et al. 2019) |
| image | the longer side of the image | PF-PASCAL as SHIC scores it (Table 2) |
| square | 1, once x and y are divided by the image's width and height | PF-PASCAL after SCNet (Han et al. 2017) |
| keypoints | the longer side of the tight box around the true keypoints | PF-WILLOW (Ham et al. 2016) |
| silhouette | the square root of the silhouette's area | |
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float

from ..errors import AnnotationError, EmptyInstanceError, SettingsError
from .bootstrap import Statistic
from .pck import correct_points

Reference = Literal["bbox", "image", "square", "keypoints", "silhouette"]
IN_WORDS = {
    "bbox": "the longer side of the object's box in image B",
    "image": "the longer side of image B",
    "square": "1, after x and y are divided by the width and height of image B",
    "keypoints": "the longer side of the tight box around the true keypoints of image B",
    "silhouette": "the square root of the area of the object's silhouette in image B",
}


@dataclass(frozen=True)
class KeypointPair:
    """True keypoints in image B and what is known of B: its size (width, height), the object's box and its area."""

    pair_id: str
    category: str
    xy: Float[np.ndarray, "P 2"]
    size: tuple[float, float] | None = None
    xywh: tuple[float, float, float, float] | None = None
    silhouette_area: float | None = None


def reference_length(pair: KeypointPair, reference: Reference) -> float:
    """The length that alpha is a share of; pixels, except 1 for "square".

    Raises:
        SettingsError: no such reference.
        AnnotationError: the pair lacks what it needs, or the length is not above 0.
    """
    if reference not in get_args(Reference):
        raise SettingsError(
            f"a reference of {', '.join(get_args(Reference))}", repr(reference), "Correct it."
        )
    need = {"bbox": pair.xywh, "image": pair.size, "square": pair.size, "silhouette": pair.silhouette_area}
    if reference in need and need[reference] is None:
        raise AnnotationError(
            f"{IN_WORDS[reference]}",
            f"no {'box' if reference == 'bbox' else 'silhouette' if reference == 'silhouette' else 'image size'} "
            f"of image B in {pair.pair_id}",
            "Choose a reference that the file has, or give what is missing (--images for image sizes).",
        )
    if reference == "bbox":
        assert pair.xywh is not None
        length = max(pair.xywh[2:])
    elif reference == "silhouette":
        length = float(np.sqrt(max(pair.silhouette_area or 0.0, 0.0)))
    elif reference == "keypoints":
        length = float(np.ptp(pair.xy, axis=0).max())
    else:
        assert pair.size is not None
        length = 1.0 if reference == "square" and min(pair.size) > 0 else float(max(pair.size))
    if not length > 0:
        raise AnnotationError(
            "a reference length above 0", f"{length:g} ({reference}) in {pair.pair_id}", "Correct the pair."
        )
    return float(length)


def correct_counts(
    pairs: Sequence[KeypointPair],
    predicted: Sequence[Float[np.ndarray, "_ 2"]],
    alphas: Sequence[float],
    reference: Reference,
) -> tuple[Float[np.ndarray, "N A"], Float[np.ndarray, " N"]]:
    """Correct keypoints of each pair at each alpha, and the pair's number of keypoints; NaN is never correct.

    Raises:
        EmptyInstanceError: no pairs, or a pair without keypoints.
        SettingsError: no alpha, or one that is not above 0.
        AnnotationError: another number of predicted than of true keypoints.
    """
    if not pairs:
        raise EmptyInstanceError("at least one pair", "none", "Name a file that has pairs.")
    if not alphas or not all(0 < alpha < np.inf for alpha in alphas):
        raise SettingsError("one or more alphas above 0", str(list(alphas)), "Correct the alphas.")
    correct = np.zeros((len(pairs), len(alphas)))
    for row, (pair, guess) in enumerate(zip(pairs, predicted, strict=True)):
        if len(pair.xy) == 0:
            raise EmptyInstanceError("at least one keypoint", f"none in {pair.pair_id}", "Leave it out.")
        if len(guess) != len(pair.xy):
            raise AnnotationError(
                f"{len(pair.xy)} predicted keypoints for {pair.pair_id}",
                str(len(guess)),
                "Predict every keypoint, in the truth's order; null where there is no answer.",
            )
        length = reference_length(pair, reference)
        scale = np.asarray(pair.size, dtype=np.float64) if reference == "square" else 1.0
        correct[row] = [
            correct_points(guess / scale, pair.xy / scale, alpha, length).sum() for alpha in alphas
        ]
    return correct, np.array([len(pair.xy) for pair in pairs], dtype=np.float64)


def mean_over_groups(
    numerator: Float[np.ndarray, "N K"], denominator: Float[np.ndarray, "N K"], groups: Sequence[str]
) -> Statistic:
    """The mean over groups (categories) of each group's ratio of sums; groups that a resample misses are left out."""
    of = np.array(groups)
    members = [np.flatnonzero(of == name) for name in sorted(set(groups))]

    def statistic(counts: np.ndarray) -> np.ndarray:
        total, n_groups = np.zeros((2, len(counts), numerator.shape[1]))
        for index in members:
            above, below = (counts[:, index] @ part[index] for part in (numerator, denominator))
            total += np.divide(above, below, out=np.zeros_like(above), where=below > 0)
            n_groups += below > 0
        return np.divide(total, n_groups, out=np.full_like(total, np.nan), where=n_groups > 0)

    return statistic
