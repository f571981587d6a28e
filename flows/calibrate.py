"""`densecorr calibrate`: from score, margin and cycle error to the error to expect, learnt where the truth is known."""

from dataclasses import dataclass
from pathlib import Path

from .progress import Progress
from .stage import ArtifactRef, Stage, StageInputs


@dataclass(frozen=True)
class Calibrate:
    """Learn what the confidence of pseudo-labels means, on images whose truth is known: rendered or annotated ones.

    Label the images with `pseudo-label` as yours will be labelled, name both here, and name the result as
    `calibration` of the `pseudo-label` stage of your images.
    """

    dataset: ArtifactRef
    """A data set with annotated points, such as one of `world` or `synthesise`."""
    labels: ArtifactRef
    """Its pseudo-labels, made with the settings and the extractor that yours will have."""
    template: ArtifactRef
    """The category's template."""
    category: str
    """Category of the data set."""
    split: str | None = None
    """Calibrate on this split only."""
    max_distance: float = 0.02
    """A pseudo-label's truth is the nearest annotated point, at most this share of the box's longer side away."""


def write(out: Path, inputs: StageInputs, command: Calibrate, progress: Progress) -> None:
    """Fill the folder `out`: calibration.json, reliability.json, report.html."""
    import json
    from dataclasses import replace

    from densecorr.evaluation.report import ReportData, write_report
    from densecorr.pseudolabels.calibrate import cross_fitted, fit_calibration, write_calibration
    from densecorr.templates.template import read_template

    from .confidence import match_truth, reliability_facts, reliability_report
    from .consistency import check_made_from
    from .reporting import input_lineage
    from .scoring import chosen_variant

    check_made_from(inputs, "labels", "dataset", "dataset")
    check_made_from(inputs, "labels", "template", "template")
    template = read_template(inputs.path("template"))
    progress(0, 3, "geodesics")
    known = match_truth(
        inputs.path("dataset"),
        inputs.path("labels"),
        template,
        command.category,
        command.split,
        command.max_distance,
    )
    progress(1, 3, "fitting")
    expected = cross_fitted(known.signals, known.error, known.instance)
    variant, errors = chosen_variant(inputs.path("labels"))
    calibration = fit_calibration(known.signals, known.error)
    pooled = {"pooling": variant.pooling, "azimuths": variant.azimuths, "cycle_errors": errors}
    write_calibration(out, replace(calibration, **pooled))
    progress(2, 3, "report")
    curves, table, reliability = reliability_report(expected, known, "out of fold")
    (out / "reliability.json").write_text(json.dumps(reliability_facts(reliability), indent=1) + "\n")
    note = (
        "Each point's expected error comes from a calibration fitted on other instances than its own (five folds). "
        "It holds for images like these: other poses, animals or cameras can err more."
    )
    data = ReportData(
        title=f"{command.category}: what the confidence of pseudo-labels means",
        subtitle=f"template {template.template_id}",
        counts={"instances": known.n_instances, "points with a truth": len(known.error)},
        notes=(note,),
        curves=(curves,),
        tables=(table,),
        lineage=input_lineage(inputs),
    )
    write_report(out / "report.html", data)
    progress(3, 3, "report")


STAGE = Stage("calibrate", Calibrate, version=1, write=write)
