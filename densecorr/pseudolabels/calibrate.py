"""From score, margin and cycle error to the geodesic error to expect, learnt where the truth is known.

Each signal becomes its rank among those of the data it was fitted on, a non-negative sum of the ranks (and of how far
they reach into the worst quarter) says how risky a label is, and isotonic regression turns that into an error: a label
that is worse in any signal never gets a lower one. All errors are shares of the template's diameter, so that they mean
the same on every template.
"""

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from ..errors import ArtifactError, EmptyInstanceError
from ..records import LabelRecord
from ..view_matching import Pooling

SIGNALS = ("score", "margin", "cycle", "mean score", "mean margin", "mean cycle", "view lead")
_SIGN = np.array([-1.0, -1.0, 1.0, -1.0, -1.0, 1.0, -1.0])  # a high score is good, a long cycle bad
_KNOTS = 65


@dataclass(frozen=True)
class Calibration:
    """A fitted calibration.

    Attributes:
        knots: (7, 65) quantiles of each of `SIGNALS`, signed so that more is worse.
        weights: (14,) of the ranks in [0, 1] and of their tails; none is negative.
        risk: (T,) weighted sums, rising.
        error: (T,) the expected error at each.
        pooling: of the labels it was fitted on; others mean something else by their scores.
        azimuths: of the views they were matched to.
        cycle_errors: by which that pooling was chosen, if it was.
    """

    knots: tuple[tuple[float, ...], ...]
    weights: tuple[float, ...]
    risk: tuple[float, ...]
    error: tuple[float, ...]
    pooling: Pooling = "max"
    azimuths: tuple[tuple[float, float], ...] = ()
    cycle_errors: dict[str, float] = field(default_factory=dict)


def label_signals(label: LabelRecord, side: float) -> Float[np.ndarray, "P 7"]:
    """The signals of each point of a label set: its own, the means over the instance's, and the instance's view lead.

    `side` is the longer side of the instance's box, pixels: cycle errors become shares of it.
    """
    own = np.stack(
        [np.asarray(values, dtype=np.float64) for values in (label.score, label.margin, label.cycle_px)],
        axis=1,
    ) / [1.0, 1.0, max(side, 1.0)]
    mean = own.mean(axis=0) if len(own) else np.zeros(3)
    lead = label.extra.get("view_lead") or 0.0
    return np.concatenate([own, np.broadcast_to([*mean, lead], (len(own), 4))], axis=1)


def fit_calibration(signals: Float[np.ndarray, "P 7"], error: Float[np.ndarray, " P"]) -> Calibration:
    """Fit on points whose errors (shares of the diameter) are known.

    Raises:
        EmptyInstanceError: fewer than 20 points.
    """
    from scipy.optimize import nnls
    from sklearn.isotonic import IsotonicRegression

    if len(error) < 20:
        raise EmptyInstanceError(
            "at least 20 labelled points with a known truth", str(len(error)), "Calibrate on more images."
        )
    knots = np.quantile(signals * _SIGN, np.linspace(0, 1, _KNOTS), axis=0).T
    ranks = _ranks(signals, knots)
    weights = nnls(np.concatenate([ranks, np.ones((len(ranks), 1))], axis=1), error)[0][:-1]
    if not weights.any():
        weights[:] = 1.0  # no signal tells anything: any order will do
    curve = IsotonicRegression(out_of_bounds="clip").fit(ranks @ weights, error)
    return Calibration(
        tuple(map(tuple, knots.tolist())),
        tuple(weights.tolist()),
        tuple(curve.X_thresholds_.tolist()),
        tuple(curve.y_thresholds_.tolist()),
    )


def expected_error(calibration: Calibration, signals: Float[np.ndarray, "P 7"]) -> Float[np.ndarray, " P"]:
    """The expected geodesic error of each point, a share of the diameter."""
    risk = _ranks(signals, np.array(calibration.knots)) @ np.array(calibration.weights)
    return np.interp(risk, calibration.risk, calibration.error)


def _ranks(signals: Float[np.ndarray, "P 7"], knots: Float[np.ndarray, "7 n"]) -> Float[np.ndarray, "P 14"]:
    """Each signal's rank among the knots, 1 the worst, and the part of it beyond the third quartile, stretched to 1."""
    places = np.linspace(0, 1, knots.shape[1])
    columns = zip((signals * _SIGN).T, knots, strict=True)
    ranks = np.stack([np.interp(column, known, places) for column, known in columns], axis=1)
    return np.concatenate([ranks, np.maximum(4 * ranks - 3, 0)], axis=1)


