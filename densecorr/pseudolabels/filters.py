"""Which pseudo-labels are worth training on, judged without truth."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from ..errors import SettingsError


@dataclass(frozen=True)
class LabelFilter:
    """Shares to keep, best first; 1 keeps all.

    Calibrated labels are judged by the error to expect, others by score and cycle error.

    Attributes:
        instances: by their points' mean expected error; uncalibrated ones by the rank of their mean score less the
            rank of their mean cycle error (relative to the box): an instance matched to a wrong view scores low and
            does not come back to where it started.
        points: of the kept instances' points, by expected error, else by score.
        max_expected_error: leave out calibrated points above it, share of the template's diameter.
        mirrored: keep label sets that are probably left for right (see `orientation`).
    """

    instances: float = 0.6
    points: float = 0.8
    max_expected_error: float | None = None
    mirrored: bool = False


def uncalibrated_risk(
    score: Float[np.ndarray, " N"], cycle: Float[np.ndarray, " N"]
) -> Float[np.ndarray, " N"]:
    """The rank of each instance's mean cycle error (a share of its box) less that of its mean score: low is good."""
    return _rank(cycle) - _rank(score)


def select_instances(risk: Float[np.ndarray, " N"], keep: float) -> Bool[np.ndarray, " N"]:
    """Mark the share `keep`, in (0, 1], of the instances with the lowest risk; at least one."""
    _check_share(keep)
    order = np.argsort(risk, kind="stable")
    marked = np.zeros(len(risk), dtype=bool)
    marked[order[: max(1, round(keep * len(risk)))]] = True
    return marked


def risk_threshold(risks: list[Float[np.ndarray, " _"]], keep: float) -> float:
    """The risk that the share `keep` of all points does not exceed."""
    _check_share(keep)
    return float(np.quantile(np.concatenate(risks), keep)) if risks and keep < 1 else np.inf


def _rank(values: Float[np.ndarray, " N"]) -> Float[np.ndarray, " N"]:
    return np.argsort(np.argsort(values, kind="stable"), kind="stable") / max(len(values), 1)


def _check_share(keep: float) -> None:
    if not 0 < keep <= 1:
        raise SettingsError("a share in (0, 1]", str(keep), "Correct the label filter.")
