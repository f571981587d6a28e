"""`densecorr render`: the views of a template that images are matched to."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from densecorr.rendering.views import ViewSettings

from .progress import Progress
from .stage import ArtifactRef, NotInRecipe, Stage, StageInputs


@dataclass(frozen=True)
class Render:
    """Render a template from all around (72 views: 24 azimuths at 3 elevations)."""

    template: ArtifactRef
    """The template, from `densecorr template`."""
    category: Annotated[str, NotInRecipe] = ""
    """Only names the run in a pipeline; the views do not depend on it."""
    settings: ViewSettings = field(default_factory=ViewSettings)


def write(out: Path, inputs: StageInputs, command: Render, progress: Progress) -> None:
    """Fill the folder `out`: views.npz, cameras.json and a contact sheet."""
    from densecorr.images import contact_sheet, write_png
    from densecorr.rendering.views import render_views, write_views
    from densecorr.templates.template import read_template

    template = read_template(inputs.path("template"))
    views = render_views(template.V, template.F, command.settings, progress)
    write_views(out, views)
    write_png(
        out / "views.png", contact_sheet(list(views.images), columns=command.settings.rig.n_azimuths, side=96)
    )


STAGE = Stage("render", Render, version=1, write=write)
