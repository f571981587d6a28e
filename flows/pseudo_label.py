"""`densecorr pseudo-label`: a vertex for each sampled foreground pixel, without annotation (SHIC Sec. 3.3)."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from densecorr.features import RunOn
from densecorr.pseudolabels.zero_shot import ZeroShotSettings

from .progress import Progress
from .stage import ArtifactRef, NotInRecipe, Stage, StageInputs, on_gpu

INSTANCES_A_SHARD = 64


@dataclass(frozen=True)
class PseudoLabel:
    """Match the silhouettes of one category to its template without any annotation."""

    dataset: ArtifactRef
    """The data set, from `densecorr ingest`."""
    template: ArtifactRef
    """The category's template, from `densecorr template`."""
    features: ArtifactRef
    """Features of the template's views, from `densecorr features`; the images get the same extractor."""
    category: str
    """Category of the data set to label."""
    calibration: ArtifactRef | None = None
    """From `densecorr calibrate`: each label then says the error to expect, and training filters by it."""
    split: str | None = None
    """Label this split only."""
    settings: ZeroShotSettings = field(default_factory=ZeroShotSettings)
    run: Annotated[RunOn, NotInRecipe] = field(default_factory=RunOn)
    """Device and batch size."""


def write(out: Path, inputs: StageInputs, command: PseudoLabel, progress: Progress) -> None:
    """Fill the folder `out`: labels.parquet, overlays.png, summary.json; shards of the work so far until then."""
    from densecorr.errors import EmptyInstanceError
    from densecorr.pseudolabels.calibrate import read_calibration
    from densecorr.templates.template import read_template
    from storage.datasets import read_instances
    from storage.shards import finished_shards, write_shard

    from .consistency import check_calibration, check_made_from
    from .labeller import Labeller
    from .labelling import finish_labels

    check_made_from(inputs, "features", "template", "template")
    check_calibration(inputs)
    template = read_template(inputs.path("template"))
    instances = read_instances(inputs.path("dataset"), command.category, command.split)
    if all(item.instance.silhouette is None for item in instances):
        raise EmptyInstanceError(
            f"silhouettes of '{command.category}'",
            f"none of {len(instances)} instances has one",
            "Cut them out: the stage `silhouettes`, or settings.missing_silhouettes = 'grabcut' of `ingest`.",
        )
    calibration = read_calibration(inputs.path("calibration")) if command.calibration else None
    labeller = Labeller(
        inputs.path("features"), template, command.settings, inputs.artifact_id, calibration, command.run
    )
    labeller.choose(instances, out / "chosen.json")
    shards, done = out / "shards", finished_shards(out / "shards")
    for index, start in enumerate(range(0, len(instances), INSTANCES_A_SHARD)):
        batch = instances[start : start + INSTANCES_A_SHARD]

        def step(k: int, start: int = start) -> None:
            progress(start + k, len(instances), "matching")

        if index not in done:
            write_shard(shards, index, lambda path, batch=batch, step=step: labeller.write(path, batch, step))
    finish_labels(out, shards, instances, template, labeller.chosen)


STAGE = Stage("pseudo-label", PseudoLabel, version=2, write=write, shards=True, uses_gpu=on_gpu)
