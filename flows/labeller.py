"""Labelling instances with one template's views: the pseudo-label stage's hot loop over a data set."""

import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from densecorr.errors import SettingsError
from densecorr.features import FeatureExtractor, RunOn
from densecorr.features.batching import Picture, extract_all
from densecorr.features.placement import check_device
from densecorr.images import read_image
from densecorr.pseudolabels.calibrate import Calibration, with_expected_error
from densecorr.pseudolabels.choose import choose_variant
from densecorr.pseudolabels.lift import read_view_features
from densecorr.pseudolabels.orientation import orientation_agreement
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
from densecorr.templates.template import Template, geodesic_rows
from densecorr.view_features import ViewFeatures
from storage.datasets import DatasetInstance
from storage.filesystem import write_atomically
from storage.rows import records_to_table
from storage.tables import write_table

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
        check_device(run.device)
        views, extractor = read_view_features(features)
        self._views = views.to(run.device)
        self._settings_of_extractor = extractor
        self._geodesics = level_geodesics(template, views)
        self._normals = vertex_normals(template.V, template.F)
        self._template, self._settings, self._producer = template, settings, producer
        self._calibration, self._run = calibration, run
        self.chosen: dict[str, Any] = {}

    @cached_property
    def _extractor(self) -> FeatureExtractor:
        """Loaded when the first image needs it: a run that has only its files to join loads no network."""
        return self._settings_of_extractor.load(self._run.device, self._run.offload)

    @property
    def vertices(self) -> np.ndarray:
        """The template vertices that are matched, in the order of the views' features."""
        return self._views.vertices

    def choose(self, instances: list[DatasetInstance], note: Path) -> None:
        """With 'auto' pooling, pick the variant on some of the instances; then keep only the views it uses.

        `note` keeps the choice for a run that was killed. A calibration knows how its own labels were pooled, and these
        must be pooled alike.

        Raises:
            SettingsError: they are not.
        """
        settings, errors = self._settings, {}
        if self._calibration is not None:
            errors = self._calibration.cycle_errors if settings.pooling == "auto" else {}
            settings = pooled_alike(settings, self._calibration)
        elif settings.pooling == "auto":
            if not note.exists():
                write_atomically(note, json.dumps(self._choice(instances)).encode())
            found = json.loads(note.read_text())
            azimuths = tuple((float(low), float(high)) for low, high in found["azimuths"])
            settings = replace(settings, pooling=found["pooling"], azimuths=azimuths)
            errors = found["cycle_errors"]
        self._settings = settings
        self._views = select_views(self._views, settings.azimuths)
        self.chosen = {"pooling": settings.pooling, "azimuths": settings.azimuths}
        if errors:
            self.chosen["cycle_errors"] = errors

    def _choice(self, instances: list[DatasetInstance]) -> dict[str, Any]:
        some = instances[:: max(1, len(instances) // CHOOSE_FROM)][:CHOOSE_FROM]
        scored = (scores for _, scores in self.score(some) if scores is not None)
        variant, errors = choose_variant(scored, self._geodesics, self._template.diameter, self._settings)
        return {"pooling": variant.pooling, "azimuths": variant.azimuths, "cycle_errors": errors}

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

        precision = self._settings.precision
        for grid in extract_all(self._extractor, pictures(), self._run.batch, self._run.device):
            yield from without_foreground()
            item, crop = waiting.popleft()
            if crop is not None:
                yield item, score_crop(crop, grid, self._extractor.stride, self._views, precision)
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


def pooled_alike(settings: ZeroShotSettings, calibration: Calibration) -> ZeroShotSettings:
    """The settings with the pooling of a calibration's labels; raise a SettingsError where they ask for another."""
    wanted = replace(settings, pooling=calibration.pooling, azimuths=calibration.azimuths)
    asked = settings
    if settings.pooling == "auto":
        asked = replace(settings, pooling=wanted.pooling, azimuths=settings.azimuths or wanted.azimuths)
    if asked != wanted:
        raise SettingsError(
            f"labels pooled as those of the calibration ({calibration.pooling}, azimuths {calibration.azimuths})",
            f"{settings.pooling}, azimuths {settings.azimuths}",
            "Set pooling = 'auto' to take the calibration's, or calibrate on labels made with these settings.",
        )
    return wanted


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
