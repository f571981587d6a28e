"""What the evaluate stage writes: figures, pictures and the report."""

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from densecorr.errors import EmptyInstanceError
from densecorr.evaluation.evaluate import MethodResult, compare, evaluate_methods
from densecorr.evaluation.metrics import write_metrics
from densecorr.evaluation.report import Curves, Distribution, ReportData, ReportTable, write_report
from densecorr.features import SilhouetteFeatures
from densecorr.hub import named_models
from densecorr.images import write_png
from densecorr.models import Predictor, load_predictor
from densecorr.pseudolabels.lift import read_view_features
from densecorr.templates.colors import template_colors
from densecorr.templates.template import Template, geodesic_rows
from densecorr.training.collapse import collapse_warning
from storage.commands import lineage
from storage.datasets import read_instances, read_labels
from storage.reports import format_lineage

from .confidence import match_truth, reliability_facts, reliability_report
from .pictures import scored_row, stack_rows, unscored_row, worst_rows
from .progress import Progress
from .scoring import (
    Predictions,
    ScoredItem,
    chosen_variant,
    model_name,
    predict_chance,
    predict_model,
    predict_prior,
    predict_zero_shot,
    unique_name,
)
from .stage import StageInputs

if TYPE_CHECKING:
    from .evaluate import Evaluate

N_PICTURES, N_SHEET = 8, 4
TRUTH_DISTANCE = 0.02  # of a box: how far from a label its truth may be annotated
BASELINE_NOTE = (
    "Zero-shot uses the offline extractor: outlines and gradients, no learned weights. It is a baseline; "
    "SHIC itself matches features of DINO and Stable Diffusion."
)
INPUT_NOTE = (
    "Zero-shot and the trained models are given the data set's silhouettes, as inputs; in the rows 'image only' "
    "a model has the image and the box alone. GPSm always compares the silhouette that the model finds itself."
)


