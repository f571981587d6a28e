"""`densecorr score --leaderboard`: every `evaluate` artifact of the store, and score files, on one page."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from densecorr.config import canonical_json, to_jsonable
from densecorr.errors import AnnotationError, ArtifactError, DatasetNotFoundError
from densecorr.evaluation.bootstrap import Interval
from densecorr.evaluation.leaderboard import LeaderboardGroup, LeaderboardRow, write_page

from .leaderboard_lineage import SHORT_ID, made_from, stage_settings
from .score import Score

if TYPE_CHECKING:
    from storage.artifacts import Store
    from storage.lineage import LineageNode
    from storage.manifest import Manifest

FIGURE = "geodesic_error_228"
BASELINES = {"chance": (), "position prior": ("labels",), "zero-shot": ("features", "labels")}
IMAGE_ONLY = ", image only"
LOWER = ("geodesic", "left-right", "aepe", "mpvpe", "epipolar", "ece")
NOT_COMPARED = ("gt", "pred", "pred_sha256", "images", "reach", "vertex_map", "resamples", "seed")

Keyed = tuple[str, LeaderboardGroup]


def write_leaderboard(store: "Store", path: Path, paths: Sequence[Path] = ()) -> None:
    """Write the page of a store's runs and of score files.

    Args:
        store: whose `evaluate` artifacts are shown; damaged ones are named and left out.
        path: the HTML file; it links to the runs' own reports.
        paths: JSON files that `densecorr score --json` wrote.

    Raises:
        DatasetNotFoundError: one of the files is not there.
        AnnotationError: one of them is not such a file.
    """
    notes, keyed = [], []
    n_without = 0
    for manifest in store.list():
        if manifest.stage != "evaluate":
            continue
        try:
            found = read_run(store, manifest, path)
        except (ArtifactError, OSError, ValueError, KeyError) as error:
            notes.append(f"evaluate {manifest.artifact_id} could not be read: {error}")
            continue
        n_without += found is None
        keyed += [found] if found is not None else []
    if n_without:
        notes.append(f"{n_without} of the store's evaluations have no true points and so no figures.")
    keyed += [read_score(file, path) for file in paths]
    write_page(path, merge_groups(keyed), notes)


def merge_groups(keyed: Sequence[Keyed]) -> list[LeaderboardGroup]:
    """The groups with equal keys as one; a row that several runs have alike is shown once, of the newest."""
    merged: dict[str, LeaderboardGroup] = {}
    for key, group in keyed:
        before = merged[key].rows if key in merged else ()
        merged[key] = replace(group, rows=(*before, *group.rows))
    return [replace(group, rows=_once(group.rows)) for group in merged.values()]


def _once(rows: Sequence[LeaderboardRow]) -> tuple[LeaderboardRow, ...]:
    alike: dict[Any, list[LeaderboardRow]] = {}
    for row in rows:
        name = re.sub(r" \(\d+\)", "", row.name)  # "(2)" only tells a run's models apart
        key = (name, row.lineage, tuple((k, v.value) for k, v in sorted(row.figures.items())))
        alike.setdefault(key if row.errors else id(row), []).append(row)
    return tuple(replace(max(same, key=lambda r: r.date), n_runs=len(same)) for same in alike.values())


def read_run(store: "Store", manifest: "Manifest", page: Path) -> Keyed | None:
    """The methods of one `evaluate` artifact, and what they can be compared by; None where there was no truth."""
    folder = store.path(manifest.artifact_id)
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    if not metrics["methods"]:
        return None
    errors = _instances(folder / "per_instance.parquet")
    inputs, split = manifest.recipe.inputs, manifest.recipe.settings.get("split")
    roots = _roots(list(errors), inputs)
    trees: dict[str, LineageNode] = {}
    rows = []
    for name in errors:
        for root in roots[name]:
            trees.setdefault(root, store.lineage(root))
        nodes = [trees[root] for root in roots[name]]
        rows.append(
            LeaderboardRow(
                name=name,
                figures={
                    figure: _interval(one)
                    for figure, one in metrics["methods"][name]["overall"]["figures"].items()
                },
                date=manifest.created[:16].replace("T", " "),
                source=manifest.artifact_id[:SHORT_ID],
                link=_link(store, folder / "report.html", page),
                made_from=tuple(made_from(nodes)),
                settings=stage_settings(nodes),
                lineage=_lineage_text(nodes),
                errors=errors[name],
            )
        )
    first = metrics["methods"][next(iter(errors))]
    dataset, template = str(inputs["dataset"]), str(inputs["template"])
    how = canonical_json(first["settings"]["metrics"])
    key = canonical_json([manifest.recipe.version, dataset, template, metrics["category"], split, how])
    facts = (
        f"Data set {_described(store, dataset)}, template {_described(store, template)}, "
        f"{f'split {split}' if split else 'all splits'}, {first['overall']['n_instances']} instances, "
        f"{first['overall']['n_points']} points"
    )
    return key, LeaderboardGroup(metrics["category"], facts, tuple(rows), FIGURE, "lower")


def read_score(file: Path, page: Path) -> Keyed:
    """The row of one score file, and what it can be compared by: truth, metric and settings."""
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
        names = list(said)[: list(said).index("metric")]
        settings, metric = said["settings"], said["metric"]
        intervals = said.get("intervals", {})
        figures = {name: _interval({"value": said[name]} | (intervals.get(name) or {})) for name in names}
        if "protocol" in said:  # there -100 says that nothing could be scored
            figures = {
                name: one if (one.value or 0) >= 0 else Interval(None) for name, one in figures.items()
            }
        results, truth = settings["pred"], settings["gt"]
        known = {k: v for k, v in settings.items() if k not in NOT_COMPARED and v not in (None, [], "")}
        first = names[0]
    except FileNotFoundError as error:
        raise DatasetNotFoundError(f"a score at {file}", "no such file", "Write it with --json.") from error
    except (ValueError, KeyError, TypeError, IndexError, OSError) as error:
        raise AnnotationError(
            f"a JSON file written by `densecorr score --json` at {file}", repr(error), "Write it again."
        ) from error
    row = LeaderboardRow(
        name=Path(results).name,
        figures=figures,
        date=datetime.fromtimestamp(file.stat().st_mtime, UTC).strftime("%Y-%m-%d %H:%M"),
        source=file.name,
        link=_relative(file, page),
        made_from=(results,),
    )
    protocol = f", protocol {said['protocol']}" if "protocol" in said else ""
    said_above = {f.name: f.default for f in fields(Score)} | {
        "metric": metric,
        "protocol": said.get("protocol"),
    }
    facts = f"Truth {truth}" + "".join(
        f", {name} = {value}"
        for name, value in known.items()
        if name in said_above and to_jsonable(said_above[name]) != value
    )
    better = "lower" if metric in LOWER else "higher"
    group = LeaderboardGroup(f"{metric}{protocol}", facts, (row,), first, better, known=False)
    return canonical_json(known | ({} if "gt_sha256" in known else {"gt": truth})), group


def _roots(methods: Sequence[str], inputs: Mapping[str, str | list[str]]) -> dict[str, list[str]]:
    """The artifacts that each method was made from; models stand in the order of the inputs."""
    models = [name for name in methods if name not in BASELINES and not name.endswith(IMAGE_ONLY)]
    given = inputs.get("models", [])
    by_name = dict(zip(models, [given] if isinstance(given, str) else given, strict=True))
    found = {}
    for name in methods:
        if name in BASELINES:
            found[name] = [str(inputs[role]) for role in BASELINES[name] if role in inputs]
        else:
            found[name] = [by_name[name.removesuffix(IMAGE_ONLY)]]
    return found


def _instances(path: Path) -> dict[str, dict[str, float]]:
    """The figure of each instance by method, in the run's order of methods; none where it was not measured."""
    import pyarrow.parquet as pq

    table = pq.read_table(path).to_pydict()
    found: dict[str, dict[str, float]] = {method: {} for method in dict.fromkeys(table["method"])}
    values = table.get(FIGURE, [])
    for method, instance, value in zip(table["method"], table["instance_id"], values, strict=bool(values)):
        found[method][instance] = float("nan") if value is None else float(value)
    return found


def _interval(one: Mapping[str, Any]) -> Interval:
    value, low, high = (None if one.get(k) is None else float(one[k]) for k in ("value", "low", "high"))
    return Interval(value, low, high)


def _lineage_text(nodes: "Sequence[LineageNode]") -> str:
    from storage.reports import format_lineage

    return "\n".join(format_lineage(node) for node in nodes)


def _described(store: "Store", artifact_id: str) -> str:
    """An artifact's short id with its tags and the first file of the user's behind it."""
    names = [tag for tag, tagged in store.tags().items() if tagged == artifact_id]
    names += [node.source for node in store.lineage(artifact_id).walk() if node.source][:1]
    return artifact_id[:SHORT_ID] + (f" ({', '.join(names)})" if names else "")


def _link(store: "Store", report: Path, page: Path) -> str:
    return _relative(report, page) if store.place.is_local else report.absolute().as_uri()


def _relative(file: Path, page: Path) -> str:
    from urllib.parse import quote

    return quote(Path(os.path.relpath(file.absolute(), page.absolute().parent)).as_posix())
