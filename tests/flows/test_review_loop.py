"""The stages of the loop: select under a budget, collect decisions, correct, and what a minute bought."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from densecorr.errors import AnnotationError, EmptyInstanceError, SettingsError, TrainingError
from densecorr.evaluation.bootstrap import BootstrapSettings
from densecorr.records import Decision, LabelRecord
from densecorr.review.acts import new_decision_id
from densecorr.review.costs import CostModel
from flows import collect, correct, review_gain, select
from flows.collect import Collect, People, Simulated
from flows.correct import Correct
from flows.review_gain import ReviewGain, errors_of_model, gain_facts
from flows.select import Select
from flows.stage import Stage, run_stage
from storage.artifacts import Recipe, Store
from storage.datasets import read_labels
from storage.decisions import append_decisions
from tests.annotation_ui.review_world import ball, make_labels, put_dataset, put_labels, put_template

N, POINTS = 12, 30


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Balls with truth; their pseudo-labels are wrong everywhere on the first four, and say so."""
    store = Store(tmp_path_factory.mktemp("loop") / "store")
    truth = make_labels(N, POINTS, "human", "people")
    store.tag("template", put_template(store))
    store.tag("data", put_dataset(store, N, labels=truth))
    store.tag("labels", put_labels(store, [pseudo(label, i < 4) for i, label in enumerate(truth)], "pseudo"))
    return store


def pseudo(label: LabelRecord, wrong: bool) -> LabelRecord:
    """Opposite vertices where wrong."""
    V, _ = ball()
    opposite = np.array([int(np.argmax(-V @ V[v])) for v in label.vertex])
    return replace(
        label,
        label_id=f"zero/{label.instance_id}",
        source="zero_shot",
        vertex=opposite if wrong else label.vertex,
        expected_error=np.full(len(label.x), 0.4 if wrong else 0.01, np.float32),
    )


def run(store: Store, stage: Stage, command: Any) -> Path:
    return store.path(run_stage(stage, command, store, lambda *told: None))


def selected(store: Store, **options: Any) -> Path:
    command = Select("data", "labels", "template", "ball", minutes=6.0, points=10, **options)
    return run(store, select.STAGE, command)


def collected(store: Store, chosen: Path, **options: Any) -> Path:
    annotator = Simulated(minutes=6.0, sigma=0.0, slip=0.0, **options)
    return run(store, collect.STAGE, Collect("data", chosen.name, "template", annotator))


def test_the_wrong_ones_come_first_and_fit_the_budget(store: Store) -> None:
    folder = selected(store)
    order = (folder / "order.txt").read_text().split()
    assert set(order[:4]) == {"i/0", "i/1", "i/2", "i/3"}
    labels = read_labels(folder)
    assert list(labels) == order
    before = read_labels(store.path("labels"))
    for key, label in labels.items():
        assert len(label.x) == 10
        assert label.point_ids is not None
        np.testing.assert_array_equal(label.vertex, before[key].vertex[label.point_ids])
    summary = json.loads((folder / "selection.json").read_text())
    seconds = np.cumsum([one["expected_seconds"] for one in summary["chosen"]])
    assert seconds[summary["expected within the minutes"] - 1] <= 360 < 360 * 1.5 + 1e-6
    assert seconds[-1] <= 360 * 1.5
    shuffled = (selected(store, order="random") / "order.txt").read_text().split()
    assert shuffled != order
    assert shuffled == (selected(store, order="random") / "order.txt").read_text().split()


def test_a_perfect_annotator_makes_the_selected_labels_right(store: Store) -> None:
    chosen = selected(store)
    decisions = collected(store, chosen)
    told = json.loads((decisions / "collected.json").read_text())
    assert told["minutes"] <= 6
    assert told["instances"] >= 4
    command = Correct(
        chosen.name, "template", f"{decisions.name}/decisions.parquet", others="labels", weight=3.0
    )
    labels = read_labels(run(store, correct.STAGE, command))
    truth = read_labels(store.path("data"))
    assert set(labels) == set(truth)
    for key in ("i/0", "i/1", "i/2", "i/3"):
        assert labels[key].weight == 3
        assert labels[key].source == "correction"
        np.testing.assert_array_equal(labels[key].vertex, truth[key].vertex[labels[key].point_ids])
    untouched = [label for label in labels.values() if label.source == "zero_shot"]
    assert len(untouched) == N - told["instances"]
    assert all(len(label.x) == POINTS for label in untouched)


