"""Geodesic error: how far along the surface the predicted vertex lies from the true one.

A point without a predicted vertex is at infinity. In mean errors every distance is capped at the template's
diameter, so a missing vertex costs as much as the worst possible one and leaving points out never improves a
figure.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Float32

from .bootstrap import RatioOfSums
from .scored import Measurement, Omission, ScoredPoints, ScoringTemplate, sum_by_instance

SHIC_SCALE = 228.0  # SHIC, sec. 4: the maximum geodesic distance on each mesh is normalised to 228


def bounded_error(distance: Float[np.ndarray, " P"], diameter: float) -> Float32[np.ndarray, " P"]:
    """Distances in metres with missing ones (inf) at the diameter, the largest error there is."""
    return np.minimum(distance, diameter).astype(np.float32)


def geodesic_error_share(distance: Float[np.ndarray, " P"], diameter: float) -> Float32[np.ndarray, " P"]:
    """Error as a share of the template's diameter, in [0, 1]."""
    return bounded_error(distance, diameter) / np.float32(diameter)


def geodesic_error_228(distance: Float[np.ndarray, " P"], diameter: float) -> Float32[np.ndarray, " P"]:
    """Error on the scale on which the template's diameter is 228 (SHIC, sec. 4)."""
    return geodesic_error_share(distance, diameter) * np.float32(SHIC_SCALE)


@dataclass(frozen=True)
class GeodesicError:
    """Mean over instances of each instance's mean error, in metres, as a share of the diameter and times 228.

    Metres are left out for a template without a unit. `missing_share` is the share of points without a
    vertex.
    """

    kind: Literal["geodesic_error"] = "geodesic_error"

    def __call__(self, scored: ScoredPoints, template: ScoringTemplate) -> Measurement:
        """The figures of one method."""
        n_points = sum_by_instance(np.ones(len(scored.instance)), scored)
        share = sum_by_instance(geodesic_error_share(scored.distance, template.diameter), scored) / n_points
        missing = sum_by_instance(~np.isfinite(scored.distance), scored)
        columns = {"geodesic_error_share": share, "geodesic_error_228": share * SHIC_SCALE}
        if template.unit != "none":
            columns["geodesic_error_m"] = share * template.diameter
        numerator = np.stack([*columns.values(), missing], axis=1)
        denominator = np.ones_like(numerator)
        denominator[:, -1] = n_points
        return Measurement(
            names=(*columns, "missing_share"),
            statistic=RatioOfSums(numerator, denominator),
            columns={**columns, "n_points": n_points.astype(np.int64), "n_missing": missing.astype(np.int64)},
            omitted=()
            if template.unit != "none"
            else (Omission(("geodesic_error_m",), "the template has no unit"),),
        )
