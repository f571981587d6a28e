"""Runs of a store on one page: only what was scored alike stands together, best first, with paired intervals."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from densecorr.evaluation.bootstrap import BootstrapSettings, Interval, paired_difference
from densecorr.evaluation.evaluate import EvaluationSettings, GroupResult, MethodResult
from densecorr.evaluation.leaderboard import LeaderboardGroup, LeaderboardRow, against_best, ranked
from densecorr.evaluation.metrics import write_metrics
from flows.cli import main
from flows.leaderboard import FIGURE, merge_groups, read_run
from storage.artifacts import Store
from storage.recipe import Recipe
from tests.densepose_worlds import make_geodesics, make_world, write_world

DRAWN = BootstrapSettings(n_resamples=50)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def artifact(store: Store, stage: str, settings: object = None, **inputs: str) -> str:
    return store.ensure(Recipe(stage, 1, settings, inputs), lambda folder: (folder / "x").write_text("x"))


def method(name: str, values: np.ndarray) -> MethodResult:
    figures = {FIGURE: Interval(float(values.mean()), float(values.min()), float(values.max()))}
    columns = {"instance_id": np.array([f"toys/{i}" for i in range(len(values))]), FIGURE: values}
    group = GroupResult(figures, len(values), 10 * len(values))
    settings = EvaluationSettings(bootstrap=DRAWN)
    return MethodResult(name, group, {}, {}, {}, {}, columns, np.zeros(115), {}, {}, settings)


def evaluate(
    store: Store,
    methods: dict[str, np.ndarray],
    inputs: Mapping[str, str | list[str]],
    split: str | None = "val",
    category: str = "cow",
    version: int = 2,
) -> str:
    def write(folder: Path) -> None:
        results = {name: method(name, values) for name, values in methods.items()}
        write_metrics(folder, results, (), {"category": category})
        (folder / "report.html").write_text("<p>a report</p>")

    settings = {"category": category, "split": split, "n": len(store.list())}
    return store.ensure(Recipe("evaluate", version, settings, inputs), write)


def values(mean: float, seed: int = 0, n: int = 8) -> np.ndarray:
    return mean + np.random.default_rng(seed).normal(0, 1, n)


@pytest.fixture
def runs(store: Store) -> dict[str, str]:
    """Two runs on one data set that share the baseline, one of another split, and one without truth."""
    base: dict[str, str | list[str]] = {}
    base |= {
        "dataset": artifact(store, "ingest", {"source": "toys"}),
        "template": artifact(store, "template"),
    }
    features = artifact(store, "features", {"settings": {"kind": "silhouette", "n_angles": 16}})
    labels = artifact(store, "pseudo-label", {"settings": {"pooling": "max"}}, features=features)
    models = [
        artifact(store, "train", {"settings": {"steps": n, "seed": 0}}, labels=labels) for n in (40, 800)
    ]
    chance = values(80.0)
    trained = "trained on pseudo-labels"
    first = {
        "chance": chance,
        "position prior": values(50),
        trained: values(30),
        f"{trained}, image only": values(33),
    }
    ids = base | {"models": models[0], "labels": labels, "features": features}
    evaluate(store, first, base | {"labels": labels, "models": [models[0]]})
    evaluate(store, {"chance": chance, trained: values(25.0)}, base | {"models": [models[1]]})
    evaluate(store, {"chance": chance}, base, split="train")
    evaluate(store, {}, base)
    return {name: str(value) for name, value in ids.items()}


def page_of(tmp_path: Path, store: Store, *runs: Path) -> tuple[int, str]:
    page = tmp_path / "pages" / "board.html"
    named = ["--runs", *map(str, runs)] if runs else []
    code = main(["score", "--leaderboard", str(page), "--store", store.place.uri, *named])
    return code, page.read_text() if page.exists() else ""


def test_only_what_was_scored_alike_stands_together(tmp_path, store, runs):
    code, page = page_of(tmp_path, store)
    assert code == 0
    val, train = (part.split("</table>")[0] for part in page.split("<h2>")[1:])
    assert "split val" in val
    assert "split train" in train
    names = re.findall(r'<th scope="row" class="text">([^<]+)<small>', val)
    trained = "trained on pseudo-labels"
    assert names == [trained, trained, f"{trained}, image only", "position prior", "chance"]
    assert "the same in 2 runs" in val  # chance
    assert len(re.findall("clearly worse", val)) == 4
    assert "1 of the store&#39;s evaluations have no true points" in page
    assert "<script" not in page


def test_rows_say_what_they_were_made_from_and_in_what_they_differ(tmp_path, store, runs):
    _, page = page_of(tmp_path, store)
    val = page.split("<h2>")[1]
    assert f"train {runs['models'][:12]}" in val
    assert f"labels: pseudo-label {runs['labels'][:12]}" in val
    assert f"features {runs['features'][:12]} (kind=silhouette, n_angles=16)" in val
    assert {"train.steps = 40", "train.steps = 800"} <= set(re.findall(r"<code>([^<]+)</code>", val))
    assert "train.seed" not in val  # alike
    for link in re.findall(r'<a href="([^"]+)"', page):
        assert (tmp_path / "pages" / link).read_text() == "<p>a report</p>"


def test_score_files_are_grouped_by_truth_and_protocol(tmp_path, store, capsys):
    world = (*make_world(3, n_images=6), {"mesh_1": make_geodesics(0), "mesh_2": make_geodesics(1)})
    options = write_world(tmp_path, *world)
    files = [tmp_path / f"{name}.json" for name in ("a", "b", "c")]
    (tmp_path / "none.json").write_text("[]")
    for file, more in zip(
        files, ((), ("--pred", str(tmp_path / "none.json")), ("--protocol", "corrected")), strict=True
    ):
        assert main(["score", *options, *more, "--json", str(file), "--resamples", "20"]) == 0
    code, page = page_of(tmp_path, store, *files)
    assert code == 0
    both, corrected = page.split("<h2>")[1:]
    assert both.startswith("gps, protocol reference")
    assert corrected.startswith("gps, protocol corrected")
    assert re.findall(r'class="text">([^<]+)<small>', both) == ["pred.json", "none.json"]
    assert f"{json.loads(files[0].read_text())['AP']:.4g}" in both


def test_bad_files_are_named(tmp_path, store, capsys):
    assert page_of(tmp_path, store, tmp_path / "no.json")[0] == 2
    assert "a score at" in capsys.readouterr().err
    for text in ("{}", "no json", '{"metric": "gps", "settings": {}}', '{"AP": "x", "metric": "gps"}'):
        (tmp_path / "bad.json").write_text(text)
        assert page_of(tmp_path, store, tmp_path / "bad.json")[0] == 2
        assert "written by `densecorr score --json`" in capsys.readouterr().err


def test_an_empty_store_and_a_damaged_run_still_make_a_page(tmp_path, store, runs):
    code, page = page_of(tmp_path, Store(tmp_path / "empty"))
    assert code == 0
    assert "No run to show" in page
    broken = next(m.artifact_id for m in store.list() if m.stage == "evaluate")
    (store.path(broken) / "metrics.json").unlink()
    code, page = page_of(tmp_path, store)
    assert code == 0
    assert f"evaluate {broken} could not be read" in page


def test_another_version_or_category_is_another_group(store, runs, tmp_path):
    base = {name: runs[name] for name in ("dataset", "template")}
    evaluate(store, {"chance": values(80.0)}, base, version=3)
    evaluate(store, {"chance": values(80.0)}, base, category="horse")
    evaluate(store, {"chance": values(81.0)}, base)  # as before, another figure
    found = [read_run(store, m, tmp_path / "p.html") for m in store.list() if m.stage == "evaluate"]
    keyed = [one for one in found if one is not None]
    assert sorted(len(group.rows) for group in merge_groups(keyed)) == [1, 1, 1, 6]


def row(name: str, value: float | None, errors: dict[str, float] | None = None) -> LeaderboardRow:
    return LeaderboardRow(name, {FIGURE: Interval(value)}, "2026-01-01", "a", errors=errors or {})


def test_the_best_comes_first_and_unknown_figures_last():
    rows = (row("none", None), row("b", 2.0), row("a", 1.0))
    group = LeaderboardGroup("t", "f", rows, FIGURE, "lower")
    assert [one.name for one in ranked(group)] == ["a", "b", "none"]
    higher = LeaderboardGroup("t", "f", rows, FIGURE, "higher")
    assert [one.name for one in ranked(higher)] == ["b", "a", "none"]


def test_pairs_are_by_instance_whatever_their_order():
    a, b = values(1.0, 1), values(5.0, 2)
    ids = [f"i{k}" for k in range(8)]
    best = row("a", float(a.mean()), dict(zip(ids, a.tolist(), strict=True)))
    other = row("b", float(b.mean()), dict(zip(ids[::-1], b[::-1].tolist(), strict=True)))
    stranger = row("c", 9.0, {"x": 9.0})
    found = against_best([best, other, stranger, row("d", 9.0)], "lower", DRAWN)
    assert [one.verdict for one in found] == ["best", "clearly worse", "other instances", ""]
    assert found[1].difference == paired_difference(b, a, DRAWN)
    tied = against_best([best, best], "lower", DRAWN)[1]
    assert tied.verdict == "not clearly worse"
    assert against_best([other, best], "higher", DRAWN)[1].verdict == "clearly worse"
    assert against_best([], "lower", DRAWN) == []
