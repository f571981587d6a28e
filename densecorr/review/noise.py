"""How annotators err: a spread along the surface, slips to the other side, and errors they overlook.

The model, stated before it is used:
  placing   the vertex is drawn with probability proportional to area(v) exp(-d(v, aimed)^2 / (2 sigma^2)): a normal
            offset in the tangent plane wherever the surface is flat at that scale, so d is Rayleigh(sigma), its mean
            1.25 sigma.
  slip      with probability `slip` the annotator aims at the mirrored vertex.
  miss      with probability `miss` a wrong label is overlooked and stays.

Defaults are those of the DensePose annotators. On rendered bodies they reach an area under the RCP curve of .563 up to
10 cm and .835 up to 30 cm (R. A. Guler's thesis, Fig. 4.9, "human performance"). With slips beyond 30 cm, the area up
to a is (1 - slip) (1 - sqrt(2 pi) sigma / a (Phi(a / sigma) - 1/2)); both figures together give sigma = 3.37 cm and
slip = .028. On the open body (diameter 2.03 m) that sigma is .0166 of the diameter; other templates take that share.
Nothing is published about overlooked errors: `miss` is 0 until gold instances tell.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from densecorr.errors import SettingsError
from densecorr.evaluation.bootstrap import BootstrapSettings, Interval, RatioOfSums, bootstrap_intervals
from densecorr.evaluation.left_right import LeftRightConfusion
from densecorr.evaluation.scored import GeodesicRows, ScoringTemplate, geodesic_pairs

from .gold import GoldAnswers, confused_sides

HUMAN_SIGMA = 0.0166
"""Spread of the DensePose annotators, share of the diameter."""

HUMAN_SLIP = 0.028


@dataclass(frozen=True)
class NoiseModel:
    """An annotator's errors.

    Attributes:
        sigma: spread in each region of the surface, in the unit of the template's geodesics; one value: everywhere.
        slip: probability of aiming at the mirrored vertex.
        miss: probability of overlooking a wrong label.
    """

    sigma: tuple[float, ...]
    slip: float = 0.0
    miss: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what is no spread or no probability."""
        spread = bool(self.sigma) and all(sigma >= 0 for sigma in self.sigma)
        if not (spread and 0 <= self.slip <= 1 and 0 <= self.miss <= 1):
            raise SettingsError("sigma >= 0, slip and miss in [0, 1]", str(self), "Correct the noise model.")


def human_noise(diameter: float, miss: float = 0.0) -> NoiseModel:
    """The DensePose annotators' noise on a template of this diameter."""
    return NoiseModel((HUMAN_SIGMA * diameter,), HUMAN_SLIP, miss)


def place_vertices(
    true: Int[np.ndarray, " P"],
    noise: NoiseModel,
    rows: GeodesicRows,
    template: ScoringTemplate,
    rng: np.random.Generator,
    area: Float[np.ndarray, " V"] | None = None,
    region: Int[np.ndarray, " V"] | None = None,
    chunk: int = 256,
) -> Int[np.ndarray, " P"]:
    """Where the annotator puts each point; `miss` plays no part here.

    Args:
        true: true vertices, none -1.
        noise: spread and slips.
        rows: geodesic distances.
        template: for the mirror.
        rng: two numbers are drawn a point.
        area: of each vertex; None takes them as equal.
        region: of each vertex, into `noise.sigma`; None takes the first everywhere.
        chunk: rows at a time.

    Raises:
        SettingsError: a region that has no sigma.
    """
    if region is not None and len(region) and region.max() >= len(noise.sigma):
        raise SettingsError(
            f"a sigma for each of {int(region.max()) + 1} regions",
            str(len(noise.sigma)),
            "Fit the noise with the same regions.",
        )
    slipped, place = rng.random(len(true)) < noise.slip, rng.random(len(true))
    aimed = np.where(slipped, template.mirror[true], true).astype(np.int64)
    sigma = np.asarray(noise.sigma)[np.zeros(len(true), dtype=int) if region is None else region[true]]
    placed = np.empty(len(true), dtype=np.int64)
    for start in range(0, len(true), chunk):
        part = slice(start, start + chunk)
        distance = np.asarray(rows(aimed[part]), dtype=np.float64)
        offset = distance / np.maximum(
            sigma[part, None], 1e-12
        )  # no spread: only the vertex itself has any density
        below = np.cumsum(np.exp(-np.square(offset) / 2) * (1.0 if area is None else area), axis=1)
        placed[part] = (below <= place[part, None] * below[:, -1:]).sum(axis=1)
    return np.minimum(placed, len(template.mirror) - 1)


