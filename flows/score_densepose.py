"""`densecorr score` for gps, gpsm and segm-iou: read the files, score by both protocols, say what came out."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from densecorr.errors import SettingsError
from densecorr.evaluation.densepose_files import read_truths
from densecorr.evaluation.densepose_reference import NAMES
from densecorr.evaluation.densepose_results import check_set, read_geodesics, read_results, read_vertex_maps
from densecorr.evaluation.densepose_score import Protocol, ProtocolScore, ScoreSettings, score_set
from densecorr.evaluation.densepose_slices import slice_scores
from densecorr.evaluation.densepose_types import DensePoseSet
from densecorr.evaluation.gps import KAPPA

from .progress import StageProgress
from .score import Score
from .score_record import settings_of, write_record
from .session import say

if TYPE_CHECKING:
    from densecorr.evaluation.densepose_types import DensePoseDetection

PROTOCOLS: tuple[Protocol, ...] = ("reference", "corrected")
FIELD_OPTIONS = (
    "alphas", "reference", "mean", "unit", "thresholds", "align", "root", "bins", "n_bins", "mirrors",
)  # fmt: skip


def run_densepose(command: Score) -> str:
    """Score, write what was asked for, and give the table to print."""
    scored, scores = score_densepose(command)
    own = scores[command.protocol]
    said = describe(command, scored, scores)
    if not scored.detections:
        say("note: no results; AP is 0 (detectron2's evaluator prints -1 then)")
    if command.json is not None:
        write_record(command.json, said)
    if command.report is not None:
        from .score_report import write_score_report

        write_score_report(command.report, scored, said, own.rows(), command.images, command.worst)
        say(f"report: {command.report}")
    return format_scores(command, said)


def score_densepose(command: Score) -> tuple[DensePoseSet, dict[Protocol, ProtocolScore]]:
    """The files' content, and the scores by protocol.

    Raises:
        SettingsError: an option that these metrics do not read, or geodesics that are missing.
        AnnotationError: files that do not fit each other.
    """
    command.refuse(FIELD_OPTIONS)
    scored = read_set(command)
    settings = ScoreSettings(
        (command.metric,),  # type: ignore[arg-type]
        PROTOCOLS,
        KAPPA if command.kappa is None else command.kappa,
        command.bootstrap(),
    )
    with StageProgress("score") as progress:
        found = score_set(scored, settings, lambda done, total: progress(done, total, "images"))
    return scored, {protocol: score for (protocol, _), score in found.items()}


def read_set(command: Score) -> DensePoseSet:
    """Everything that is scored, checked."""
    gt, pred = command.files()
    charts = None
    if command.charts is not None:
        from densecorr.datasets.charts import read_charts

        charts = read_charts(command.charts)
    images, categories, truths = read_truths(gt, charts)
    detections: tuple[DensePoseDetection, ...]
    if pred.suffix == ".parquet":
        from densecorr.evaluation.label_results import results_of_labels
        from storage.rows import table_to_records
        from storage.tables import read_table

        labels = table_to_records("labels", read_table(pred, "labels"))
        detections = results_of_labels(labels, truths, command.reach)
    else:
        detections = read_results(pred, images, categories, charts)
    geodesics = read_geodesics(command.geodesics)
    if not geodesics and command.metric != "segm-iou":
        raise SettingsError(
            "--geodesics", "none", "Give the distances between the mesh's vertices: --geodesics geo.npy."
        )
    scored = DensePoseSet(
        images, categories, truths, detections, geodesics, read_vertex_maps(command.vertex_map)
    )
    if geodesics:
        check_set(scored)
    elif any(truth.part_masks is None and not truth.segmentation for truth in truths if truth.dp is not None):
        say("note: some annotated instances have no silhouette; their IoU is 0")
    return scored


def describe(command: Score, scored: DensePoseSet, scores: dict[Protocol, ProtocolScore]) -> dict[str, Any]:
    """Everything the JSON holds; figures in percent, those of the chosen protocol at the top."""
    own = scores[command.protocol]
    other: Protocol = "corrected" if command.protocol == "reference" else "reference"
    bootstrap = command.bootstrap()
    said: dict[str, Any] = {
        **own.figures,
        "metric": command.metric,
        "protocol": command.protocol,
        "other_protocol": {"protocol": other, **scores[other].figures},
        "corrected_minus_reference": _difference(scores),
        "by_category": {scored.categories[key]: value for key, value in own.by_category.items()},
        "counts": {
            "images": len(scored.images),
            "annotations": len(scored.truths),
            "annotated_with_points": sum(truth.dp is not None for truth in scored.truths),
            "results": len(scored.detections),
        },
        "slices": {
            grouping: {name: asdict(interval) | {"n": n} for name, (interval, n) in groups.items()}
            for grouping, groups in slice_scores(own, scored.truths, scored.categories, bootstrap).items()
        },
        "settings": settings_of(command) | {"kappa": KAPPA if command.kappa is None else command.kappa},
    }
    if command.resamples:
        said["intervals"] = {name: asdict(one) for name, one in own.intervals(bootstrap).items()}
    return said


def _difference(scores: dict[Protocol, ProtocolScore]) -> dict[str, float | None]:
    """Where both protocols have the figure."""
    a, b = scores["corrected"].figures, scores["reference"].figures
    return {name: a[name] - b[name] if b[name] >= 0 and a[name] == a[name] else None for name in NAMES}


def format_scores(command: Score, said: dict[str, Any]) -> str:
    """The table: a line a figure, its interval, the other protocol and the difference."""
    counts, other = said["counts"], said["other_protocol"]
    lines = [
        f"{command.metric}, protocol {command.protocol}: {counts['results']} results on {counts['images']} images, "
        f"{counts['annotated_with_points']} annotated instances; percent",
        f"{'':6}{command.protocol:>12}  {'95 % interval':>16}{other['protocol']:>12}  {'corr. - ref.':>12}",
    ]
    for name in NAMES:
        interval = said.get("intervals", {}).get(name, {})
        spread = f"{interval['low']:.1f} to {interval['high']:.1f}" if interval.get("low") is not None else ""
        change = said["corrected_minus_reference"][name]
        lines.append(
            f"{name:6}{_figure(said[name]):>12}  {spread:>16}{_figure(other[name]):>12}"
            f"  {'' if change is None else f'{change:+.2f}':>12}"
        )
    for grouping, groups in said["slices"].items():
        means = ", ".join(f"{name} {_figure(one['value'])} ({one['n']})" for name, one in groups.items())
        lines.append(f"mean {command.metric} by {grouping}: {means}")
    return "\n".join(lines)


def _figure(value: float | None) -> str:
    return "none" if value is None or value != value or value < 0 else f"{value:.2f}"
