"""What to review first: expected error times disagreement, for the time it takes, and not the same thing twice.

    information_i = e * (e_i / e)^trust * max(relative disagreement_i, least_disagreement)
    gain_i        = information_i / seconds_i * (1 - diversity + diversity * d_i / d_max)

e_i, the mean over points of the calibrated error, is what a perfect review takes off the instance's mean error, e its
mean over instances. Disagreement is the query-by-committee measure (Seung, Opper and Sompolinsky 1992) of an instance's
label sets. It is a measurement of the same error, so what it says of the calibrated one is known without any truth:
`trust` is their rank correlation. Where they go together the two are multiplied, where they do not the calibrated error
of an instance tells nothing about it, and multiplying by it would only shuffle. d_i is the distance
to the nearest instance already chosen: with diversity 1 and equal information this is the greedy k-centre of Sener and
Savarese 2018 ("Active learning for convolutional neural networks: a core-set approach", alg. 1). Dividing by the cost
is the greedy of Lin and Bilmes 2010 ("Multi-document summarization via budgeted maximization of submodular functions").
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Float, Int

from densecorr.errors import AnnotationError, SettingsError
from densecorr.evaluation.scored import GeodesicRows, geodesic_pairs
from densecorr.records import LabelRecord

_FEW = 10  # instances; fewer say nothing of a correlation


@dataclass(frozen=True)
class RankingSettings:
    """How instances are ranked.

    Attributes:
        diversity: in [0, 1]; 0 ranks by information alone.
        least_disagreement: label sets that agree can be wrong alike, so agreement divides information by no more than
            this; 1 or less.
        per_second: divide information by the expected seconds.
        same_px: labels of two sets within this many pixels speak of the same place.
    """

    diversity: float = 0.3
    least_disagreement: float = 0.25
    per_second: bool = True
    same_px: float = 2.0

    def __post_init__(self) -> None:
        """Refuse shares outside [0, 1]."""
        if not (0 <= self.diversity <= 1 and 0 <= self.least_disagreement <= 1):
            raise SettingsError(
                "diversity and least_disagreement in [0, 1]", str(self), "Correct the ranking."
            )


@dataclass(frozen=True)
class Selection:
    """Instances in the order they were chosen, and the expected seconds of all of them together."""

    chosen: tuple[int, ...]
    seconds: float


def mean_expected_error(label: LabelRecord) -> float:
    """The error to expect of an instance, a share of the diameter.

    Raises:
        AnnotationError: the label set is not calibrated, or has no points.
    """
    if label.expected_error is None or not len(label.expected_error):
        raise AnnotationError(
            "labels with an expected error",
            f"none in {label.label_id}",
            "Run `densecorr calibrate`, and label with its artifact.",
        )
    return float(np.mean(label.expected_error, dtype=np.float64))


def disagreement(
    label_sets: Sequence[LabelRecord], rows: GeodesicRows, diameter: float, same_px: float = 2.0
) -> float | None:
    """Mean geodesic distance, a share of the diameter, between an instance's label sets at the same pixels.

    Every point is compared with the nearest one of each later set; the mean is over all compared points. None with
    fewer than two sets, or where no two labels speak of the same place.
    """
    from scipy.spatial import KDTree

    sets = []
    for label in label_sets:
        known = np.flatnonzero(np.asarray(label.vertex) >= 0)
        place = np.column_stack([label.x, label.y]).astype(np.float64)[known]
        sets.append((place, np.asarray(label.vertex, dtype=np.int64)[known]))
    first: list[Int[np.ndarray, " _"]] = []
    second: list[Int[np.ndarray, " _"]] = []
    for (here, one), (there, other) in combinations(sets, 2):
        if len(one) and len(other):
            distance, nearest = KDTree(there).query(here)
            near = np.flatnonzero(distance <= same_px)
            first.append(one[near])
            second.append(other[np.asarray(nearest)[near]])
    if not sum(map(len, first)):
        return None
    apart = geodesic_pairs(rows, np.concatenate(first), np.concatenate(second)[:, None])[:, 0]
    return float(np.minimum(apart, diameter).mean(dtype=np.float64) / diameter)


def information(
    expected_error: Float[np.ndarray, " N"],
    disagreements: Sequence[float | None],
    settings: RankingSettings = RankingSettings(),
) -> Float[np.ndarray, " N"]:
    """The expected information of each instance, in the unit of the expected error.

    Disagreements become relative to their mean, so that instances with a single label set (factor 1) are neither
    favoured nor put back.
    """
    expected = expected_error.astype(np.float64)
    given = np.array([np.nan if value is None else value for value in disagreements], dtype=np.float64)
    known = np.isfinite(given)
    mean = given[known].mean() if known.any() else 0.0
    if not mean > 0:
        return expected
    level = expected[known].mean()
    if level > 0:
        expected[known] = level * (expected[known] / level) ** trust(expected[known], given[known])
    return expected * np.maximum(np.where(known, given / mean, 1.0), settings.least_disagreement)


def trust(expected_error: Float[np.ndarray, " N"], disagreements: Float[np.ndarray, " N"]) -> float:
    """How far the disagreement bears the calibrated errors out: Spearman's rank correlation, but 0 at least.

    1, the calibration's own word, with fewer than ten instances or where all are equal.
    """
    from scipy.stats import spearmanr

    if len(expected_error) < _FEW or np.ptp(expected_error) == 0 or np.ptp(disagreements) == 0:
        return 1.0
    return max(0.0, float(spearmanr(expected_error, disagreements).statistic))


def select_for_review(
    information: Float[np.ndarray, " N"],
    seconds: Float[np.ndarray, " N"],
    budget_minutes: float,
    settings: RankingSettings = RankingSettings(),
    descriptors: Float[np.ndarray, "N d"] | None = None,
) -> Selection:
    """Choose greedily by gain, always the best one that still fits; equal gains go by place in the arrays.

    Args:
        information: of each instance, not negative.
        seconds: expected to be spent on each, positive.
        budget_minutes: never exceeded by the chosen instances' expected seconds; infinite ranks everything.
        settings: how.
        descriptors: what makes instances alike, compared by Euclidean distance (`surface_histogram`, viewpoints as unit
            vectors); None leaves diversity out.

    Raises:
        SettingsError: seconds that are not positive.
    """
    if not (seconds > 0).all():
        raise SettingsError("positive expected seconds", str(float(seconds.min())), "Correct the cost model.")
    value = information / seconds if settings.per_second else information.astype(np.float64)
    weight = 0.0 if descriptors is None else settings.diversity
    left, spent = 60.0 * budget_minutes, 0.0
    free = np.ones(len(value), dtype=bool)
    nearest = np.full(len(value), np.inf)
    length = None if descriptors is None else np.square(descriptors).sum(axis=1)
    chosen: list[int] = []
    while True:
        fits = free & (spent + seconds <= left)
        if not fits.any():
            return Selection(tuple(chosen), spent)
        gain = value if not chosen or not weight else value * (1 - weight + weight * _share(nearest, free))
        best = int(np.argmax(np.where(fits, gain, -np.inf)))
        chosen.append(best)
        spent += float(seconds[best])
        free[best] = False
        if descriptors is not None and length is not None and weight:
            squared = length + length[best] - 2 * (descriptors @ descriptors[best])
            nearest = np.minimum(nearest, np.sqrt(np.maximum(squared, 0.0)))


def _share(nearest: Float[np.ndarray, " N"], free: np.ndarray) -> Float[np.ndarray, " N"]:
    """Distances as shares of the largest among the free ones; 1 where all are 0."""
    largest = nearest[free].max()
    return nearest / largest if largest > 0 else np.ones(len(nearest))


def surface_cells(rows: GeodesicRows, n_vertices: int, n_cells: int = 32) -> Int[np.ndarray, " V"]:
    """Each vertex's cell of the surface: the nearest of centres chosen farthest-first, from vertex 0 on."""
    centres, cell = [0], np.zeros(n_vertices, dtype=np.int64)
    nearest = np.asarray(rows(np.array([0])), dtype=np.float64)[0]
    for index in range(1, min(n_cells, n_vertices)):
        centres.append(int(np.argmax(nearest)))
        row = np.asarray(rows(np.array(centres[-1:])), dtype=np.float64)[0]
        cell[row < nearest] = index
        nearest = np.minimum(nearest, row)
    return cell


def surface_histogram(label: LabelRecord, cells: Int[np.ndarray, " V"]) -> Float[np.ndarray, " C"]:
    """The share of a label set's points in each cell, as square roots: Euclidean distances are then Hellinger's."""
    vertex = np.asarray(label.vertex, dtype=np.int64)
    counts = np.bincount(cells[vertex[vertex >= 0]], minlength=int(cells.max()) + 1).astype(np.float64)
    return np.sqrt(counts / max(counts.sum(), 1.0))
