"""`densecorr similarities`: what the reviewer sees as heat maps, computed once for the labels under review."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from densecorr.features import RunOn
from densecorr.pseudolabels.zero_shot import ZeroShotSettings

from .progress import Progress
from .stage import ArtifactRef, NotInRecipe, Stage, StageInputs, on_gpu

INSTANCES_A_SHARD = 64


@dataclass(frozen=True)
class ComputeSimilarities:
    """Compare the image at each labelled point with every vertex, as pseudo-labels are matched, for `review open`."""

    dataset: ArtifactRef
    """The data set."""
    labels: ArtifactRef
    """The labels under review, such as those of `densecorr select`; or the data set, for its own."""
    template: ArtifactRef
    """The category's template."""
    features: ArtifactRef
    """Features of the template's views; the images get the same extractor."""
    category: str
    """Category of the data set."""
    vertices: int = 10_000
    """Features of more vertices than this are kept at the template's coarse level: a byte a point and vertex."""
    settings: ZeroShotSettings = field(default_factory=lambda: ZeroShotSettings(pooling="auto"))
    """How labels are matched; with pooling 'auto' as these labels, or those they were selected from, were."""
    run: Annotated[RunOn, NotInRecipe] = field(default_factory=RunOn)
    """Device and batch size."""


def write(out: Path, inputs: StageInputs, command: ComputeSimilarities, progress: Progress) -> None:
    """Fill the folder `out` as `storage.similarities` says; it is written shard by shard."""
    import numpy as np

    from densecorr.errors import EmptyInstanceError
    from densecorr.pseudolabels.point_scores import quantise_scores, score_points
    from densecorr.templates.template import read_template
    from storage.datasets import DatasetInstance, read_instances, read_labels
    from storage.masks import with_corrected_masks
    from storage.shards import finished_shards, write_shard
    from storage.similarities import SHARDS, PointSimilarities, write_similarity_facts, write_similarity_shard

    from .consistency import check_made_from
    from .labelled import check_labels
    from .labeller import Labeller
    from .scoring import level_index

    check_made_from(inputs, "features", "template", "template")
    template = read_template(inputs.path("template"))
    sets = read_labels(inputs.path("labels"))
    instances = [
        item
        for item in with_corrected_masks(read_instances(inputs.path("dataset"), command.category), sets)
        if item.instance.instance_id in sets
    ]
    check_labels([(item, sets[item.instance.instance_id]) for item in instances], template, command.category)
    if all(item.instance.silhouette is None for item in instances):
        raise EmptyInstanceError(
            f"silhouettes of '{command.category}'",
            f"none of {len(instances)} instances has one",
            "Cut them out: the stage `silhouettes`.",
        )
    settings = pooled_as_labelled(inputs, command.settings)
    labeller = Labeller(inputs.path("features"), template, settings, inputs.artifact_id, run=command.run)
    labeller.choose(instances, out / "chosen.json")
    vertices = labeller.vertices
    columns, column = None, level_index(template, vertices)
    if len(vertices) > command.vertices and len(vertices) == len(template.V):
        columns, column = template.coarse.astype(np.int64), template.to_coarse
    n_columns = len(vertices) if columns is None else len(columns)

    def compare(batch: list[DatasetInstance], start: int) -> list[PointSimilarities]:
        found = []
        for index, (item, scores) in enumerate(labeller.score(batch)):
            progress(start + index, len(instances), "comparing")
            if scores is not None:
                key = item.instance.instance_id
                xy = np.stack([sets[key].x, sets[key].y], axis=1).astype(np.float64)
                values, span = quantise_scores(score_points(scores, xy, labeller.chosen["pooling"], columns))
                found.append(PointSimilarities(key, xy, values, span))
        return found

    done = finished_shards(out / SHARDS)
    for index, start in enumerate(range(0, len(instances), INSTANCES_A_SHARD)):
        batch = instances[start : start + INSTANCES_A_SHARD]
        if index not in done:
            found = compare(batch, start)
            write_shard(
                out / SHARDS,
                index,
                lambda path, found=found: write_similarity_shard(path, found, n_columns),
                suffix="",
            )
    facts = {
        "columns": n_columns,
        "instances": len(instances),
        "scale": "each point's own, 1 to 255; 0 unseen",
    }
    write_similarity_facts(out, template.template_id, column, facts | labeller.chosen)


def pooled_as_labelled(inputs: StageInputs, settings: ZeroShotSettings) -> ZeroShotSettings:
    """With pooling 'auto': that of the labels, or of those they were chosen from; else, or unknown, the settings."""
    import json
    from dataclasses import replace

    from .scoring import chosen_variant

    labels: str | None = inputs.id("labels")
    while settings.pooling == "auto" and labels is not None:
        summary = inputs.store.path(labels) / "summary.json"
        if summary.exists() and "pooling" in json.loads(summary.read_text(encoding="utf-8")):
            variant, _ = chosen_variant(summary.parent)
            return replace(settings, pooling=variant.pooling, azimuths=variant.azimuths)
        above = inputs.store.manifest(labels).recipe.inputs.get("labels")
        labels = above if isinstance(above, str) else None
    return settings


STAGE = Stage("similarities", ComputeSimilarities, version=1, write=write, shards=True, uses_gpu=on_gpu)
