"""The pseudo-label stage's work on tables: instances in, label rows, overlays and a summary out."""

import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from densecorr.evaluation.overlays import figure_row, overlay_points
from densecorr.features import RunOn
from densecorr.features.batching import Picture, extract_all
from densecorr.images import read_image, write_png
from densecorr.pseudolabels.calibrate import Calibration, with_expected_error
from densecorr.pseudolabels.choose import choose_variant
from densecorr.pseudolabels.lift import read_view_features
from densecorr.pseudolabels.orientation import orientation_agreement, probably_mirrored
from densecorr.pseudolabels.zero_shot import (
    GeodesicRows,
    InstanceCrop,
    InstanceScores,
    ZeroShotSettings,
    crop_instance,
    label_instance,
    score_crop,
    select_views,
)
from densecorr.records import LabelRecord
from densecorr.rendering.shading import vertex_normals
from densecorr.templates.colors import template_colors
from densecorr.templates.template import Template, geodesic_rows
from densecorr.view_features import ViewFeatures
from storage.datasets import DatasetInstance
from storage.rows import records_to_table, table_to_records
from storage.shards import finished_shards
from storage.tables import read_table, write_table

N_OVERLAYS = 8
CHOOSE_FROM = 48
KEPT_GEODESICS_MB = 512