def fit_noise(
    answers: Sequence[GoldAnswers],
    rows: GeodesicRows,
    template: ScoringTemplate,
    tolerance: float,
    region: Int[np.ndarray, " V"] | None = None,
    least: int = 20,
) -> NoiseModel:
    """Fit to gold answers.

    slip is the share of wrong sides among placed points that have a side. sigma is sqrt(mean d^2 / 2), the Rayleigh
    distribution's maximum likelihood, over placed points that did not slip; a region with fewer than `least` takes
    that of all. miss is the share of wrong labels, those off by more than the tolerance, that were left as they were.
    A point is placed if its label was wrong and it was given another vertex: right labels are only changed when
    someone errs, so with them every error would look more frequent.

    Args:
        answers: of one annotator, or of several as if they were one.
        rows: geodesic distances.
        template: for mirror and diameter.
        tolerance: in the unit of `rows`; what an annotator may let pass.
        region: of each vertex, from 0; None fits one sigma.
        least: points.

    Raises:
        SettingsError: fewer than `least` placed points.
    """
    points = _judge(answers, rows, template, tolerance)
    if points.placed.sum() < least:
        raise SettingsError(
            f"at least {least} placed gold points",
            str(int(points.placed.sum())),
            "Review more gold instances.",
        )
    aimed = points.placed & ~points.slipped
    overall = _spread(points.distance[aimed])
    where = np.zeros(len(aimed), dtype=int) if region is None else region[points.true]
    n_regions = 1 if region is None else int(region.max()) + 1
    inside = [aimed & (where == index) for index in range(n_regions)]
    return NoiseModel(
        tuple(_spread(points.distance[own]) if own.sum() >= least else overall for own in inside),
        _share(points.slipped, points.placed & points.sided),
        _share(points.kept, points.wrong),
    )


@dataclass(frozen=True)
class NoiseIntervals:
    """The figures of a `NoiseModel`, one sigma for the whole surface; values None where nothing tells."""

    sigma: Interval
    slip: Interval
    miss: Interval


def noise_intervals(
    answers: Sequence[GoldAnswers],
    rows: GeodesicRows,
    template: ScoringTemplate,
    tolerance: float,
    bootstrap: BootstrapSettings,
) -> NoiseIntervals:
    """How far the figures of `fit_noise` could move with other images.

    Args:
        answers: at least one.
        rows: geodesic distances.
        template: for mirror and diameter.
        tolerance: in the unit of `rows`.
        bootstrap: of the intervals.
    """
    points = _judge(answers, rows, template, tolerance)
    images, image_of = np.unique([answer.image_id for answer in answers], return_inverse=True)
    of = np.repeat(image_of, [len(answer.true) for answer in answers])
    aimed = points.placed & ~points.slipped
    squared = np.square(np.where(aimed, points.distance, 0.0).astype(np.float64)) / 2
    sided = points.placed & points.sided
    figures = [(squared, aimed), (points.slipped & sided, sided), (points.kept & points.wrong, points.wrong)]
    above, below = (
        np.stack([np.bincount(of, weights=pair[side], minlength=len(images)) for pair in figures], axis=1)
        for side in (0, 1)
    )
    everything = np.ones(len(images), dtype=bool)
    variance, slip, miss = bootstrap_intervals([RatioOfSums(above, below)], everything, bootstrap)[0]
    ends = (variance.value, variance.low, variance.high)
    sigma = Interval(*(None if end is None else float(np.sqrt(end)) for end in ends))
    return NoiseIntervals(sigma, slip, miss)


@dataclass(frozen=True)
class _Judged:
    """P gold points: distance from the true to the given vertex, and what became of each (see `fit_noise`)."""

    true: Int[np.ndarray, " P"]
    distance: Float[np.ndarray, " P"]
    wrong: Bool[np.ndarray, " P"]
    kept: Bool[np.ndarray, " P"]
    placed: Bool[np.ndarray, " P"]
    sided: Bool[np.ndarray, " P"]
    slipped: Bool[np.ndarray, " P"]


def _judge(
    answers: Sequence[GoldAnswers], rows: GeodesicRows, template: ScoringTemplate, tolerance: float
) -> _Judged:
    true, shown, given = (
        np.concatenate([getattr(answer, name) for answer in answers] or [np.zeros(0, dtype=np.int64)])
        for name in ("true", "shown", "given")
    )
    distance = geodesic_pairs(rows, true, np.column_stack([given, shown]))
    sided, slipped = confused_sides(true, given, distance[:, 0], rows, template, LeftRightConfusion())
    wrong, kept = distance[:, 1] > tolerance, given == shown
    return _Judged(true, distance[:, 0], wrong, kept, wrong & ~kept & (given >= 0), sided, slipped)


def _spread(distance: Float[np.ndarray, " n"]) -> float:
    return float(np.sqrt(np.square(distance.astype(np.float64)).mean() / 2)) if len(distance) else 0.0


def _share(event: np.ndarray, among: np.ndarray) -> float:
    return float(event[among].mean()) if among.any() else 0.0
