"""Which pseudo-labels are worth training on, judged without truth."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32

from ..errors import SettingsError


@dataclass(frozen=True)
class LabelFilter:
    """Shares to keep, best first; 1 keeps all.

    Attributes:
        instances: by the rank of their mean score less the rank of their mean cycle error (relative to the box):
            an instance matched to a wrong view scores low and does not come back to where it started.
        points: of the kept instances' points, by score.
    """

    instances: float = 0.6
    points: float = 0.8


def select_instances(
    score: Float[np.ndarray, " N"], cycle: Float[np.ndarray, " N"], keep: float
) -> Bool[np.ndarray, " N"]:
    """Mark the share `keep` of the instances with the best ranks; at least one.

    Args:
        score: mean score of each instance's labels.
        cycle: mean cycle error of each, as a share of its box.
        keep: in (0, 1].
    """
    _check_share(keep)
    rank = _rank(score) - _rank(cycle)
    order = np.argsort(-rank, kind="stable")
    marked = np.zeros(len(score), dtype=bool)
    marked[order[: max(1, round(keep * len(score)))]] = True
    return marked


def score_threshold(scores: list[Float32[np.ndarray, " _"]], keep: float) -> float:
    """The score that the share `keep` of all points reaches."""
    _check_share(keep)
    return float(np.quantile(np.concatenate(scores), 1.0 - keep)) if scores and keep < 1 else -np.inf


def _rank(values: Float[np.ndarray, " N"]) -> Float[np.ndarray, " N"]:
    return np.argsort(np.argsort(values, kind="stable"), kind="stable") / max(len(values), 1)


def _check_share(keep: float) -> None:
    if not 0 < keep <= 1:
        raise SettingsError("a share in (0, 1]", str(keep), "Correct the label filter.")
