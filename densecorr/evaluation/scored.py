"""Truth and prediction side by side for one method: what every metric reads, and what it returns."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from ..errors import AnnotationError, EmptyInstanceError, SettingsError
from .bootstrap import Statistic
from .instances import InstanceTruth, PointPrediction, align_predictions, scored_points

GeodesicRows = Callable[[np.ndarray], np.ndarray]
"""Vertices (n,) int64 to distances (n, V) float32, in the template's unit."""


@runtime_checkable
class ScoringTemplate(Protocol):
    """What scoring needs to know of a template; `densecorr.templates.Template` has it."""

    @property
    def unit(self) -> str:
        """Unit of the source mesh; "none" when lengths mean nothing."""
        ...

    @property
    def diameter(self) -> float:
        """Largest geodesic distance between two vertices, metres (or mesh units)."""
        ...

    @property
    def mirror(self) -> np.ndarray:
        """(V,) bilateral partner of each vertex."""
        ...

    @property
    def mirror_residual(self) -> float:
        """How far from mirror symmetric the template is: mean distance to its reflection / diameter."""
        ...


@dataclass(frozen=True)
class ScoredPoints:
    """P scored points of N instances, in one order for all methods.

    `instance` is each point's row in the per-instance arrays; `distance` and `mirror_distance` are geodesics
    from the true vertex and from its mirror to the predicted one, inf for none; `plane_distance` is half the
    geodesic between the true vertex and its mirror, which on a symmetric surface is the distance to the
    symmetry curve. `kappa` is NaN where the truth gives none; `score`, `silhouette_iou` and `visible_share`
    are NaN where unknown.
    """

    instance: Int[np.ndarray, " P"]
    distance: Float32[np.ndarray, " P"]
    mirror_distance: Float32[np.ndarray, " P"]
    plane_distance: Float32[np.ndarray, " P"]
    inside: Bool[np.ndarray, " P"]
    xy_predicted: Float[np.ndarray, "P 2"]
    xy_true: Float[np.ndarray, "P 2"]
    kappa: Float[np.ndarray, " P"]
    instance_id: list[str]
    image_id: list[str]
    category: list[str]
    xywh: Float[np.ndarray, "N 4"]
    area: Float[np.ndarray, " N"]
    ignore: Bool[np.ndarray, " N"]
    iscrowd: Bool[np.ndarray, " N"]
    predicted: Bool[np.ndarray, " N"]
    score: Float[np.ndarray, " N"]
    silhouette_iou: Float[np.ndarray, " N"]
    visible_share: Float[np.ndarray, " N"]
    azimuth: list[float | None]
    source: list[str | None]


@dataclass(frozen=True)
class Omission:
    """Figures a metric cannot give here, and why."""

    names: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class Measurement:
    """One metric's figures in the statistic's order, the statistic, and per-instance columns (N,)."""

    names: tuple[str, ...]
    statistic: Statistic
    columns: dict[str, np.ndarray]
    omitted: tuple[Omission, ...] = ()


def sum_by_instance(values: np.ndarray, scored: ScoredPoints) -> Float[np.ndarray, " N"]:
    """Per-point values added up within each instance."""
    return np.bincount(scored.instance, weights=values, minlength=len(scored.instance_id))