def score_and_report(
    out: Path,
    inputs: StageInputs,
    command: "Evaluate",
    template: Template,
    items: list[ScoredItem],
    progress: Progress,
) -> None:
    """Score every method at the same points; write metrics.json, per_instance.parquet and report.html."""
    predictions: Predictions = {"chance": predict_chance(items, template, command.seed)}
    tables: list[ReportTable] = []
    if command.labels is not None:
        predictions["position prior"] = predict_prior(
            items, inputs.path("dataset"), inputs.path("labels"), template
        )
    variants: Predictions = {}
    if command.features is not None:
        variants, chosen, errors = _zero_shot(inputs, command, template, items, progress)
        predictions["zero-shot"] = variants[chosen]
    models: dict[str, Predictor] = {}
    for folder in inputs.paths("models"):
        model = load_predictor(folder, command.run.device)
        name = unique_name(model_name(model.config), predictions)
        models[name] = model
        ways = ((True, name), (False, f"{name}, image only"))
        for told, label in ways if command.image_only else ways[:1]:
            if not told and model.needs_silhouettes:
                continue
            predictions[label] = predict_model(
                items, model, told, lambda done, total, label=label: progress(done, total, label)
            )
    truths = [item.truth for item in items]
    rows = partial(geodesic_rows, template)
    everything = predictions | {f"zero-shot ({name})": p for name, p in variants.items()}
    progress(0, 1, "scoring")
    scored = evaluate_methods(truths, everything, rows, template, command.settings)
    results = {name: scored[name] for name in predictions}
    if variants:
        tables.append(
            _variant_table({name: scored[f"zero-shot ({name})"] for name in variants}, chosen, errors)
        )
    curves, facts = _label_reliability(inputs, command, template)
    comparisons = [
        compare(results[base], results[name])
        for name in models
        for base in ("zero-shot", "position prior")
        if base in results
    ]
    first = next(iter(models), None)
    against = {name: compare(scored[f"zero-shot ({name})"], results[first]) for name in variants if first}
    zero_shot = {name: _figures(scored[f"zero-shot ({name})"]) for name in variants}
    extra = {"category": command.category, "zero_shot_variants": zero_shot, "inputs": inputs.all_ids()}
    if facts:
        extra["label_reliability"] = facts
    if variants:
        extra |= {"zero_shot_chosen": chosen, "gain_against_variants": against}
    write_metrics(out, results, comparisons, extra)
    colors = template_colors(template.V)
    shown = items[:: max(1, len(items) // N_PICTURES)][:N_PICTURES]
    overlays = [scored_row(item, predictions, models, colors) for item in shown]
    write_png(out / "pictures.png", stack_rows(overlays[:N_SHEET]))
    write_report(
        out / "report.html",
        ReportData(
            title=f"{command.category}: dense correspondences",
            subtitle=f"{len(items)} held-out instances, template {template.template_id}",
            results=results,
            comparisons=tuple(comparisons),
            notes=zero_shot_notes(inputs)
            + ((INPUT_NOTE,) if models else ())
            + collapse_notes(inputs, list(models)),
            tables=tuple(tables),
            curves=curves,
            overlays=tuple(overlays),
            worst=tuple(worst_rows(items, results, predictions, models, colors)),
            settings=command.settings,
            lineage=input_lineage(inputs),
        ),
    )


def _label_reliability(
    inputs: StageInputs, command: "Evaluate", template: Template
) -> tuple[tuple[Curves, ...], dict[str, Any]]:
    """Expected against true errors of calibrated labels, where the data set knows the truth of their images."""
    if command.labels is None:
        return (), {}
    try:
        known = match_truth(
            inputs.path("dataset"), inputs.path("labels"), template, command.category, None, TRUTH_DISTANCE
        )
    except EmptyInstanceError:  # the labels are of images without annotations
        return (), {}
    if known.expected is None:
        return (), {}
    curves, _, reliability = reliability_report(known.expected, known, "pseudo-labels of this data set")
    return (curves,), reliability_facts(reliability)


def _zero_shot(
    inputs: StageInputs, command: "Evaluate", template: Template, items: list[ScoredItem], progress: Progress
) -> tuple[Predictions, str, dict[str, float]]:
    """Predictions by variant name, the variant the labels were made with, and what it was chosen by."""
    answered = predict_zero_shot(
        items,
        inputs.path("features"),
        template,
        command.zero_shot,
        lambda done, total: progress(done, total, "zero-shot"),
        command.run,
    )
    by_name = {str(variant): predictions for variant, predictions in answered.items()}
    if command.labels is not None:
        chosen, errors = chosen_variant(inputs.path("labels"))
        if str(chosen) in by_name:
            return by_name, str(chosen), errors
    return by_name, next(iter(by_name)), {}


def _variant_table(results: dict[str, MethodResult], chosen: str, errors: dict[str, float]) -> ReportTable:
    columns = ("pooling, views", "geodesic error (of 228)", "PCK 0.1", "cycle error", "")
    rows = tuple(
        (
            name,
            result.overall.figures["geodesic_error_228"].value,
            result.overall.figures["pck_0.1"].value,
            errors.get(name),
            "chosen" if name == chosen else "",
        )
        for name, result in results.items()
    )
    note = "Chosen by the least cycle error (share of the crop) on training or calibration images, without truth."
    return ReportTable("Zero-shot variants", columns, rows, note)


def _figures(result: MethodResult) -> dict[str, float | None]:
    return {name: interval.value for name, interval in result.overall.figures.items()}


def report_without_truth(out: Path, inputs: StageInputs, command: "Evaluate", template: Template) -> None:
    """Counts, score distributions and overlays of what there is, for a data set without annotated points.

    Raises:
        EmptyInstanceError: neither annotations, nor labels, nor a model.
    """
    if command.labels is None and not command.models:
        raise EmptyInstanceError("annotated points, labels or a model", "none", "Name `labels` or `models`.")
    items = read_instances(inputs.path("dataset"), command.category, command.split)
    sets = read_labels(inputs.path("labels")) if command.labels is not None else {}
    models: dict[str, Predictor] = {}
    for folder in inputs.paths("models"):
        model = load_predictor(folder, command.run.device)
        models[unique_name(model_name(model.config), models)] = model
    colors = template_colors(template.V)
    labels = list(sets.values())
    distributions = tuple(
        Distribution(title, axis, np.concatenate([np.asarray(getattr(label, name)) for label in labels]))
        for name, title, axis in (
            ("score", "Score of the labels", "cosine similarity"),
            ("margin", "Margin to the best vertex elsewhere", "similarity"),
            ("cycle_px", "Cycle error", "pixels"),
        )
        if labels and all(getattr(label, name) is not None for label in labels)
    )
    sources = sorted({str(item.instance.silhouette_source) for item in items})
    why = "the data set has no annotated points of this category"
    write_metrics(out, {}, (), {"category": command.category, "missing": why, "inputs": inputs.all_ids()})
    write_report(
        out / "report.html",
        ReportData(
            title=f"{command.category}: pseudo-labels",
            subtitle=f"template {template.template_id}",
            counts={
                "instances": len(items),
                "with labels": len(sets),
                "silhouettes from": ", ".join(sources),
            },
            notes=(
                *zero_shot_notes(inputs),
                f"Quality is limited by silhouettes ({', '.join(sources)}) and by these features.",
                *collapse_notes(inputs, list(models)),
            ),
            missing={"geodesic error, PCK, GPS": why},
            distributions=distributions,
            overlays=tuple(unscored_row(item, sets, models, colors) for item in items[:N_PICTURES]),
            settings=command.zero_shot,
            lineage=input_lineage(inputs),
        ),
    )


def collapse_notes(inputs: StageInputs, names: list[str]) -> tuple[str, ...]:
    """A warning for each model that answers with one half of the template only."""
    notes = []
    for name, folder in zip(names, inputs.paths("models"), strict=True):
        path = folder / "summary.json"
        summary = json.loads(path.read_text()) if path.is_file() else {}
        if summary.get("collapsed_to_one_side"):
            notes.append(f"{name}: {collapse_warning(summary)}")
    return tuple(notes)


def zero_shot_notes(inputs: StageInputs) -> tuple[str, ...]:
    """What zero-shot matching looked at, if it was scored."""
    if not inputs.ids("features"):
        return ()
    _, extractor = read_view_features(inputs.path("features"))
    if isinstance(extractor, SilhouetteFeatures):
        return (BASELINE_NOTE,)
    return (f"Zero-shot matches features of {', '.join(named_models(extractor))} ({extractor.kind}).",)


def input_lineage(inputs: StageInputs) -> str:
    """What the inputs were made from, as `densecorr store lineage` prints it."""
    ids = dict.fromkeys(
        i for name in inputs.resolved for i in inputs.ids(name) if not i.startswith("sha256:")
    )
    return "\n".join(format_lineage(lineage(inputs.store, artifact)) for artifact in ids)
