"""`densecorr train`: a dense model of one category from labels and synthetic images of its template."""

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from densecorr.errors import SettingsError
from densecorr.pseudolabels.filters import LabelFilter
from densecorr.training.settings import TrainSettings

from .progress import Progress
from .session import say
from .stage import ArtifactRef, NotInRecipe, Stage, StageInputs

if TYPE_CHECKING:
    from densecorr.training.examples import EncodedExamples, Examples

    from .labelled import LabelledInstances

N_POINTS = 400  # kept of an instance's labels; a step uses some of them


@dataclass(frozen=True)
class Train:
    """Train a dense model of one category on label sets and on synthetic images of its template.

    `--preset shic-paper` starts from SHIC's recipe instead of the defaults (`shic-cpu`); other options override it.
    """

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
    opinion: ArtifactRef | None = None
    """What a model trained on these pseudo-labels says at their points: the filter goes by how far off they are."""
    synthetic: ArtifactRef | None = None
    """Synthetic images with exact labels, from `densecorr synthesise`."""
    encoded: ArtifactRef | None = None
    """The data set's crops from `densecorr encode`: train a decoder on them (model.backbone.kind = "decoder")."""
    encoded_synthetic: ArtifactRef | None = None
    """The synthetic images' crops, likewise."""
    settings: TrainSettings = field(default_factory=TrainSettings)
    gpus: Annotated[int, NotInRecipe] = 0
    """Train on this many GPUs of this machine, a process each; 0 leaves it to settings.device."""


def write(out: Path, inputs: StageInputs, command: Train, progress: Progress) -> None:
    """Fill the folder `out`: the model, its configuration and metrics; the state of a killed run until then."""
    import shutil

    from densecorr.models.stored import write_surface
    from densecorr.templates.colors import template_colors
    from densecorr.templates.template import read_template
    from densecorr.training.launch import train_together
    from densecorr.training.train import train

    from .consistency import check_made_from
    from .labelled import labelled_instances, training_level

    check_made_from(inputs, "encoded", "dataset", "dataset")
    if command.synthetic:
        check_made_from(inputs, "encoded_synthetic", "dataset", "synthetic")
    n_processes, settings = count_processes(command)
    template = read_template(inputs.path("template"))
    labels = inputs.path("labels") if command.labels else None
    chosen = labelled_instances(
        inputs.path("dataset"),
        labels,
        template,
        command.category,
        command.split,
        command.filter,
        min(settings.points, N_POINTS),
        inputs.path("opinion") if command.opinion else None,
    )
    work, synthetic = out / "work", None
    real = _examples(work / "real", chosen, command.encoded, inputs, "encoded", settings)
    if command.synthetic and settings.synthetic_batch:
        images = labelled_instances(
            inputs.path("synthetic"), None, template, command.category, None, LabelFilter()
        )
        synthetic = _examples(
            work / "synthetic", images, command.encoded_synthetic, inputs, "encoded_synthetic", settings
        )
    level, basis = training_level(template, settings.model.n_eigenfunctions)
    facts: dict[str, Any] = {
        "template_id": template.template_id,
        "category": command.category,
        "n_instances": len(chosen),
        "inputs": inputs.all_ids(),
    }
    if n_processes > 1:
        train_together(n_processes, out, work, level, settings, facts, progress, say)
    else:
        train(out, work / "state", real, synthetic, level, settings, facts, progress, say)
    mirrors = (template.mirror, level.mirror) if level.symmetric else (None, None)
    write_surface(out, basis, template_colors(template.V), *mirrors)
    shutil.rmtree(work)


def _examples(
    folder: Path,
    chosen: "LabelledInstances",
    encoded: str | None,
    inputs: StageInputs,
    name: str,
    settings: TrainSettings,
) -> "Examples | EncodedExamples":
    """Crops and labels as a training run reads them; only the labels where the crops are encoded."""
    from densecorr.training.encoded import Encoding
    from densecorr.training.examples import write_encoded_examples, write_examples

    if encoded:
        if chosen.n_corrected_masks:
            say(
                f"{chosen.n_corrected_masks} corrected masks do not count: the crops were encoded with the data set's"
            )
        encoding = Encoding(inputs.path(name))
        return write_encoded_examples(folder, encoding, chosen.points(), len(chosen), N_POINTS, settings.seed)
    shape = settings.model.crop_size, settings.model.padding
    return write_examples(folder, chosen, len(chosen), *shape, n_points=N_POINTS, seed=settings.seed)


def count_processes(command: Train) -> tuple[int, TrainSettings]:
    """How many processes train, and the settings with their device: of `gpus`, or of a launcher such as torchrun.

    Raises:
        SettingsError: more GPUs than there are; a launcher on several machines.
    """
    import torch

    launched, here = (int(os.environ.get(name, "1")) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    if launched > 1 and here not in (1, launched):
        raise SettingsError(
            "all processes on one machine", f"{here} of {launched} here", "Start them on one machine."
        )
    settings = command.settings
    if command.gpus < 0:
        raise SettingsError("a number of GPUs of 0 or more", str(command.gpus), "Correct --gpus.")
    if command.gpus > 0:
        settings = replace(settings, device="cuda")
    n_processes = command.gpus or launched
    n_gpus = torch.cuda.device_count()
    if settings.device.startswith("cuda") and n_processes > n_gpus:
        raise SettingsError(
            f"{n_processes} GPUs", f"{n_gpus} on this machine", "Lower --gpus, or train on a CPU (--gpus 0)."
        )
    return n_processes, settings


def uses_gpu(command: Train) -> bool:
    """Whether the run must not share a GPU with another stage."""
    return command.gpus > 0 or command.settings.device.startswith("cuda")


STAGE = Stage("train", Train, version=4, write=write, shards=True, uses_gpu=uses_gpu)