def test_people_are_waited_for_and_a_round_stays_as_it_was(store: Store) -> None:
    chosen = selected(store)
    people = People(share=0.1, poll_s=0.05, hours=0.0)
    with pytest.raises(TrainingError, match="Review some instances"):
        run(store, collect.STAGE, Collect("data", chosen.name, "template", people))
    label = next(iter(read_labels(chosen).values()))

    def decide(action: str) -> None:
        verdict = {"verdict": {"action": action, "reason": None}}
        ids = (new_decision_id(), store.resolve("data"), label.instance_id, label.label_id, "ball-v1", "zero")
        decision = Decision(
            *ids, action, "ann", datetime.now(UTC), 30.0, before={"verdict": None}, after=verdict
        )
        append_decisions(store, [decision])

    decide("accept")
    first = run(store, collect.STAGE, Collect("data", chosen.name, "template", people))
    assert json.loads((first / "collected.json").read_text()) == {
        "decisions": 1,
        "instances": 1,
        "minutes": 0.5,
        "reviewers": ["ann"],
    }
    decide("reject")
    assert run(store, collect.STAGE, Collect("data", chosen.name, "template", people)) == first
    second = run(store, collect.STAGE, Collect("data", chosen.name, "template", people, round=2))
    assert json.loads((second / "collected.json").read_text())["decisions"] == 2


def put_evaluation(
    store: Store, errors: np.ndarray, key: str, models: int = 1, labels: str | None = None
) -> str:
    def write(out: Path) -> None:
        names = ["chance", *(f"trained on pseudo-labels ({n})" for n in range(models))]
        rows = [(name, f"i/{i}", value) for name in names for i, value in enumerate(errors)]
        table = pd.DataFrame(rows, columns=["method", "instance_id", "geodesic_error_228"])
        table.to_parquet(out / "per_instance.parquet")

    inputs = {} if labels is None else {"labels": labels}
    return store.ensure(Recipe("evaluate", 1, {"key": key}, inputs), write)


def test_gain_is_what_was_taken_off_a_minute(store: Store) -> None:
    rng = np.random.default_rng(0)
    before = 20 + rng.random(40)
    chosen = selected(store)
    decisions = collected(store, chosen)
    minutes = json.loads((decisions / "collected.json").read_text())["minutes"]
    evaluations = [
        put_evaluation(store, values, key, labels=chosen.name)
        for key, values in (("before", before), ("ranked", before - 3), ("random", before - 1))
    ]
    command = ReviewGain(
        evaluations[0], tuple(evaluations[1:]), (decisions.name, decisions.name), ("ranked", "random")
    )
    folder = run(store, review_gain.STAGE, command)
    facts = json.loads((folder / "gain.json").read_text())
    assert facts["reviews"]["ranked"]["gain"] == pytest.approx(3)
    assert facts["reviews"]["ranked"]["gain_per_minute"] == pytest.approx(3 / minutes)
    assert facts["against"] == [
        {"than": "random", "difference": pytest.approx(2), "low": pytest.approx(2), "high": pytest.approx(2)}
    ]
    page = (folder / "report.html").read_text()
    assert page.count("What the review bought") == 2  # the tab and the heading
    expanded = [line for line in page.splitlines() if f"select {chosen.name[:12]}" in line]
    assert sum("(inputs above)" not in line for line in expanded) == 1  # one tree: the rest is named only
    assert len(expanded) > 1
    with pytest.raises(SettingsError, match="same order"):
        run(store, review_gain.STAGE, replace(command, collected=(decisions.name,)))
    with pytest.raises(AnnotationError, match="one trained model"):
        errors_of_model(store.path(put_evaluation(store, before, "two", models=2)))
    with pytest.raises(AnnotationError, match="same instances"):
        gain_facts({"i/0": 1.0}, {"ranked": {"i/1": 1.0}}, {}, BootstrapSettings())


def test_bad_input_says_what_to_do(store: Store) -> None:
    uncalibrated = [replace(one, expected_error=None) for one in read_labels(store.path("labels")).values()]
    store.tag("uncalibrated", put_labels(store, uncalibrated, "uncalibrated"))
    command = Select("data", "uncalibrated", "template", "ball", minutes=6.0)
    with pytest.raises(AnnotationError, match="densecorr calibrate"):
        run(store, select.STAGE, command)
    assert run(store, select.STAGE, replace(command, order="random"))
    with pytest.raises(EmptyInstanceError, match="cow"):
        run(store, select.STAGE, replace(command, category="cow"))
    dear = Simulated(minutes=0.1, costs=CostModel(60.0, 1.0))
    with pytest.raises(EmptyInstanceError, match=r"fits 0\.1 minutes"):
        run(store, collect.STAGE, Collect("data", selected(store).name, "template", dear))


def test_the_next_round_selects_among_what_was_not_corrected(store: Store) -> None:
    chosen = selected(store)
    some = Collect("data", chosen.name, "template", Simulated(minutes=3.0, sigma=0.0, slip=0.0))
    decisions = run(store, collect.STAGE, some)
    command = Correct(chosen.name, "template", f"{decisions.name}/decisions.parquet", others="labels")
    folder = run(store, correct.STAGE, command)
    assert json.loads((folder / "review.json").read_text())["minutes"] > 0
    corrected = {key for key, label in read_labels(folder).items() if label.source == "correction"}
    second = run(store, select.STAGE, Select("data", folder.name, "template", "ball", minutes=6.0, points=10))
    assert corrected
    assert not corrected & set(read_labels(second))
