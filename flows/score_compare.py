"""`densecorr score --compare A B`: the differences of two runs on the same truth, resampled together."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from densecorr.errors import AnnotationError, SettingsError
from densecorr.evaluation.bootstrap import BootstrapSettings, Interval, RatioOfSums, difference_intervals
from densecorr.evaluation.densepose_slices import compare_scores

from .score import DENSEPOSE, Score
from .score_record import check_same, read_record, write_record

if TYPE_CHECKING:
    from .session import Session

Differences = dict[str, tuple[Interval, float | None]]
SAME = (
    "metric",
    "protocol",
    "gt",
    "geodesics",
    "kappa",
    "alphas",
    "reference",
    "mean",
    "thresholds",
    "unit",
    "align",
    "root",
    "bins",
    "n_bins",
    "mirrors",
)


def compare_runs(
    runs: tuple[Path, Path], session: "Session", out: Path | None, bootstrap: BootstrapSettings
) -> str:
    """Compare, write the JSON if asked to, and give the table to print.

    Raises:
        SettingsError: the two were not scored alike, or only one of them is an artifact.
        AnnotationError: they were scored on different instances, or their inputs have changed.
    """
    if all(run.suffix == ".json" for run in runs):
        metric, found = compare_records(runs, bootstrap)
    else:
        metric, found = compare_artifacts((str(runs[0]), str(runs[1])), session, bootstrap)
    if out is not None:
        rows = {name: asdict(interval) | {"p": p} for name, (interval, p) in found.items()}
        said = {"a": str(runs[0]), "b": str(runs[1]), "metric": metric, "a_minus_b": rows}
        write_record(out, said | {"bootstrap": asdict(bootstrap)})
    return format_differences(runs, metric, found)


def compare_records(runs: tuple[Path, Path], bootstrap: BootstrapSettings) -> tuple[str, Differences]:
    """Two JSON files: both are scored again from the files they name, on the same resamples."""
    commands = [read_record(run)[1] for run in runs]
    check_same(commands, SAME)
    a, b = commands
    if a.metric in DENSEPOSE:
        from .score_densepose import score_densepose

        first, second = (score_densepose(command)[1][command.protocol] for command in commands)
        return f"{a.metric}, protocol {a.protocol}, percent", compare_scores(first, second, bootstrap)
    return a.metric, _compare_fields(a, b, bootstrap)


def _compare_fields(a: Score, b: Score, bootstrap: BootstrapSettings) -> Differences:
    from .score_field import score_field

    first, second = (score_field(replace(one, resamples=0)) for one in (a, b))
    if first.unit_ids != second.unit_ids:
        raise AnnotationError("the same units in both runs", "others", "Score both on the same truth.")
    found = {
        name: _paired(first.per_unit[name], second.per_unit[name], bootstrap)
        for name in first.per_unit
        if name in second.per_unit
    }
    n_units = len(first.unit_ids)
    for names, statistic in first.others.items():
        if names in second.others:
            drawn = difference_intervals(statistic, second.others[names], n_units, bootstrap)
            both = {name for name in names if name in first.figures and name in second.figures}
            found |= {name: one for name, one in zip(names, drawn, strict=False) if name in both}
    return found


def _paired(a: np.ndarray, b: np.ndarray, bootstrap: BootstrapSettings) -> tuple[Interval, float | None]:
    first, second = (RatioOfSums(one[:, :1], one[:, 1:]) for one in (a, b))
    return difference_intervals(first, second, len(a), bootstrap)[0]


def compare_artifacts(
    names: tuple[str, str], session: "Session", bootstrap: BootstrapSettings
) -> tuple[str, Differences]:
    """Two methods of `evaluate` artifacts, named ARTIFACT or ARTIFACT:METHOD: mean per-instance differences."""
    tables = [_instances(name, session) for name in names]
    for name, (ids, _) in zip(names, tables, strict=True):
        if len(set(ids)) != len(ids):
            raise SettingsError("one method, as ARTIFACT:METHOD", name, "See the report for its methods.")
    (ids_a, a), (ids_b, b) = tables
    if sorted(ids_a) != sorted(ids_b):
        raise AnnotationError("the same instances in both", "others", "Evaluate both on one data set.")
    order_a, order_b = np.argsort(ids_a), np.argsort(ids_b)
    found: Differences = {}
    for column in sorted(a.keys() & b.keys()):
        values = np.stack([a[column][order_a], b[column][order_b]])
        known = values[:, np.isfinite(values).all(axis=0)]
        if known.size:
            first, second = (np.stack([row, np.ones_like(row)], axis=1) for row in known)
            found[column] = _paired(first, second, bootstrap)
    return "mean over instances", found


def _instances(name: str, session: "Session") -> tuple[list[str], dict[str, np.ndarray]]:
    import pyarrow.parquet as pq

    artifact, _, method = name.partition(":")
    folder = session.store.path(session.store.resolve(artifact))
    path = folder / "per_instance.parquet"
    if not path.is_file():
        raise SettingsError(
            "two `evaluate` artifacts, or two .json files", name, "Name what you want to compare."
        )
    table = pq.read_table(path).to_pandas()
    methods = sorted(set(table["method"]))
    if method and method not in methods:
        raise SettingsError(f"a method of {artifact}: {', '.join(methods)}", method, "Correct the name.")
    chosen = table[table["method"] == method] if method else table
    left_out = ("area", "score", "visible_share", "predicted", "n_points", "n_missing")
    numeric = [c for c in chosen.columns if chosen[c].dtype.kind == "f" and c not in left_out]
    return chosen["instance_id"].tolist(), {c: chosen[c].to_numpy(dtype=np.float64) for c in numeric}


def format_differences(runs: tuple[Path, Path], metric: str, found: Differences) -> str:
    """A line a figure: A - B, the interval, p, and whether it is clear."""
    width = max(len(name) for name in found)
    lines = [f"A = {runs[0]}, B = {runs[1]}; {metric}; A - B with paired interval and two-sided p"]
    for name, (interval, p) in found.items():
        if interval.value is None:
            lines.append(f"{name:<{width}}  {'none':>9}")
            continue
        spread, clear = "", ""
        if interval.low is not None and interval.high is not None:
            spread = f"  [{interval.low:+.3f}, {interval.high:+.3f}]"
            clear = "  clear" if interval.low > 0 or interval.high < 0 else "  not clear"
        said = "" if p is None else f"  p {p:.3f}"
        lines.append(f"{name:<{width}}  {interval.value:>+9.3f}{spread}{said}{clear}")
    return "\n".join(lines)
