"""From tables to what a training run reads: chosen labels, loaded one image at a time."""

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from densecorr.errors import TrainingError
from densecorr.images import read_image
from densecorr.pseudolabels.filters import LabelFilter
from densecorr.records import LabelRecord
from densecorr.templates.template import Template
from densecorr.training.examples import LabelledInstance, LabelledPoints
from densecorr.training.prepare import TrainingLevel
from storage.datasets import DatasetInstance, read_instances, read_labels
from storage.masks import SOURCE, with_corrected_masks

from .label_filter import distances_to, filter_labels

logger = logging.getLogger(__name__)
SYMMETRIC = 0.02  # mirror residual, share of the diameter, up to which left and right are mirror images
ON_THE_PLANE = 0.01  # share of the diameter, up to which a vertex is on neither side
ANNOTATIONS = ("human", "synthetic", "correction")


class LabelledInstances:
    """A sized iterable of training instances; images are read when they are reached."""

    def __init__(
        self, chosen: list[tuple[DatasetInstance, LabelRecord]], template: Template, n_points: int = 0
    ) -> None:
        self._chosen, self._to_coarse, self._n_points = chosen, template.to_coarse, n_points

    def __len__(self) -> int:
        return len(self._chosen)

    def __iter__(self) -> Iterator[LabelledInstance]:
        for (item, _), points in zip(self._chosen, self.points(), strict=True):
            yield LabelledInstance(
                read_image(item.path),
                item.silhouette(),
                item.instance.xywh,
                points.xy,
                points.vertex,
                points.weight,
            )

    @property
    def n_corrected_masks(self) -> int:
        """How many instances have a mask that reviewers gave them."""
        return sum(item.instance.silhouette_source == SOURCE for item, _ in self._chosen)

    def points(self) -> Iterator[LabelledPoints]:
        """The labels alone: no image is read."""
        for item, label in self._chosen:
            use = np.asarray(label.vertex) >= 0
            if label.visible is not None:  # a reviewer's "not visible"
                use &= label.visible
            vertex = np.asarray(label.vertex)[use]
            yield LabelledPoints(
                item.instance.instance_id,
                np.stack([label.x, label.y], axis=1)[use].astype(np.float64),
                self._to_coarse[vertex],
                np.full(len(vertex), self._weight(label, len(vertex))),
            )

    def _weight(self, label: LabelRecord, n_points: int) -> float:
        """Of each of a label set's points: a reviewed set's few weigh together as much as a full one's."""
        few = label.source == "correction" and 0 < n_points < self._n_points
        return float(label.weight) * (self._n_points / n_points if few else 1.0)


def labelled_instances(
    dataset: Path,
    labels: Path | None,
    template: Template,
    category: str,
    split: str | None,
    rule: LabelFilter,
    n_points: int = 0,
    opinion: Path | None = None,
) -> LabelledInstances:
    """The instances of a category that have labels worth training on.

    `labels` None takes the data set's own annotations, all of them; else the filter chooses among the label sets.
    A mask that a label set carries (`storage.masks`) takes the place of the data set's.
    `n_points` is how many points of an instance a training step uses: label sets that people reviewed, who see few
    points, are weighted as if they had as many. With an `opinion`, labels of the same points, the filter goes by the
    distance to it.

    Raises:
        TrainingError: no label set is left, one is for another template, or the opinion is of other points.
    """
    sets = read_labels(dataset, ANNOTATIONS) if labels is None else read_labels(labels)
    pairs = [
        (item, sets[item.instance.instance_id])
        for item in with_corrected_masks(read_instances(dataset, category, split), sets)
        if item.instance.instance_id in sets
    ]
    check_labels(pairs, template, category)
    if labels is None:
        return LabelledInstances(pairs, template, n_points)
    chosen = filter_labels(pairs, rule, None if opinion is None else distances_to(opinion, pairs, template))
    logger.info("training on %d of %d labelled instances", len(chosen), len(pairs))
    return LabelledInstances(chosen, template, n_points)


def check_labels(pairs: list[tuple[DatasetInstance, LabelRecord]], template: Template, category: str) -> None:
    """Raise a TrainingError unless there are labels and they fit the template."""
    if not pairs:
        raise TrainingError(
            f"label sets for '{category}'",
            "none",
            "Run `densecorr pseudo-label` first, or check category and split.",
        )
    other = next((label.template_id for _, label in pairs if label.template_id != template.template_id), None)
    if other is not None:
        raise TrainingError(
            f"labels for the template {template.template_id}",
            f"labels for {other}",
            "The labels belong to another mesh; name its template, or its own labels.",
        )
    highest = max((int(np.max(label.vertex)) for _, label in pairs if len(label.vertex)), default=-1)
    if highest >= len(template.V):
        raise TrainingError(
            f"vertices below {len(template.V)} ({template.template_id})",
            str(highest),
            "The labels belong to another mesh; name its template.",
        )


def training_level(template: Template, n_eigenfunctions: int) -> tuple[TrainingLevel, np.ndarray]:
    """The template's coarse level as training needs it, and the same scaled eigenbasis at every vertex."""
    used = template.evecs[:, :n_eigenfunctions]
    scale = np.sqrt(np.mean(np.square(template.evecs[template.coarse]), dtype=np.float64))
    mirror = template.to_coarse[template.mirror[template.coarse]]
    normal, offset = template.mirror_plane[:3], template.mirror_plane[3]
    away = (template.V[template.coarse] @ normal - offset) * (1 if normal[0] >= 0 else -1)
    level = TrainingLevel(
        template.evecs[template.coarse],
        template.coarse_D,
        mirror.astype(np.int64),
        float(template.diameter),
        np.where(np.abs(away) < ON_THE_PLANE * template.diameter, 0, np.sign(away)).astype(np.int64),
        template.mirror_residual < SYMMETRIC,
    )
    return level, (used / scale).astype(np.float32)
