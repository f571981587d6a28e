"""`densecorr train`: a dense model of one category from labels and renders of its template."""

from dataclasses import dataclass, field
from pathlib import Path

from densecorr.pseudolabels.filters import LabelFilter
from densecorr.training import SyntheticSettings, TrainSettings

from .progress import Progress
from .stage import ArtifactRef, Stage, StageInputs

SYMMETRIC = 0.02  # mirror residual, share of the diameter, up to which left and right are mirror images


@dataclass(frozen=True)
class Train:
    """Train a dense model of one category on label sets and on renders of its template."""

    dataset: ArtifactRef
    """The data set with the images."""
    template: ArtifactRef
    """The category's template."""
    category: str
    """Category of the data set to train on."""
    labels: ArtifactRef | None = None
    """Label sets, from `densecorr pseudo-label`; without, the data set's own annotations."""
    split: str | None = None
    """Train on this split only."""
    filter: LabelFilter = field(default_factory=LabelFilter)
    """Which pseudo-labels to use; annotations are all used."""
    synthetic: SyntheticSettings = field(default_factory=SyntheticSettings)
    settings: TrainSettings = field(default_factory=TrainSettings)


def write(out: Path, inputs: StageInputs, command: Train, progress: Progress) -> None:
    """Fill the folder `out`: the model, its configuration and metrics; the state of a killed run until then."""
    import shutil

    from densecorr.models.predictor import write_surface
    from densecorr.templates.colors import template_colors
    from densecorr.templates.template import read_template
    from densecorr.training import train
    from densecorr.training.examples import write_examples
    from densecorr.training.synthetic import synthetic_instances

    from .labelled import labelled_instances, training_level

    template, settings = read_template(inputs.path("template")), command.settings
    labels = inputs.path("labels") if command.labels else None
    chosen = labelled_instances(
        inputs.path("dataset"), labels, template, command.category, command.split, command.filter
    )
    work, shape = out / "work", (settings.model.crop_size, settings.model.padding)
    real = write_examples(work / "real", chosen, len(chosen), *shape, n_points=400, seed=settings.seed)
    synthetic = None
    if command.synthetic.images and settings.synthetic_batch:
        renders = synthetic_instances(template.V, template.F, template.to_coarse, command.synthetic)
        n_renders = command.synthetic.images
        synthetic = write_examples(
            work / "synthetic", renders, n_renders, *shape, n_points=400, seed=settings.seed
        )
    level, basis = training_level(template, settings.model.n_eigenfunctions)
    facts = {"template_id": template.template_id, "category": command.category, "n_instances": len(chosen)}
    train(
        out, work / "state", real, synthetic, level, settings, {**facts, "inputs": inputs.all_ids()}, progress
    )
    mirrors = (template.mirror, level.mirror) if template.mirror_residual < SYMMETRIC else (None, None)
    write_surface(out, basis, template_colors(template.V), *mirrors)
    shutil.rmtree(work)


def uses_gpu(command: Train) -> bool:
    """Whether the run must not share a GPU with another stage."""
    return command.settings.device.startswith("cuda")


STAGE = Stage("train", Train, version=2, write=write, shards=True, uses_gpu=uses_gpu)
