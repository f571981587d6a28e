"""`densecorr features`: what an extractor says of a template's views, cell by cell, computed once and kept."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from densecorr.features import Features, RunOn, SilhouetteFeatures

from .progress import Progress
from .stage import ArtifactRef, NotInRecipe, Stage, StageInputs, on_gpu


@dataclass(frozen=True)
class ExtractFeatures:
    """Extract the features of a template's views and note the cell each visible vertex falls into."""

    template: ArtifactRef
    """The template, from `densecorr template`."""
    views: ArtifactRef
    """Its views, from `densecorr render`."""
    category: Annotated[str, NotInRecipe] = ""
    """Only names the run in a pipeline."""
    level: Literal["full", "coarse"] = "coarse"
    """Match to every vertex, or to the template's coarse level (about 2,500): as good where errors are centimetres."""
    storage: Literal["float16", "float32"] = "float16"
    """How features are kept; half precision moves a similarity by less than a thousandth."""
    settings: Features = field(default_factory=SilhouetteFeatures)
    """The extractor; images get the same one when they are matched to these features."""
    run: Annotated[RunOn, NotInRecipe] = field(default_factory=RunOn)
    """Device and batch size."""


def write(out: Path, inputs: StageInputs, command: ExtractFeatures, progress: Progress) -> None:
    """Fill the folder `out`: features.safetensors, extractor.json."""
    from dataclasses import replace

    import numpy as np

    from densecorr.pseudolabels.lift import lift_views, write_view_features
    from densecorr.rendering.views import read_views
    from densecorr.templates.template import read_template

    from .consistency import check_made_from

    check_made_from(inputs, "views", "template", "template")
    template, views = read_template(inputs.path("template")), read_views(inputs.path("views"))
    vertices = template.coarse if command.level == "coarse" else np.arange(len(template.V))
    run = command.run
    extractor = command.settings.load(run.device, run.offload)
    lifted = lift_views(template.V, template.F, views, vertices, extractor, progress, run.batch, run.device)
    if command.storage == "float16":
        lifted = replace(lifted, rows=lifted.rows.half())
    write_view_features(out, lifted, command.settings)


STAGE = Stage("features", ExtractFeatures, version=2, write=write, uses_gpu=on_gpu)
