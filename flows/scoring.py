"""The evaluate stage's work on tables: truths, and each method's answers at the same held-out points."""

import json
from collections.abc import Callable, Container
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from densecorr.evaluation.chance import predict_by_chance
from densecorr.evaluation.instances import InstanceTruth, PointPrediction
from densecorr.evaluation.position_prior import (
    PositionPriorSettings,
    fit_position_prior,
    predict_by_position,
    to_box_relative,
)
from densecorr.features import RunOn
from densecorr.images import read_image, silhouette_iou
from densecorr.models import Predictor
from densecorr.pseudolabels.choose import Variant, variants
from densecorr.pseudolabels.lift import read_view_features
from densecorr.pseudolabels.zero_shot import (
    InstanceScores,
    ZeroShotSettings,
    predict_points,
    restrict,
    score_instance,
)
from densecorr.templates.template import Template
from storage.datasets import DatasetInstance, read_instances, read_labels

from .labelled import ANNOTATIONS

Predictions = dict[str, list[PointPrediction]]


@dataclass(frozen=True)
class ScoredItem:
    """One held-out instance: where its image is, and the truth."""

    item: DatasetInstance
    truth: InstanceTruth


def read_truths(dataset: Path, category: str, split: str | None) -> list[ScoredItem]:
    """The annotated instances of a category; empty when the data set has no annotation of points."""
    sets = read_labels(dataset, ANNOTATIONS)
    scored = []
    for item in read_instances(dataset, category, split):
        label, record = sets.get(item.instance.instance_id), item.instance
        if label is None or not len(label.vertex):
            continue
        known = record.extra.get("densecorr")
        told = known if isinstance(known, dict) else {}
        truth = InstanceTruth(
            record.instance_id,
            record.image_id,
            record.category,
            record.xywh,
            np.stack([label.x, label.y], axis=1).astype(np.float64),
            np.asarray(label.vertex, dtype=np.int64),
            float(record.area),
            record.silhouette,
            visible_share=_number(told.get("visible_share")),
            azimuth=_number(told.get("azimuth")),
            source=str(record.extra.get("source") or told.get("source") or label.source),
        )
        scored.append(ScoredItem(item, truth))
    return scored


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def predict_chance(items: list[ScoredItem], template: Template, seed: int) -> list[PointPrediction]:
    """Uniform guesses."""
    return [predict_by_chance(item.truth, len(template.V), seed) for item in items]


def predict_prior(
    items: list[ScoredItem], dataset: Path, labels: Path, template: Template
) -> list[PointPrediction]:
    """The position prior, fitted on the pseudo-labels a model would be trained on."""
    boxes = {item.instance.instance_id: item.instance.xywh for item in read_instances(dataset)}
    relative, vertex = [], []
    for instance_id, label in read_labels(labels).items():
        xy = np.stack([label.x, label.y], axis=1).astype(np.float64)
        relative.append(to_box_relative(xy, boxes[instance_id]))
        vertex.append(np.asarray(label.vertex, dtype=np.int64))
    prior = fit_position_prior(
        np.concatenate(relative),
        np.concatenate(vertex),
        template.coarse,
        template.to_coarse,
        template.coarse_D,
        PositionPriorSettings(),
    )
    return [predict_by_position(prior, item.truth) for item in items]


def chosen_variant(labels: Path) -> tuple[Variant, dict[str, float]]:
    """The pooling a label artifact was made with, and the cycle errors it was chosen by (empty if it was given)."""
    summary = json.loads((labels / "summary.json").read_text())
    intervals = tuple((float(low), float(high)) for low, high in summary["azimuths"])
    return Variant(summary["pooling"], intervals), summary.get("cycle_errors", {})


def predict_zero_shot(
    items: list[ScoredItem],
    features: Path,
    template: Template,
    settings: ZeroShotSettings,
    progress: Callable[[int, int], object],
    run: RunOn,
) -> dict[Variant, list[PointPrediction]]:
    """Every variant of pooling and views at the truth's points, all from one similarity an image."""
    stored, loader = read_view_features(features)
    views, extractor = stored.to(run.device), loader.load(run.device, run.offload)
    level = level_index(template, views.vertices)
    out: dict[Variant, list[PointPrediction]] = {variant: [] for variant in variants(settings.azimuths)}
    for index, item in enumerate(items):
        silhouette, truth = item.item.silhouette(), item.truth
        progress(index, len(items))
        if silhouette is None:
            continue
        scores = score_instance(
            read_image(item.item.path), silhouette, truth.xywh, truth.instance_id, views, extractor, settings
        )
        if scores is None:
            continue
        inside = points_inside(truth.xy, silhouette)
        asked = level[np.maximum(truth.vertex, 0)]
        kept = {azimuths: restrict(scores, azimuths) for azimuths in {v.azimuths for v in out}}
        score = {azimuths: mean_score(some) for azimuths, some in kept.items()}
        for variant, predictions in out.items():
            vertex, xy = predict_points(kept[variant.azimuths], truth.xy, asked, variant.pooling)
            predictions.append(
                PointPrediction(truth.instance_id, vertex, xy, score[variant.azimuths], inside)
            )
    return out


def mean_score(scores: InstanceScores) -> float:
    """The mean over the cells of their best similarity with any cell of the views."""
    best = [float(block.max(dim=1).values.sum()) for _, block in scores.similarity.blocks()]
    return sum(best) / max(len(scores.similarity), 1)


def level_index(template: Template, vertices: np.ndarray) -> np.ndarray:
    """For each template vertex, the index of the matched vertex that stands for it."""
    if np.array_equal(vertices, template.coarse):
        return template.to_coarse
    index = np.full(len(template.V), 0)
    index[vertices] = np.arange(len(vertices))
    return index


def predict_model(
    items: list[ScoredItem], model: Predictor, told: bool, progress: Callable[[int, int], object]
) -> list[PointPrediction]:
    """A trained model at the truth's points.

    `told`: it is given the data set's silhouette, as zero-shot matching is; otherwise it has the image and box alone.
    The silhouette that GPSm compares is the model's own in both cases.
    """
    out = []
    for index, item in enumerate(items):
        progress(index, len(items))
        image, truth, silhouette = read_image(item.item.path), item.truth, item.item.silhouette()
        if silhouette is None and model.needs_silhouettes:
            continue
        embedded = model.embed(image, truth.xywh, silhouette if told else None)
        vertex, inside = model.vertices_at(embedded, truth.xy)
        xy = model.pixels_of(embedded, np.maximum(truth.vertex, 0))
        score = model.confidence(embedded)
        iou = None
        if silhouette is not None:
            found = model.own_silhouette(embedded, *silhouette.shape)
            iou = silhouette_iou(found, silhouette)
            if told:
                inside = points_inside(truth.xy, silhouette)
        out.append(PointPrediction(truth.instance_id, vertex.astype(np.int64), xy, score, inside, iou))
    return out


def points_inside(xy: np.ndarray, silhouette: np.ndarray) -> np.ndarray:
    """Whether each pixel position lies in the silhouette."""
    at = np.rint(xy).astype(np.int64).clip(0, [silhouette.shape[1] - 1, silhouette.shape[0] - 1])
    return silhouette[at[:, 1], at[:, 0]]


def model_name(config: dict) -> str:
    """How a model is called in tables, from the labels it was trained on."""
    return "trained on pseudo-labels" if config["inputs"].get("labels") else "trained on truth"


def unique_name(name: str, taken: Container[str]) -> str:
    """`name`, or `name (2)` and so on when there is one already."""
    count = 2
    candidate = name
    while candidate in taken:
        candidate, count = f"{name} ({count})", count + 1
    return candidate
