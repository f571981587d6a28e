"""`densecorr opinion`: what a trained model says at the points of a label set, as labels beside it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from densecorr.features import RunOn

from .progress import Progress
from .stage import ArtifactRef, NotInRecipe, Stage, StageInputs, on_gpu


@dataclass(frozen=True)
class Opinion:
    """Let a trained model label the points that others labelled.

    Where it differs from them, one of the two is wrong: `select` ranks by it, `review open --opinion` suggests from it.
    """

    dataset: ArtifactRef
    """The data set."""
    labels: ArtifactRef
    """The labels whose points are asked for, from `pseudo-label` or `select`."""
    model: ArtifactRef
    """The trained model."""
    category: str
    """Category of the data set."""
    split: str | None = None
    """Of this split only."""
    run: Annotated[RunOn, NotInRecipe] = field(default_factory=RunOn)
    """Device."""


def write(out: Path, inputs: StageInputs, command: Opinion, progress: Progress) -> None:
    """Fill the folder `out`: labels.parquet, source `model`, the same points in the same order."""
    from dataclasses import replace

    import numpy as np

    from densecorr.errors import ArtifactError, EmptyInstanceError
    from densecorr.images import read_image
    from densecorr.models import load_predictor
    from storage.datasets import read_instances, read_labels
    from storage.masks import with_corrected_masks
    from storage.rows import records_to_table
    from storage.tables import write_tables

    model = load_predictor(inputs.path("model"), command.run.device)
    sets = read_labels(inputs.path("labels"))
    items = read_instances(inputs.path("dataset"), command.category, command.split)
    items = [item for item in items if item.instance.instance_id in sets]
    items = with_corrected_masks(items, sets)
    if not items:
        raise EmptyInstanceError(
            f"label sets of '{command.category}'", "none", "Check labels, category and split."
        )
    template_id = model.config["template_id"]
    answers = []
    for n, item in enumerate(items):
        progress(n, len(items), "instances")
        label, silhouette = sets[item.instance.instance_id], item.silhouette()
        if label.template_id != template_id:
            raise ArtifactError(
                f"labels for the model's template {template_id}",
                label.template_id,
                "Name the labels it fits.",
            )
        if silhouette is None and model.needs_silhouettes:
            continue
        embedded = model.embed(read_image(item.path), item.instance.xywh, silhouette)
        xy = np.stack([label.x, label.y], axis=1).astype(np.float64)
        vertex, _ = model.vertices_at(embedded, xy)
        answers.append(
            replace(
                label,
                label_id=f"{inputs.artifact_id}/{label.label_id}",
                source="model",
                producer=inputs.id("model"),
                vertex=vertex.astype(np.int64),
                extra={},
                **dict.fromkeys(
                    ("score", "margin", "cycle_px", "expected_error", "part", "u", "v", "visible")
                ),
            )
        )
    progress(len(items), len(items), "instances")
    write_tables(out, {"labels": records_to_table("labels", answers)})


STAGE = Stage("opinion", Opinion, version=1, write=write, uses_gpu=on_gpu)
