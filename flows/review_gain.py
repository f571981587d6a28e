"""`densecorr review-gain`: how much error each reviewed minute bought, with its interval."""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from densecorr.evaluation.bootstrap import BootstrapSettings

from .progress import Progress
from .stage import ArtifactRef, Stage, StageInputs

FIGURE = "geodesic_error_228"
_NONE = "\u2013"  # as the report prints numbers that are not there


@dataclass(frozen=True)
class ReviewGain:
    """Compare models trained after reviews with the one before, on the same held-out instances."""

    before: ArtifactRef
    """The evaluation (`evaluate`) of the model trained on the labels as they were."""
    after: tuple[ArtifactRef, ...]
    """The evaluation of a model trained on reviewed labels, one a review."""
    collected: tuple[ArtifactRef, ...]
    """What was spent on each review, in the same order: its decisions (`collect`) or its labels (`correct`)."""
    names: tuple[str, ...] = ()
    """What to call the reviews; the first is compared with the others."""
    bootstrap: BootstrapSettings = field(default_factory=BootstrapSettings)
    """How intervals are drawn."""


def write(out: Path, inputs: StageInputs, command: ReviewGain, progress: Progress) -> None:
    """Fill the folder `out`: gain.json and report.html."""
    from densecorr.errors import SettingsError
    from densecorr.evaluation.report import ReportData, ReportTable, write_report

    names = command.names or tuple(f"review {n}" for n in range(1, len(command.after) + 1))
    if not (len(command.after) == len(command.collected) == len(names)):
        raise SettingsError(
            "one of `collected` and `names` for each of `after`",
            f"{len(command.after)}, {len(command.collected)}, {len(names)}",
            "Name them in the same order.",
        )
    before = errors_of_model(inputs.path("before"))
    reviews = dict(zip(names, map(errors_of_model, inputs.paths("after")), strict=True))
    spent = {name: read_spent(folder) for name, folder in zip(names, inputs.paths("collected"), strict=True)}
    facts = gain_facts(before, reviews, spent, command.bootstrap)
    (out / "gain.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    level = f"{command.bootstrap.level:.0%}"
    columns = ("training labels", "error of 228", "minutes", "instances", "taken off", level, "a minute")
    rows: list[tuple[Any, ...]] = [("as they were", facts["before"], None, None, None, _NONE, None)]
    rows += [
        (
            name,
            one["error"],
            one["minutes"],
            one["instances"],
            one["gain"],
            _range(one),
            one["gain_per_minute"],
        )
        for name, one in facts["reviews"].items()
    ]
    against = tuple((one["than"], one["difference"], _range(one)) for one in facts["against"])
    tables = [ReportTable("Error before and after", columns, tuple(rows), _NOTE)]
    if against:
        title, note = f"'{names[0]}' against the others", f"Above 0: after '{names[0]}' the model errs less."
        columns = ("other review", "its error is higher by", level)
        tables.append(ReportTable(title, columns, against, note))
    data = ReportData(
        title="What the review bought",
        counts={"held-out instances": facts["instances"]},
        tables=tuple(tables),
        settings=command.bootstrap,
        lineage=_lineage_text(inputs),
    )
    write_report(out / "report.html", data)
    progress(1, 1, "report")


_NOTE = (
    "Geodesic error on the held-out instances, the template's diameter being 228; intervals resample instances, "
    "paired. Minutes are those that the decisions say were spent. One training run each: the interval does not hold "
    "the chance of training."
)


def _lineage_text(inputs: StageInputs) -> str:
    """What was compared and what it was made from, as one tree: what several were made from is printed once."""
    from storage.lineage import LineageNode
    from storage.reports import format_lineage

    below = [
        replace(inputs.store.lineage(artifact_id), role=role)
        for role in inputs.resolved
        for artifact_id in inputs.ids(role)
    ]
    return format_lineage(LineageNode("", inputs.artifact_id, STAGE.name, STAGE.version, inputs=below))


def gain_facts(
    before: dict[str, float],
    reviews: dict[str, dict[str, float]],
    spent: dict[str, dict[str, Any]],
    bootstrap: BootstrapSettings,
) -> dict[str, Any]:
    """Errors, gains (before less after), gains a minute, and the first review against the others.

    Raises:
        AnnotationError: evaluations of different instances.
    """
    from densecorr.errors import AnnotationError
    from densecorr.evaluation.bootstrap import paired_difference

    keys = sorted(before)
    for name, errors in reviews.items():
        if sorted(errors) != keys:
            raise AnnotationError(
                "evaluations of the same instances",
                f"others in '{name}'",
                "Evaluate on the same data set and split.",
            )
    start = np.array([before[key] for key in keys])
    ends = {name: np.array([errors[key] for key in keys]) for name, errors in reviews.items()}
    facts: dict[str, Any] = {
        "instances": len(keys),
        "before": float(start.mean()),
        "reviews": {},
        "against": [],
    }
    for name, end in ends.items():
        gain = paired_difference(start, end, bootstrap)
        minutes = float(spent[name]["minutes"])
        facts["reviews"][name] = {
            "error": float(end.mean()),
            "minutes": minutes,
            "instances": spent[name]["instances"],
            "gain": gain.value,
            "low": gain.low,
            "high": gain.high,
            "gain_per_minute": gain.value / minutes if minutes and gain.value is not None else None,
        }
    first, *others = ends
    for name in others:
        found = paired_difference(ends[name], ends[first], bootstrap)
        facts["against"].append(
            {"than": name, "difference": found.value, "low": found.low, "high": found.high}
        )
    return facts


def errors_of_model(folder: Path) -> dict[str, float]:
    """The error of the trained model of an evaluation, by held-out instance (silhouettes given).

    Raises:
        AnnotationError: the evaluation is of no trained model, or of several.
    """
    import pandas as pd

    from densecorr.errors import AnnotationError

    table = pd.read_parquet(folder / "per_instance.parquet", columns=["method", "instance_id", FIGURE])
    models = [
        name
        for name in dict.fromkeys(table["method"])
        if name.startswith("trained on") and not name.endswith("image only")
    ]
    if len(models) != 1:
        raise AnnotationError(
            "an evaluation of one trained model",
            f"{len(models)} in {folder.name}",
            "Evaluate each model by itself.",
        )
    own = table[table["method"] == models[0]]
    return dict(zip(own["instance_id"], own[FIGURE].astype(float), strict=True))


def read_spent(folder: Path) -> dict[str, Any]:
    """Instances and minutes of a review, of the artifact of `collect` or of `correct`.

    Raises:
        ArtifactError: another one.
    """
    from densecorr.errors import ArtifactError

    for name in ("collected.json", "review.json"):
        if (folder / name).is_file():
            facts = json.loads((folder / name).read_text(encoding="utf-8"))
            if "minutes" in facts:
                return facts
    raise ArtifactError(
        "decisions (`collect`) or reviewed labels (`correct`, `review export`)",
        folder.name,
        "Name those in --collected.",
    )


def _range(one: dict[str, Any]) -> str:
    return _NONE if one["low"] is None else f"{one['low']:.2f} to {one['high']:.2f}"


STAGE = Stage("review-gain", ReviewGain, version=2, write=write)
