"""Ratio of correct points (RCP): the share of points with an error up to t, and the area under that curve.

Source: R. A. Guler's thesis, sec. 4.2.3 (pointwise evaluation).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from .bootstrap import RatioOfSums
from .scored import Measurement, Omission, ScoredPoints, ScoringTemplate, sum_by_instance


def ratio_of_correct_points(
    errors: Float[np.ndarray, " P"], thresholds: Float[np.ndarray, " T"]
) -> Float[np.ndarray, " T"]:
    """f(t), the share of errors below or at each threshold; inf (no prediction) is never correct."""
    return np.searchsorted(np.sort(errors), thresholds, side="right") / max(1, len(errors))


def area_under_rcp(errors: Float[np.ndarray, " P"], limit: float) -> float:
    """(1 / a) times the integral of f from 0 to a, exactly: an error e below a leaves (a - e) / a under f."""
    return float(_areas(errors, limit).mean())


def _areas(errors: Float[np.ndarray, " P"], limit: float) -> Float[np.ndarray, " P"]:
    return np.maximum(0.0, 1.0 - errors.astype(np.float64) / limit)


@dataclass(frozen=True)
class RatioOfCorrectPoints:
    """Area under the RCP curve up to each limit, over all points; the thesis uses 10 cm and 30 cm."""

    kind: Literal["rcp"] = "rcp"
    limits_m: tuple[float, ...] = (0.10, 0.30)

    def __call__(self, scored: ScoredPoints, template: ScoringTemplate) -> Measurement | Omission:
        """The figures of one method, named `rcp_auc_<cm>`."""
        names = tuple(f"rcp_auc_{100 * limit:g}" for limit in self.limits_m)
        if template.unit == "none":
            return Omission(names, "the template has no unit")
        areas = [sum_by_instance(_areas(scored.distance, limit), scored) for limit in self.limits_m]
        n_points = sum_by_instance(np.ones(len(scored.instance)), scored)
        numerator = np.stack(areas, axis=1)
        return Measurement(
            names, RatioOfSums(numerator, np.broadcast_to(n_points[:, None], numerator.shape)), {}
        )
