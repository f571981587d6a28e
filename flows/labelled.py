"""From tables to what a training run reads: chosen labels, loaded one image at a time."""

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from densecorr.errors import TrainingError
from densecorr.images import read_image
from densecorr.pseudolabels.filters import LabelFilter, score_threshold, select_instances
from densecorr.records import LabelRecord
from densecorr.templates.template import Template
from densecorr.training.examples import LabelledInstance
from densecorr.training.train import TrainingLevel
from storage.datasets import DatasetInstance, read_instances, read_labels

logger = logging.getLogger(__name__)
ANNOTATIONS = ("human", "synthetic", "correction")


class LabelledInstances:
    """A sized iterable of training instances; images are read when they are reached."""

    def __init__(
        self, chosen: list[tuple[DatasetInstance, LabelRecord]], threshold: float, template: Template
    ) -> None:
        self._chosen, self._threshold, self._to_coarse = chosen, threshold, template.to_coarse

    def __len__(self) -> int:
        return len(self._chosen)

    def __iter__(self) -> Iterator[LabelledInstance]:
        for item, label in self._chosen:
            use = np.asarray(label.vertex) >= 0
            if label.score is not None:
                use &= np.asarray(label.score) >= self._threshold
            vertex = np.asarray(label.vertex)[use]
            yield LabelledInstance(
                read_image(item.path),
                item.silhouette(),
                item.instance.xywh,
                np.stack([label.x, label.y], axis=1)[use].astype(np.float64),
                self._to_coarse[vertex],
                np.full(len(vertex), float(label.weight)),
            )


def labelled_instances(
    dataset: Path,
    labels: Path | None,
    template: Template,
    category: str,
    split: str | None,
    rule: LabelFilter,
) -> LabelledInstances:
    """The instances of a category that have labels worth training on.

    `labels` None takes the data set's own annotations, all of them; else the filter chooses among the label sets.

    Raises:
        TrainingError: no label set is left, or one is for another template.
    """
    sets = read_labels(dataset, ANNOTATIONS) if labels is None else read_labels(labels)
    pairs = [
        (item, sets[item.instance.instance_id])
        for item in read_instances(dataset, category, split)
        if item.instance.instance_id in sets
    ]
    check_labels(pairs, template, category)
    scored = [pair for pair in pairs if pair[1].score is not None and len(pair[1].vertex)]
    if labels is None or not scored:
        return LabelledInstances(pairs, -np.inf, template)
    cycle = [float(np.mean(_known(label.cycle_px))) / max(item.instance.xywh[2:]) for item, label in scored]
    score = [float(np.mean(_known(label.score))) for _, label in scored]
    kept = select_instances(np.array(score), np.array(cycle), rule.instances)
    chosen = [pair for pair, keep in zip(scored, kept, strict=True) if keep]
    threshold = score_threshold([_known(label.score) for _, label in chosen], rule.points)
    logger.info(
        "training on %d of %d labelled instances, scores from %.4f", len(chosen), len(pairs), threshold
    )
    return LabelledInstances(chosen, threshold, template)


def check_labels(pairs: list[tuple[DatasetInstance, LabelRecord]], template: Template, category: str) -> None:
    """Raise a TrainingError unless there are labels and they fit the template."""
    if not pairs:
        raise TrainingError(
            f"label sets for '{category}'",
            "none",
            "Run `densecorr pseudo-label` first, or check category and split.",
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
    level = TrainingLevel(
        template.evecs[template.coarse], template.coarse_D, mirror.astype(np.int64), float(template.diameter)
    )
    return level, (used / scale).astype(np.float32)


def _known(values: np.ndarray | None) -> np.ndarray:
    return np.zeros(1, dtype=np.float32) if values is None else values
