"""`densecorr evaluate`: every method at the same held-out points, and the report."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from densecorr.evaluation.evaluate import EvaluationSettings
from densecorr.features import RunOn
from densecorr.pseudolabels.zero_shot import ZeroShotSettings

from .progress import Progress
from .stage import ArtifactRef, NotInRecipe, Stage, StageInputs, on_gpu


@dataclass(frozen=True)
class Evaluate:
    """Score the labels and models of one category at its annotated points and write a report.

    Without annotations the report shows what there is: counts, score distributions and overlays.
    """

    dataset: ArtifactRef
    """The data set; its annotations are the truth."""
    template: ArtifactRef
    """The category's template."""
    category: str
    """Category of the data set to score."""
    labels: ArtifactRef | None = None
    """Pseudo-labels of training images: the position prior is fitted on them, zero-shot uses their variant."""
    features: ArtifactRef | None = None
    """Features of the template's views: zero-shot is scored in all its variants."""
    models: tuple[ArtifactRef, ...] = ()
    """Trained models."""
    image_only: bool = True
    """Also score the models with the image and the box alone, without the data set's silhouettes."""
    split: str | None = None
    """Score this split only."""
    seed: int = 0
    """Of the chance baseline."""
    zero_shot: ZeroShotSettings = field(default_factory=ZeroShotSettings)
    """As in the pseudo-label stage (its pooling is not used: all are scored)."""
    settings: EvaluationSettings = field(default_factory=EvaluationSettings)
    run: Annotated[RunOn, NotInRecipe] = field(default_factory=RunOn)
    """Device, and batch size of the zero-shot features."""


def write(out: Path, inputs: StageInputs, command: Evaluate, progress: Progress) -> None:
    """Fill the folder `out`: report.html, metrics.json, per_instance.parquet."""
    from densecorr.templates.template import read_template

    from .consistency import check_made_from
    from .reporting import report_without_truth, score_and_report
    from .scoring import read_truths

    check_made_from(inputs, "features", "template", "template")
    template = read_template(inputs.path("template"))
    items = read_truths(inputs.path("dataset"), command.category, command.split)
    if items:
        score_and_report(out, inputs, command, template, items, progress)
    else:
        report_without_truth(out, inputs, command, template)


STAGE = Stage("evaluate", Evaluate, version=3, write=write, uses_gpu=on_gpu)
