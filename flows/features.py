"""`densecorr features`: what an extractor says of a template's views, cell by cell, computed once and kept."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from densecorr.features import Features, SilhouetteFeatures

from .progress import Progress
from .stage import ArtifactRef, NotInRecipe, Stage, StageInputs


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
    settings: Features = field(default_factory=SilhouetteFeatures)


def write(out: Path, inputs: StageInputs, command: ExtractFeatures, progress: Progress) -> None:
    """Fill the folder `out`: features.safetensors."""
    import numpy as np

    from densecorr.pseudolabels.lift import lift_views, write_view_features
    from densecorr.rendering.views import read_views
    from densecorr.templates.template import read_template

    template, views = read_template(inputs.path("template")), read_views(inputs.path("views"))
    vertices = template.coarse if command.level == "coarse" else np.arange(len(template.V))
    extractor = command.settings.load()
    lifted = lift_views(template.V, template.F, views, vertices, extractor, progress)
    write_view_features(out, lifted)


STAGE = Stage("features", ExtractFeatures, version=1, write=write)
