"""`densecorr score` for the metrics besides DensePose AP: options to `score_fields`, figures to table and JSON."""

from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from .score import Score
from .score_fields import FIELD_METRICS, FieldOptions, FieldScores, slice_figures
from .score_record import settings_of, write_record

DENSEPOSE_OPTIONS = ("protocol", "charts", "vertex_map", "reach", "report", "worst")


def run_field(command: Score) -> str:
    """Score, write the JSON if asked to, and give the table to print."""
    found = score_field(command)
    if command.json is not None:
        write_record(command.json, describe_field(command, found))
    return format_field(command, found)


def score_field(command: Score) -> FieldScores:
    """The figures of a command.

    Raises:
        SettingsError: an option that the metric does not read.
        DensecorrError: files that are absent or of another form.
    """
    command.refuse(DENSEPOSE_OPTIONS)
    gt, pred = command.files()
    return FIELD_METRICS[command.metric](gt, pred, field_options(command))


def field_options(command: Score) -> FieldOptions:
    """The command's options in the form that the metrics read."""
    own = {f.name for f in fields(FieldOptions)} - {"geodesics", "mirrors", "bootstrap"}
    values: dict[str, Any] = {name: getattr(command, name) for name in own}
    return FieldOptions(
        **values,
        geodesics=_named(command.geodesics),
        mirrors=_named(command.mirrors),
        bootstrap=command.bootstrap(),
    )


def _named(texts: tuple[str, ...]) -> dict[str, Path]:
    return {name: Path(file) for name, _, file in (text.rpartition("=") for text in texts)}


def describe_field(command: Score, found: FieldScores) -> dict[str, Any]:
    """Everything the JSON holds; figures at the top."""
    return {
        **found.figures,
        "metric": command.metric,
        "rule": found.rule,
        "n": found.n,
        "units": len(found.unit_ids),
        "intervals": {name: asdict(one) for name, one in found.intervals.items()},
        "slices": _slices(found),
        "tables": found.tables,
        "settings": settings_of(command),
    }


def _slices(found: FieldScores) -> dict[str, Any]:
    return {grouping: slice_figures(found, grouping) for grouping in found.slices}


def format_field(command: Score, found: FieldScores) -> str:
    """The rule, and a line a figure with its interval."""
    width = max(len(name) for name in found.figures)
    lines = [f"{command.metric}: {found.rule}", f"{found.n} scored in {len(found.unit_ids)} units"]
    for name, value in found.figures.items():
        interval = found.intervals.get(name)
        spread = ""
        if interval is not None and interval.low is not None and interval.high is not None:
            spread = f"  (95 %: {interval.low:.4g} to {interval.high:.4g})"
        lines.append(f"{name:<{width}}  {value:>10.4f}{spread}")
    return "\n".join(lines)
