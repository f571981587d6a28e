"""Percentile bootstrap over instances: how far a figure could move with other instances of the same kind.

A *statistic* maps how often each of N instances was drawn to its figures, so one drawing serves every figure
of a method, any subset is a matter of zeros, and the figure itself is the statistic at one draw each.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

Statistic = Callable[[np.ndarray], np.ndarray]
"""Counts (B, N) float64 to figures (B, K) float64; NaN where a figure is undefined for those counts."""

_COUNTS_AT_ONCE = 2_000_000  # 16 MB of float64


@dataclass(frozen=True)
class BootstrapSettings:
    """How intervals are drawn: number of resamples, coverage, seed."""

    n_resamples: int = 1000
    level: float = 0.95
    seed: int = 0


@dataclass(frozen=True)
class Interval:
    """A figure and its percentile interval; None where undefined (no truth, fewer than two instances)."""

    value: float | None
    low: float | None = None
    high: float | None = None


class RatioOfSums:
    """K figures of the form sum(numerator) / sum(denominator) over the drawn instances: means and shares."""

    def __init__(self, numerator: Float[np.ndarray, "N K"], denominator: Float[np.ndarray, "N K"]) -> None:
        """Numerators and denominators of each instance."""
        self._numerator, self._denominator = numerator.astype(np.float64), denominator.astype(np.float64)

    def __call__(self, counts: Float[np.ndarray, "B N"]) -> Float[np.ndarray, "B K"]:
        """The ratios under each row of counts; NaN where the denominator is zero."""
        below = counts @ self._denominator
        return np.divide(counts @ self._numerator, below, out=np.full_like(below, np.nan), where=below > 0)


def resample_counts(
    members: Bool[np.ndarray, " N"], settings: BootstrapSettings
) -> Iterator[Float[np.ndarray, "B N"]]:
    """How often each instance is drawn when the members are resampled with replacement, in blocks of rows.

    The draws depend on the seed and the number of members only.
    """
    rng = np.random.default_rng(settings.seed)
    index = np.flatnonzero(members)
    block = max(1, _COUNTS_AT_ONCE // max(1, len(members)))
    for start in range(0, settings.n_resamples, block):
        n_rows = min(block, settings.n_resamples - start)
        drawn = rng.integers(0, len(index), size=(n_rows, len(index)))
        flat = (drawn + np.arange(n_rows)[:, None] * len(index)).ravel()
        counts = np.zeros((n_rows, len(members)))
        counts[:, index] = np.bincount(flat, minlength=n_rows * len(index)).reshape(n_rows, len(index))
        yield counts


def bootstrap_intervals(
    statistics: Sequence[Statistic], members: Bool[np.ndarray, " N"], settings: BootstrapSettings
) -> list[list[Interval]]:
    """Every statistic's figures with their intervals, all from the same resamples of the member instances.

    Resamples in which a figure is undefined are left out of its interval.
    """
    if members.sum() < 2 or settings.n_resamples == 0:
        return [[Interval(_finite(value)) for value in _once(statistic, members)] for statistic in statistics]
    replicates: list[list[np.ndarray]] = [[] for _ in statistics]
    for counts in resample_counts(members, settings):
        for kept, statistic in zip(replicates, statistics, strict=True):
            kept.append(statistic(counts))
    return [
        [
            _interval(value, column, settings.level)
            for value, column in zip(_once(statistic, members), np.concatenate(kept).T, strict=True)
        ]
        for statistic, kept in zip(statistics, replicates, strict=True)
    ]


def difference_intervals(
    a: Statistic, b: Statistic, n_units: int, settings: BootstrapSettings
) -> list[tuple[Interval, float | None]]:
    """Each figure's a - b with its interval and two-sided p-value, both from the same resamples of the N units."""

    def difference(counts: np.ndarray) -> np.ndarray:
        return a(counts) - b(counts)

    everything = np.ones(n_units, dtype=bool)
    values = _once(difference, everything)
    drawn = [difference(counts) for counts in resample_counts(everything, settings)]
    if not drawn:
        return [(Interval(_finite(value)), None) for value in values]
    return [
        (
            Interval(_finite(value)) if n_units < 2 else _interval(value, column, settings.level),
            p_value(column),
        )
        for value, column in zip(values, np.concatenate(drawn).T, strict=True)
    ]


def p_value(differences: Float[np.ndarray, " B"]) -> float | None:
    """Two-sided bootstrap p-value of resampled differences: how easily their sign could be the other one.

    Twice the smaller share of resamples on either side of 0 (ties half); None where none is defined.
    """
    known = differences[np.isfinite(differences)]
    if not len(known):
        return None
    below = (known < 0).mean() + 0.5 * (known == 0).mean()
    return float(min(1.0, 2 * min(below, 1 - below)))


def _once(statistic: Statistic, members: Bool[np.ndarray, " N"]) -> np.ndarray:
    """The figures themselves: each member drawn once."""
    return statistic(members.astype(np.float64)[None, :])[0]


def mean_interval(values: Float[np.ndarray, " N"], settings: BootstrapSettings) -> Interval:
    """The mean over instances with its interval; instances whose value is NaN are left out."""
    known = np.isfinite(values)
    statistic = RatioOfSums(np.where(known, values, 0.0)[:, None], known[:, None].astype(np.float64))
    return bootstrap_intervals([statistic], known, settings)[0][0]


def paired_difference(
    a: Float[np.ndarray, " N"], b: Float[np.ndarray, " N"], settings: BootstrapSettings
) -> Interval:
    """Mean of a - b over the same instances, resampled together, so that what both find hard cancels."""
    return mean_interval(a.astype(np.float64) - b.astype(np.float64), settings)


def _interval(value: float, replicates: Float[np.ndarray, " B"], level: float) -> Interval:
    known = replicates[np.isfinite(replicates)]
    if not np.isfinite(value) or len(known) == 0:
        return Interval(_finite(value))
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(value), float(low), float(high))


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
