"""The pseudo-label stage's work on tables: instances in, label rows, overlays and a summary out."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from densecorr.evaluation.overlays import figure_row, overlay_points
from densecorr.images import read_image, write_png
from densecorr.matching import ViewFeatures
from densecorr.pseudolabels.choose import choose_variant
from densecorr.pseudolabels.lift import read_view_features
from densecorr.pseudolabels.zero_shot import (
    InstanceScores,
    ZeroShotSettings,
    label_instance,
    score_instance,
    select_views,
)
from densecorr.records import LabelRecord
from densecorr.templates.colors import template_colors
from densecorr.templates.template import Template, geodesic_rows
from storage.datasets import DatasetInstance
from storage.rows import records_to_table, table_to_records
from storage.shards import finished_shards
from storage.tables import read_table, write_table

N_OVERLAYS = 8
CHOOSE_FROM = 48


class Labeller:
    """One template's views ready to label instances; `chosen` says which variant is used, and why."""

    def __init__(self, features: Path, template: Template, settings: ZeroShotSettings, producer: str) -> None:
        self._views = read_view_features(features)
        self._geodesics = level_geodesics(template, self._views)
        self._extractor = settings.features.load()
        self._template, self._settings, self._producer = template, settings, producer
        self.chosen: dict[str, Any] = {"pooling": settings.pooling, "azimuths": settings.azimuths}

    def choose(self, instances: list[DatasetInstance]) -> None:
        """With 'auto' pooling, pick the variant on some of the instances; then keep only the views it uses."""
        settings = self._settings
        if settings.pooling == "auto":
            some = instances[:: max(1, len(instances) // CHOOSE_FROM)][:CHOOSE_FROM]
            scored = (scores for item in some if (scores := self._score(item)) is not None)
            variant, errors = choose_variant(
                scored, self._views, self._geodesics, self._template.diameter, settings
            )
            self._settings = replace(settings, pooling=variant.pooling, azimuths=variant.azimuths)
            self.chosen = {"pooling": variant.pooling, "azimuths": variant.azimuths, "cycle_errors": errors}
        self._views = select_views(self._views, self._settings.azimuths)

    def _score(self, item: DatasetInstance) -> InstanceScores | None:
        silhouette, record = item.silhouette(), item.instance
        if silhouette is None:
            return None
        image = read_image(item.path)
        return score_instance(
            image, silhouette, record.xywh, record.instance_id, self._views, self._extractor, self._settings
        )

    def label(self, item: DatasetInstance) -> LabelRecord | None:
        """The label set of one instance; None if it has no silhouette to sample."""
        record, scores = item.instance, self._score(item)
        if scores is None:
            return None
        rng = instance_rng(self._settings.seed, record.instance_id)
        labels = label_instance(
            scores, self._views, self._geodesics, self._template.diameter, self._settings, rng
        )
        return LabelRecord(
            label_id=f"{self._producer}/{record.instance_id}",
            instance_id=record.instance_id,
            template_id=self._template.template_id,
            source="zero_shot",
            producer=self._producer,
            x=labels.xy[:, 0],
            y=labels.xy[:, 1],
            vertex=labels.vertex,
            point_ids=np.arange(len(labels.vertex)),
            score=labels.score,
            margin=labels.margin,
            cycle_px=labels.cycle_px,
        )

    def write(self, path: Path, batch: list[DatasetInstance], step: Callable[[int], object]) -> None:
        """Label a batch into one Parquet file; `step` hears of each instance."""
        records = []
        for index, item in enumerate(batch):
            step(index)
            label = self.label(item)
            if label is not None:
                records.append(label)
        write_table(path, "labels", records_to_table("labels", records))


def level_geodesics(template: Template, views: ViewFeatures) -> np.ndarray:
    """Distances between the matched vertices: the template's coarse level, or rows solved now."""
    if np.array_equal(views.vertices, template.coarse):
        return template.coarse_D
    return geodesic_rows(template, views.vertices)[:, views.vertices]


def instance_rng(seed: int, instance_id: str) -> np.random.Generator:
    """A generator that depends on the seed and the instance alone, whatever the order of the work."""
    return np.random.default_rng([seed, *instance_id.encode()])


def finish_labels(
    out: Path, shards: Path, instances: list[DatasetInstance], template: Template, chosen: dict[str, Any]
) -> None:
    """Join the shards into labels.parquet; write overlays.png and summary.json; remove the shards."""
    import pyarrow as pa

    files = finished_shards(shards)
    table = pa.concat_tables([read_table(path, "labels") for path in files.values()])
    write_table(out / "labels.parquet", "labels", table)
    records = {record.instance_id: record for record in table_to_records("labels", table)}
    (out / "summary.json").write_text(
        json.dumps(summarise(records, len(instances)) | chosen, indent=1) + "\n"
    )
    pictures = label_pictures(instances, records, template)
    if pictures:
        write_png(out / "overlays.png", np.concatenate(pictures))
    for path in files.values():
        path.unlink()
    shards.rmdir()


def summarise(records: dict[str, LabelRecord], n_instances: int) -> dict[str, float | int]:
    """Counts and mean quality figures; none of them knows the truth."""
    joined = {
        name: np.concatenate([getattr(record, name) for record in records.values()])
        if records
        else np.empty(0)
        for name in ("score", "margin", "cycle_px")
    }
    means = {f"mean_{name}": round(float(values.mean()), 5) for name, values in joined.items() if values.size}
    return {
        "instances": n_instances,
        "labelled": len(records),
        "without_silhouette": n_instances - len(records),
        "points": int(joined["score"].size),
    } | means


def label_pictures(
    instances: list[DatasetInstance], records: dict[str, LabelRecord], template: Template
) -> list[np.ndarray]:
    """Rows of image and labelled points in template colours, of the first labelled instances."""
    colors, rows = template_colors(template.V), []
    for item in [item for item in instances if item.instance.instance_id in records][:N_OVERLAYS]:
        record, image = records[item.instance.instance_id], read_image(item.path)
        x, y, w, h = item.instance.xywh
        pad = 0.1 * max(w, h)
        x0, y0 = max(0, int(x - pad)), max(0, int(y - pad))
        x1, y1 = int(min(image.shape[1], x + w + pad)), int(min(image.shape[0], y + h + pad))
        points = np.stack([record.x, record.y], axis=1).astype(np.float64)
        painted = overlay_points(image, points, colors[record.vertex], radius=max(2.0, max(w, h) / 60))
        rows.append(
            figure_row([image[y0:y1, x0:x1], painted[y0:y1, x0:x1]], [item.instance.category, "zero-shot"])
        )
    width = max((row.shape[1] for row in rows), default=0)
    return [np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0)), constant_values=255) for row in rows]