@dataclass(frozen=True)
class Reliability:
    """Expected against true error in bins of equally many points.

    `gap` (the expected calibration error) is the mean over the points of |mean expected - mean true| of their bin;
    `constant_gap` that of one error for all, the mean.
    """

    expected: Float[np.ndarray, " B"]
    true: Float[np.ndarray, " B"]
    low: Float[np.ndarray, " B"]
    high: Float[np.ndarray, " B"]
    count: Int[np.ndarray, " B"]
    gap: float
    constant_gap: float
    rank_correlation: float


def measure_reliability(
    expected: Float[np.ndarray, " P"],
    true: Float[np.ndarray, " P"],
    instance: Int[np.ndarray, " P"],
    n_bins: int = 10,
    seed: int = 0,
) -> Reliability:
    """Bin the points by expected error and compare with their true one (any unit, the same for both).

    The interval of each bin (95 %) resamples whole instances, whose points err together.
    """
    from scipy.stats import spearmanr

    order = np.argsort(expected, kind="stable")
    bins = [part for part in np.array_split(order, n_bins) if len(part)]
    means = np.array([[expected[part].mean(), true[part].mean(), len(part)] for part in bins])
    rng = np.random.default_rng(seed)
    spans = np.array([_interval(true[part], instance[part], rng) for part in bins])
    share = means[:, 2] / len(expected)
    varied = np.ptp(expected) > 0 and np.ptp(true) > 0
    return Reliability(
        means[:, 0],
        means[:, 1],
        spans[:, 0],
        spans[:, 1],
        means[:, 2].astype(np.int64),
        float(share @ np.abs(means[:, 0] - means[:, 1])),
        float(share @ np.abs(true.mean() - means[:, 1])),
        float(spearmanr(expected, true).statistic) if varied else 0.0,  # pyright: ignore[reportAttributeAccessIssue] its stub has no names
    )


def _interval(
    values: Float[np.ndarray, " P"], group: Int[np.ndarray, " P"], rng: np.random.Generator, n: int = 400
) -> tuple[float, float]:
    _, of = np.unique(group, return_inverse=True)
    total, count = np.bincount(of, weights=values), np.bincount(of)
    drawn = rng.integers(len(total), size=(n, len(total)))
    means = total[drawn].sum(axis=1) / count[drawn].sum(axis=1)
    return float(np.quantile(means, 0.025)), float(np.quantile(means, 0.975))


def cross_fitted(
    signals: Float[np.ndarray, "P 7"],
    error: Float[np.ndarray, " P"],
    instance: Int[np.ndarray, " P"],
    n_folds: int = 5,
    seed: int = 0,
) -> Float[np.ndarray, " P"]:
    """Each point's expected error from a calibration fitted on other instances than its own.

    Raises:
        EmptyInstanceError: fewer than two instances.
    """
    names, of = np.unique(instance, return_inverse=True)
    n_folds = min(n_folds, len(names))
    if n_folds < 2:
        raise EmptyInstanceError(
            "at least two labelled instances with a known truth", str(len(names)), "Calibrate on more images."
        )
    fold = np.random.default_rng(seed).permutation(len(names))[of] % n_folds
    out = np.empty(len(error))
    for held_out in range(n_folds):
        own = fold == held_out
        out[own] = expected_error(fit_calibration(signals[~own], error[~own]), signals[own])
    return out


def with_expected_error(label: LabelRecord, side: float, calibration: Calibration) -> LabelRecord:
    """The label set with `expected_error` filled in."""
    errors = expected_error(calibration, label_signals(label, side)).astype(np.float32)
    return replace(label, expected_error=errors)


def write_calibration(folder: Path, calibration: Calibration) -> None:
    """`calibration.json`."""
    (folder / "calibration.json").write_text(json.dumps(asdict(calibration)) + "\n")


def read_calibration(folder: Path) -> Calibration:
    """What `write_calibration` wrote.

    Raises:
        ArtifactError: the folder holds none.
    """
    from ..config import from_jsonable

    try:
        return from_jsonable(Calibration, json.loads((folder / "calibration.json").read_text()))
    except (OSError, ValueError) as error:
        raise ArtifactError("a calibration", f"{folder} ({error})", "Name a `calibrate` artifact.") from error
