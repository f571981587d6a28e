"""Does a confidence mean what it says? Calibration error of probabilities and of expected errors.

Source: Guo et al. 2017, "On calibration of modern neural networks", eq. 3 (ECE) and 5 (MCE); bins of equal width, or of
equal count (adaptive). The calibration of expected errors is that of `densecorr calibrate`.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from ..errors import AnnotationError, EmptyInstanceError, SettingsError
from .bootstrap import Statistic

Bins = Literal["width", "count"]


@dataclass(frozen=True)
class ReliabilityTable:
    """B bins that hold answers: their edges, mean stated value, mean true value, and number of answers."""

    low: Float[np.ndarray, " B"]
    high: Float[np.ndarray, " B"]
    stated: Float[np.ndarray, " B"]
    true: Float[np.ndarray, " B"]
    count: Int[np.ndarray, " B"]

    @property
    def expected_gap(self) -> float:
        """Mean over the answers of |stated - true| of their bin: the (expected) calibration error."""
        return float(np.average(np.abs(self.stated - self.true), weights=self.count))

    @property
    def largest_gap(self) -> float:
        """The largest |stated - true| of a bin: the maximum calibration error."""
        return float(np.abs(self.stated - self.true).max())


def bin_numbers(
    stated: Float[np.ndarray, " P"], n_bins: int, bins: Bins, top: float
) -> Int[np.ndarray, " P"]:
    """The bin of each stated value.

    Width: bin b holds (b, b + 1] x top / n_bins, the first also 0. Count: by rank, equal values by place.
    """
    if n_bins < 1:
        raise SettingsError("at least one bin", str(n_bins), "Correct the number of bins.")
    if bins == "width":
        edges = np.linspace(0.0, top, n_bins + 1)[1:-1]
        return np.searchsorted(edges, stated, side="left")
    number = np.empty(len(stated), dtype=np.int64)
    order = np.argsort(stated, kind="stable")
    for index, part in enumerate(np.array_split(order, n_bins)):
        number[part] = index
    return number


def reliability(
    stated: Float[np.ndarray, " P"],
    true: Float[np.ndarray, " P"],
    n_bins: int = 15,
    bins: Bins = "width",
    top: float = 1.0,
) -> ReliabilityTable:
    """Stated against true values in bins of the stated ones; bins of equal width span 0 to `top`.

    Args:
        stated: confidences, or expected errors.
        true: 1 for a correct answer and 0 for a wrong one, or true errors in the unit of the stated ones.
        n_bins: bins; those that hold no answer are left out of the table.
        bins: of equal width, or of equal count.
        top: upper end of the last bin of equal width: 1 for probabilities, the largest value for errors.

    Raises:
        EmptyInstanceError: no answers.
        AnnotationError: values that are not finite.
    """
    if len(stated) == 0:
        raise EmptyInstanceError("at least one answer", "none", "Name a file that has answers.")
    if not (np.isfinite(stated).all() and np.isfinite(true).all()):
        raise AnnotationError("finite numbers", "NaN or infinity", "Leave answers without a value out.")
    number = bin_numbers(stated, n_bins, bins, top)
    held = np.unique(number)
    parts = [np.flatnonzero(number == index) for index in held]
    if bins == "width":
        low, high = held / n_bins * top, (held + 1) / n_bins * top
    else:
        low, high = (np.array([f(stated[part]) for part in parts]) for f in (np.min, np.max))
    return ReliabilityTable(
        np.asarray(low, dtype=np.float64),
        np.asarray(high, dtype=np.float64),
        np.array([stated[part].mean() for part in parts], dtype=np.float64),
        np.array([true[part].mean() for part in parts], dtype=np.float64),
        np.array([len(part) for part in parts], dtype=np.int64),
    )


def expected_calibration_error(
    confidence: Float[np.ndarray, " P"],
    correct: Bool[np.ndarray, " P"],
    n_bins: int = 15,
    bins: Bins = "width",
) -> float:
    """ECE, a share in [0, 1].

    Raises:
        AnnotationError: a confidence outside [0, 1], or as `reliability` says.
    """
    check_confidences(confidence)
    return reliability(confidence, correct.astype(np.float64), n_bins, bins).expected_gap


def check_confidences(confidence: Float[np.ndarray, " P"]) -> None:
    """Refuse confidences that are no probabilities.

    Raises:
        AnnotationError: one outside [0, 1], or NaN.
    """
    wrong = ~((confidence >= 0) & (confidence <= 1))
    if wrong.any():
        raise AnnotationError(
            "confidences in [0, 1]",
            f"{confidence[wrong][0]:g}",
            "Turn scores into probabilities first; expected errors belong under `expected_error`.",
        )


def calibration_statistic(
    stated: Float[np.ndarray, " P"],
    true: Float[np.ndarray, " P"],
    number: Int[np.ndarray, " P"],
    unit: Int[np.ndarray, " P"],
    n_units: int,
) -> Statistic:
    """The calibration error under resampled units (images), with the bins of all answers kept."""
    n_bins = int(number.max()) + 1
    cell = unit * n_bins + number
    gap, count = (
        np.bincount(cell, weights=values, minlength=n_units * n_bins).reshape(n_units, n_bins)
        for values in (stated - true, np.ones(len(stated)))
    )

    def statistic(counts: np.ndarray) -> np.ndarray:
        below = (counts @ count).sum(axis=1, keepdims=True)
        above = np.abs(counts @ gap).sum(axis=1, keepdims=True)
        return np.divide(above, below, out=np.full_like(above, np.nan), where=below > 0)

    return statistic