def geodesic_pairs(
    rows: GeodesicRows, source: Int[np.ndarray, " P"], target: Int[np.ndarray, "P M"], chunk: int = 256
) -> Float32[np.ndarray, "P M"]:
    """Distance from each source vertex to its M targets, inf where a target is -1.

    Rows are asked for once a distinct source, `chunk` at a time, so a large template never needs its full
    matrix.
    """
    unique, inverse = np.unique(source, return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    starts = np.searchsorted(inverse[order], np.arange(0, len(unique) + chunk, chunk))
    distance = np.full(target.shape, np.inf, dtype=np.float32)
    for index, start in enumerate(range(0, len(unique), chunk)):
        block = np.asarray(rows(unique[start : start + chunk]), dtype=np.float32)
        points = order[starts[index] : starts[index + 1]]
        found = np.take_along_axis(block[inverse[points] - start], np.maximum(target[points], 0), axis=1)
        distance[points] = np.where(target[points] >= 0, found, np.float32(np.inf))
    return distance


def score_points(
    truths: Sequence[InstanceTruth],
    predictions: Mapping[str, Sequence[PointPrediction]],
    rows: GeodesicRows,
    template: ScoringTemplate,
) -> dict[str, ScoredPoints]:
    """Every method's answers measured against the same truth; geodesic rows are solved once for all methods.

    Instances without a scored point are left out. An instance without a prediction stays, with every point
    missing.

    Raises:
        EmptyInstanceError: no instance has a scored point.
        AnnotationError: predictions do not fit the truths, or a vertex is not on the template.
        SettingsError: no method.
    """
    if not predictions:
        raise SettingsError("at least one method", "none", "Name the predictions to score.")
    aligned = {method: align_predictions(truths, given) for method, given in predictions.items()}
    kept = [index for index, truth in enumerate(truths) if scored_points(truth).any()]
    if not kept:
        raise EmptyInstanceError(
            "at least one annotated point", "none", "Evaluate on a data set with true vertices."
        )
    chosen = [(truths[index], scored_points(truths[index])) for index in kept]
    vertex = np.concatenate([truth.vertex[use] for truth, use in chosen]).astype(np.int64)
    instance = np.repeat(np.arange(len(kept)), [int(use.sum()) for _, use in chosen])
    answers = {
        method: [_answer(given[index], use) for index, (_, use) in zip(kept, chosen, strict=True)]
        for method, given in aligned.items()
    }
    guesses = np.stack(
        [np.concatenate([answer.vertex for answer in given]) for given in answers.values()], axis=1
    ).astype(np.int64)
    _check_vertices(vertex, guesses, len(template.mirror))
    mirrored = template.mirror[vertex].astype(np.int64)
    distance = geodesic_pairs(rows, np.r_[vertex, mirrored], np.r_[guesses, guesses])
    plane = 0.5 * geodesic_pairs(rows, vertex, mirrored[:, None])[:, 0]
    to_truth, to_mirror = distance[: len(vertex)], distance[len(vertex) :]
    shared = _shared_arrays([truth for truth, _ in chosen], [use for _, use in chosen])
    return {
        method: ScoredPoints(
            instance=instance,
            distance=to_truth[:, column].copy(),
            mirror_distance=to_mirror[:, column].copy(),
            plane_distance=plane,
            inside=np.concatenate([answer.inside for answer in given]),
            xy_predicted=np.concatenate([answer.xy for answer in given]).astype(np.float64),
            predicted=np.array([aligned[method][index] is not None for index in kept]),
            score=np.array([answer.score for answer in given], dtype=np.float64),
            silhouette_iou=np.array(
                [np.nan if answer.silhouette_iou is None else answer.silhouette_iou for answer in given],
                dtype=np.float64,
            ),
            **shared,
        )
        for column, (method, given) in enumerate(answers.items())
    }


def _answer(prediction: PointPrediction | None, use: Bool[np.ndarray, " P"]) -> PointPrediction:
    if prediction is None:
        n_points = int(use.sum())
        nowhere = np.full((n_points, 2), np.nan)
        return PointPrediction(
            "", np.full(n_points, -1), nowhere, float("nan"), np.zeros(n_points, dtype=bool)
        )
    return PointPrediction(
        prediction.instance_id,
        prediction.vertex[use],
        prediction.xy[use],
        prediction.score,
        prediction.inside[use],
        prediction.silhouette_iou,
    )


def _shared_arrays(truths: list[InstanceTruth], use: list[np.ndarray]) -> dict:
    pairs = list(zip(truths, use, strict=True))
    no_kappa = [
        np.full(len(truth.vertex), np.nan) if truth.kappa is None else truth.kappa for truth in truths
    ]
    return {
        "xy_true": np.concatenate([truth.xy[chosen] for truth, chosen in pairs]).astype(np.float64),
        "kappa": np.concatenate([kappa[chosen] for kappa, chosen in zip(no_kappa, use, strict=True)]).astype(
            np.float64
        ),
        "instance_id": [truth.instance_id for truth in truths],
        "image_id": [truth.image_id for truth in truths],
        "category": [truth.category for truth in truths],
        "xywh": np.array([truth.xywh for truth in truths], dtype=np.float64),
        "area": np.array([truth.area for truth in truths], dtype=np.float64),
        "ignore": np.array([truth.ignore for truth in truths], dtype=bool),
        "iscrowd": np.array([truth.iscrowd for truth in truths], dtype=bool),
        "visible_share": np.array(
            [np.nan if truth.visible_share is None else truth.visible_share for truth in truths],
            dtype=np.float64,
        ),
        "azimuth": [truth.azimuth for truth in truths],
        "source": [truth.source for truth in truths],
    }


def _check_vertices(true: Int[np.ndarray, " P"], predicted: Int[np.ndarray, "P M"], n_vertices: int) -> None:
    for what, vertex in (("annotated", true), ("predicted", predicted)):
        if vertex.size and (vertex.max() >= n_vertices or vertex.min() < -1):
            wrong = vertex.max() if vertex.max() >= n_vertices else vertex.min()
            raise AnnotationError(
                f"{what} vertices in [0, {n_vertices}), or -1",
                str(wrong),
                "Use labels made for this template.",
            )
