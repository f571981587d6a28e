"""What reviewing costs: seconds for an instance and for each point corrected on it."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from densecorr.errors import SettingsError
from densecorr.records import Decision, LabelRecord

from .state import effective


@dataclass(frozen=True)
class CostModel:
    """Seconds = `per_instance` (open, look, decide) + `per_point` times the points corrected.

    The defaults are assumptions, for before anyone has reviewed; `fit_costs` replaces them. (The thesis, sec. 4.2.1,
    only says that delineating parts and annotating their points take about equally long.)
    """

    per_instance: float = 10.0
    per_point: float = 6.0

    def __post_init__(self) -> None:
        """Refuse costs that mean nothing."""
        if not (self.per_instance > 0 and self.per_point >= 0):
            raise SettingsError(
                "per_instance > 0 and per_point >= 0 seconds", str(self), "Correct the cost model."
            )


@dataclass(frozen=True)
class CostFit:
    """Costs fitted on `n_reviews` reviews; `residual` is the root mean square of what they leave, seconds."""

    costs: CostModel
    n_reviews: int
    residual: float


def fit_costs(
    decisions: Iterable[Decision], defaults: CostModel = CostModel(), longest: float = 120.0, least: int = 10
) -> CostFit:
    """Fit on acts: non-negative least squares of a review's seconds on (1, points changed).

    A review is all acts of one reviewer on one label set. Seconds count undone acts as well; points count if the act
    still does.

    Args:
        decisions: all acts.
        defaults: taken with fewer than `least` reviews, or if they all changed equally many points.
        longest: an act longer than this counts as this long, in seconds: someone went away.
        least: reviews.
    """
    from scipy.optimize import nnls

    acts: dict[tuple[str, str], list[Decision]] = {}
    for decision in decisions:
        acts.setdefault((decision.reviewer, decision.label_id), []).append(decision)
    seconds = np.array([sum(min(act.seconds, longest) for act in group) for group in acts.values()])
    points = np.array([len(_changed(group)) for group in acts.values()], dtype=np.float64)
    if len(acts) < least or np.ptp(points) == 0:
        return CostFit(defaults, len(acts), float("nan"))
    design = np.column_stack([np.ones(len(points)), points])
    (per_instance, per_point), norm = nnls(design, seconds)
    costs = CostModel(max(float(per_instance), 1e-3), float(per_point))
    return CostFit(costs, len(acts), float(norm / np.sqrt(len(acts))))


def _changed(acts: list[Decision]) -> set[str]:
    """What acts which count have changed: points by their ids; mirroring all of them is one change."""
    return {
        key
        for act in effective(acts)
        for key in (["all"] if act.action == "mirror" else act.after.get("points", {}))
    }


def expected_corrections(expected_error: Float[np.ndarray, " P"], tolerance: float) -> float:
    """How many points a reviewer will correct who changes what is off by more than the tolerance.

    sum_p exp(-(pi / 4) (tolerance / e_p)^2): the chance that an error exceeds it if errors of mean e follow a Rayleigh
    distribution, the distance of an isotropic normal offset in the surface's tangent plane.

    Args:
        expected_error: of each point.
        tolerance: in the same unit, not negative.
    """
    known = np.maximum(expected_error.astype(np.float64), 1e-12)
    return float(np.exp(-(np.pi / 4) * np.square(tolerance / known)).sum())


def expected_seconds(label: LabelRecord, costs: CostModel, tolerance: float) -> float:
    """The seconds a review of the label set should take; without calibrated errors every point is corrected.

    Args:
        label: with `expected_error`, shares of the diameter.
        costs: of acts.
        tolerance: share of the diameter that a reviewer lets pass.
    """
    if label.expected_error is None:
        return costs.per_instance + costs.per_point * len(label.x)
    errors = np.asarray(label.expected_error, dtype=np.float64)
    return costs.per_instance + costs.per_point * expected_corrections(errors, tolerance)