class Labeller:
    """One template's views ready to label instances; `chosen` says which variant is used, and why."""

    def __init__(
        self,
        features: Path,
        template: Template,
        settings: ZeroShotSettings,
        producer: str,
        calibration: Calibration | None = None,
        run: RunOn | None = None,
    ) -> None:
        run = run or RunOn()
        views, extractor = read_view_features(features)
        self._views = views.to(run.device)
        self._extractor = extractor.load(run.device, run.offload)
        self._geodesics = level_geodesics(template, views)
        self._normals = vertex_normals(template.V, template.F)
        self._template, self._settings, self._producer = template, settings, producer
        self._calibration, self._run = calibration, run
        self.chosen: dict[str, Any] = {"pooling": settings.pooling, "azimuths": settings.azimuths}

    def choose(self, instances: list[DatasetInstance]) -> None:
        """With 'auto' pooling, pick the variant on some of the instances; then keep only the views it uses."""
        settings = self._settings
        if settings.pooling == "auto":
            some = instances[:: max(1, len(instances) // CHOOSE_FROM)][:CHOOSE_FROM]
            scored = (scores for _, scores in self.score(some) if scores is not None)
            variant, errors = choose_variant(scored, self._geodesics, self._template.diameter, settings)
            self._settings = replace(settings, pooling=variant.pooling, azimuths=variant.azimuths)
            self.chosen = {"pooling": variant.pooling, "azimuths": variant.azimuths, "cycle_errors": errors}
        self._views = select_views(self._views, self._settings.azimuths)

    def score(
        self, items: Iterable[DatasetInstance]
    ) -> Iterator[tuple[DatasetInstance, InstanceScores | None]]:
        """Each instance with its similarities, None without foreground; images are read as they are needed."""
        waiting: deque[tuple[DatasetInstance, InstanceCrop | None]] = deque()

        def pictures() -> Iterator[Picture]:
            for item in items:
                crop = self._crop(item)
                waiting.append((item, crop))
                if crop is not None:
                    yield Picture(crop.image, crop.silhouette, item.instance.instance_id)

        def without_foreground() -> Iterator[tuple[DatasetInstance, None]]:
            while waiting and waiting[0][1] is None:
                yield waiting.popleft()[0], None

        stride, precision = self._extractor.stride, self._settings.precision
        for grid in extract_all(self._extractor, pictures(), self._run.batch, self._run.device):
            yield from without_foreground()
            item, crop = waiting.popleft()
            if crop is not None:
                yield item, score_crop(crop, grid, stride, self._views, precision)
        yield from without_foreground()

    def _crop(self, item: DatasetInstance) -> InstanceCrop | None:
        silhouette = item.silhouette()
        if silhouette is None:
            return None
        return crop_instance(read_image(item.path), silhouette, item.instance.xywh, self._settings)

    def label(self, item: DatasetInstance, scores: InstanceScores) -> LabelRecord:
        """The label set of one instance."""
        record, template = item.instance, self._template
        rng = instance_rng(self._settings.seed, record.instance_id)
        labels = label_instance(scores, self._geodesics, template.diameter, self._settings, rng)
        agreement = orientation_agreement(
            labels.xy, labels.vertex, template.V, self._normals, template.diameter
        )
        signs = {"orientation": agreement, "view_lead": labels.view_lead}
        extra: dict[str, Any] = {key: round(value, 5) for key, value in signs.items() if value is not None}
        if self._settings.candidates > 1:
            extra |= {
                "candidates": labels.candidates.tolist(),
                "candidate_scores": [[round(float(s), 4) for s in row] for row in labels.candidate_scores],
            }
        label = LabelRecord(
            label_id=f"{self._producer}/{record.instance_id}",
            instance_id=record.instance_id,
            template_id=template.template_id,
            source="zero_shot",
            producer=self._producer,
            x=labels.xy[:, 0],
            y=labels.xy[:, 1],
            vertex=labels.vertex,
            point_ids=np.arange(len(labels.vertex)),
            score=four_digits(labels.score),
            margin=four_digits(labels.margin),
            cycle_px=four_digits(labels.cycle_px),
            extra=extra,
        )
        if self._calibration is None:
            return label
        label = with_expected_error(label, max(record.xywh[2:]), self._calibration)
        return replace(label, expected_error=four_digits(np.asarray(label.expected_error)))

    def write(self, path: Path, batch: list[DatasetInstance], step: Callable[[int], object]) -> None:
        """Label a batch into one Parquet file; `step` hears of each instance."""
        records = []
        for index, (item, scores) in enumerate(self.score(batch)):
            step(index)
            if scores is not None:
                records.append(self.label(item, scores))
        write_table(path, "labels", records_to_table("labels", records))


def four_digits(values: np.ndarray) -> np.ndarray:
    """The values to twelve bits, about four digits: more would be noise, and takes most of a label file's bytes."""
    mantissa, exponent = np.frexp(np.asarray(values, dtype=np.float64))
    return np.ldexp(np.rint(mantissa * 4096) / 4096, exponent).astype(np.float32)


def level_geodesics(template: Template, views: ViewFeatures) -> GeodesicRows:
    """Rows of distances between the matched vertices: the coarse level's, or solved when asked for and kept."""
    if np.array_equal(views.vertices, template.coarse):
        return template.coarse_D.__getitem__
    kept: dict[int, np.ndarray] = {}

    def rows(asked: np.ndarray) -> np.ndarray:
        new = np.array([k for k in np.unique(asked) if int(k) not in kept], dtype=np.int64)
        if len(kept) * len(views.vertices) * 2 > KEPT_GEODESICS_MB * 2**20:
            kept.clear()
            new = np.unique(asked)
        if len(new):
            solved = geodesic_rows(template, views.vertices[new])[:, views.vertices]
            kept.update(zip(new.tolist(), solved.astype(np.float16), strict=True))
        return np.stack([kept[int(k)] for k in asked]).astype(np.float32)

    return rows


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
    found = flag_mirrored(table_to_records("labels", table))
    write_table(out / "labels.parquet", "labels", records_to_table("labels", found))
    records = {record.instance_id: record for record in found}
    (out / "summary.json").write_text(
        json.dumps(summarise(records, len(instances)) | chosen, indent=1) + "\n"
    )
    pictures = label_pictures(instances, records, template)
    if pictures:
        write_png(out / "overlays.png", np.concatenate(pictures))
    for path in files.values():
        path.unlink()
    shards.rmdir()


def flag_mirrored(records: list[LabelRecord]) -> list[LabelRecord]:
    """The label sets; `extra` says which are probably left for right, to be reviewed and left out of training."""
    signs = [[record.extra.get(key) for record in records] for key in ("orientation", "view_lead")]
    return [
        replace(record, extra={**record.extra, "probably_mirrored": bool(flag)})
        for record, flag in zip(records, probably_mirrored(*signs), strict=True)
    ]


def summarise(records: dict[str, LabelRecord], n_instances: int) -> dict[str, float | int]:
    """Counts and mean quality figures; none of them knows the truth."""
    joined = {
        name: np.concatenate([getattr(record, name) for record in records.values()])
        if records
        else np.empty(0)
        for name in ("score", "margin", "cycle_px", "expected_error")
        if all(getattr(record, name) is not None for record in records.values())
    }
    means = {f"mean_{name}": round(float(values.mean()), 5) for name, values in joined.items() if values.size}
    return {
        "instances": n_instances,
        "labelled": len(records),
        "without_silhouette": n_instances - len(records),
        "points": int(joined["score"].size),
        "probably_mirrored": sum(bool(record.extra.get("probably_mirrored")) for record in records.values()),
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
