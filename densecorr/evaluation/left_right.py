"""Left/right confusion: how often the answer is on the wrong side of a mirror-symmetric template.

Counted over points far enough from the symmetry plane for the sides to differ: half the geodesic distance
between the true vertex and its mirror (on a symmetric surface, the distance to the symmetry curve) exceeds a
share of the diameter. Such a point is confused when the predicted vertex is strictly nearer to the mirrored
truth than to the truth, or when there is no predicted vertex (a missing vertex must not improve a figure). A
blind guess scores about one half.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from .bootstrap import RatioOfSums
from .scored import Measurement, Omission, ScoredPoints, ScoringTemplate, sum_by_instance


def confused_points(
    distance: Float[np.ndarray, " P"], mirror_distance: Float[np.ndarray, " P"]
) -> Bool[np.ndarray, " P"]:
    """Which predictions are on the wrong side, from their geodesics to the true vertex and to its mirror."""
    return (mirror_distance < distance) | ~np.isfinite(distance)


@dataclass(frozen=True)
class LeftRightConfusion:
    """Share of confused points among those over `min_plane_share` of the diameter from the symmetry plane.

    Left out for templates less symmetric than `max_mirror_residual` (share of the diameter): their mirror is
    a guess.
    """

    kind: Literal["left_right"] = "left_right"
    min_plane_share: float = 0.05
    max_mirror_residual: float = 0.02

    def __call__(self, scored: ScoredPoints, template: ScoringTemplate) -> Measurement | Omission:
        """The figure of one method, named `left_right_confusion`."""
        name = "left_right_confusion"
        if template.mirror_residual > self.max_mirror_residual:
            off = f"{template.mirror_residual:.1%} of its diameter"
            reason = f"the template is not mirror symmetric (off by {off})"
            return Omission((name,), reason)
        sided = scored.plane_distance > self.min_plane_share * template.diameter
        if not sided.any():
            return Omission((name,), "no annotated point is far enough from the symmetry plane")
        confused = sum_by_instance(sided & confused_points(scored.distance, scored.mirror_distance), scored)
        n_sided = sum_by_instance(sided, scored)
        share = np.divide(confused, n_sided, out=np.full_like(confused, np.nan), where=n_sided > 0)
        return Measurement((name,), RatioOfSums(confused[:, None], n_sided[:, None]), {name: share})
