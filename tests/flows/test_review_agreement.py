"""`review agreement` finds what was planted in simulated reviews, and says what to do where there is nothing."""

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from densecorr.evaluation.report import render_report
from densecorr.records import LabelRecord
from densecorr.review.acts import new_decision_id
from densecorr.review.costs import CostModel
from densecorr.review.error_map import ErrorMap
from densecorr.review.noise import NoiseModel
from densecorr.review.simulation import SimulatedAnnotator, Surface, simulate_decisions
from densecorr.templates.template import Template, geodesic_rows, read_template
from flows.cli import main
from flows.collect import Simulated
from flows.review_agreement import ReviewAgreement
from flows.review_agreement_evidence import read_evidence
from flows.review_agreement_facts import facts_of
from flows.review_agreement_maps import HEAT, UNKNOWN, heat_colors, map_rows
from flows.review_agreement_measure import measure
from flows.review_agreement_report import report_of
from flows.review_orders import Order, write_order
from storage.artifacts import Store
from storage.decisions import append_decisions, read_decisions
from storage.journal import Journal, journal_path
from tests.annotation_ui.review_world import make_labels, make_world, put_dataset, put_labels

N, POINTS = 30, 20


@dataclass(frozen=True)
class World:
    """Balls whose truth the data set knows (tag data), and wrong labels of theirs to judge (tag wrong)."""

    store: Store
    dataset: str
    template: Template
    labels: list[LabelRecord]
    true: list[np.ndarray]
    D: np.ndarray  # geodesic distances between all vertices

    def review(
        self, name: str, noise: NoiseModel, seed: int, n: int = N, costs: CostModel | None = None
    ) -> None:
        """A simulated review of the first n."""
        surface = Surface(self.D.__getitem__, self.template, area=self.template.mass)
        annotator = SimulatedAnnotator(noise, costs or CostModel(), name=name)
        acts = []
        for i, (label, true) in enumerate(zip(self.labels[:n], self.true, strict=False)):
            rng = np.random.default_rng([seed, i])
            acts += simulate_decisions(label, true, annotator, surface, rng, self.dataset)
        append_decisions(self.store, acts)

    def verdict(self, name: str, i: int, action: str) -> None:
        """Another verdict of a reviewer on a label set."""
        rng = np.random.default_rng(0)
        surface = Surface(self.D.__getitem__, self.template)
        annotator = SimulatedAnnotator(NoiseModel((0.0,)), name=name)
        *_, act = simulate_decisions(self.labels[i], self.true[i], annotator, surface, rng, self.dataset)
        after = {"verdict": {"action": action, "reason": None}}
        append_decisions(
            self.store, [replace(act, action=action, after=after, decision_id=new_decision_id())]
        )

    def agreement(self, out: Path, *more: str) -> dict[str, Any]:
        """What the command writes."""
        command = ["--store", self.store.place.uri, "review", "agreement", "data", "--labels", "wrong"]
        assert main([*command, "--out", str(out), *more]) == 0
        assert (out / "report.html").is_file()
        return json.loads((out / "agreement.json").read_text())


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("world") / "store"
    store, settings = make_world(folder, n=1)
    people = make_labels(N, POINTS, "human", "people")
    dataset = put_dataset(store, N, labels=people)
    rng = np.random.default_rng(7)
    labels = []
    for i, label in enumerate(make_labels(N, POINTS, "zero_shot", "zero")):
        wrong = rng.random(POINTS) < 0.2 + 0.7 * i / N  # some need more corrections than others
        labels.append(replace(label, vertex=np.where(wrong, rng.integers(0, 642, POINTS), label.vertex)))
    store.tag("data", dataset)
    store.tag("wrong", put_labels(store, labels, "wrong"))
    template = read_template(store.path(settings.template))
    D = geodesic_rows(template, np.arange(len(template.V)))
    return World(store, dataset, template, labels, [label.vertex for label in people], D)


@pytest.fixture
def world(built: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A copy for each test, without a decision."""
    monkeypatch.setenv("DENSECORR_STATE", str(tmp_path / "state"))
    monkeypatch.setattr("flows.review_agreement_maps._SIZE", 120)  # smaller pictures
    shutil.copytree(built.store.place.uri, tmp_path / "store")
    return replace(built, store=Store(tmp_path / "store"))


def inside(interval: Mapping[str, float], value: float) -> bool:
    return interval["low"] <= value <= interval["high"]


def planted_moment(world: World, sigma: float, power: int) -> np.ndarray:
    """The mean of distance ** power that the noise model states on this mesh, at each true point."""
    D = world.D[np.concatenate(world.true)]
    weight = np.exp(-np.square(D) / (2 * sigma**2)) * world.template.mass
    return (weight * D**power).sum(axis=1) / weight.sum(axis=1)


def test_planted_noise_and_costs_are_found_within_their_intervals(world: World, tmp_path: Path) -> None:
    world.review("ann", NoiseModel((0.15,)), 1, costs=CostModel(9.0, 5.0))
    world.review("bob", NoiseModel((0.3,), miss=0.2), 2, costs=CostModel(4.0, 2.0))
    facts = world.agreement(tmp_path / "out", "--tolerance", "0.1")
    together, ann, bob = facts["models"]
    assert [one["reviewer"] for one in facts["models"]] == ["", "ann", "bob"]
    for one, planted in ((ann, 0.15), (bob, 0.3)):
        on_mesh = float(np.sqrt(np.mean(planted_moment(world, planted, 2)) / 2))
        assert on_mesh == pytest.approx(planted, rel=0.05)  # a coarse ball is neither flat nor continuous
        assert inside(one["noise"]["sigma"], on_mesh)
    assert inside(bob["noise"]["miss"], 0.2)
    assert ann["noise"]["miss"]["value"] == 0
    assert (
        ann["noise"]["sigma"]["value"] < together["noise"]["sigma"]["value"] < bob["noise"]["sigma"]["value"]
    )
    assert (ann["costs"]["per_instance"], ann["costs"]["per_point"]) == pytest.approx((9, 5))
    pasted = Simulated(**{**bob["simulated"], "costs": CostModel(**bob["simulated"]["costs"])})
    assert pasted.sigma * facts["diameter"] == pytest.approx(bob["noise"]["sigma"]["value"], rel=1e-3)
    assert pasted.tolerance == 0.1
    workload = facts["reviewers"][0]
    changed = sum(act.point_id is not None for act in read_decisions(world.store, reviewer="ann"))
    assert (workload["n_instances"], workload["n_points"]) == (N, N * POINTS)
    assert workload["n_changed"] == changed
    assert workload["seconds"] == pytest.approx(9 * N + 5 * changed)
    page = (tmp_path / "out" / "report.html").read_text()
    assert "annotator = { kind = &#34;simulated&#34;, sigma = " in page
    assert page.count("<figure>") == 10  # two annotators, four sides and a legend each
    assert not re.search(r"(src|href)=\"http", page)


def test_the_gold_error_is_the_mean_of_the_planted_distribution(world: World, tmp_path: Path) -> None:
    world.review("ann", NoiseModel((0.15,)), 1)
    facts = world.agreement(tmp_path / "out")
    [score] = facts["gold"]["annotators"]
    assert inside(score["error"], float(np.mean(planted_moment(world, 0.15, 1))))
    assert score["error_share"]["value"] == pytest.approx(score["error"]["value"] / facts["diameter"])
    assert score["n_points"] == N * POINTS
    assert facts["agreement"] == []
    assert len(facts["thresholds"]) == len(score["rcp"]) == 31
    assert score["rcp"] == sorted(score["rcp"])


def test_identical_annotators_agree_fully_and_perfect_ones_do_not_err(world: World, tmp_path: Path) -> None:
    for name in ("ann", "bob"):
        world.review(name, NoiseModel((0.0,)), 3)
        world.verdict(name, 0, "reject")  # of one class alone, kappa is not defined
    facts = world.agreement(tmp_path / "out")
    for one in facts["agreement"]:
        assert one["error"]["value"] == one["error"]["high"] == 0
        assert one["auc_10"]["value"] == one["auc_30"]["low"] == 1
        assert one["kappa"]["value"] == pytest.approx(1)
        assert set(one["rcp"]) == {1.0}
        assert (one["n_instances"], one["n_points"]) == (N, (N - 1) * POINTS)
    assert [one["reviewers"] for one in facts["agreement"]] == [[], ["ann", "bob"]]
    for score in facts["gold"]["annotators"]:
        assert (score["error"]["value"], score["auc_10"]["value"], score["confusion"]["value"]) == (0, 1, 0)
        assert score["n_instances"] == N - 1  # who rejects says nothing of the points
    assert facts["conflicts"] == []


def test_slips_to_the_other_side_are_counted_as_such(world: World, tmp_path: Path) -> None:
    world.review("ann", NoiseModel((0.0,), slip=0.3), 4)
    [score] = world.agreement(tmp_path / "out")["gold"]["annotators"]
    assert score["confusion"]["low"] > 0.1
    assert inside(score["confusion"], 0.3)


def test_conflicts_come_unsettled_first_and_furthest_apart(world: World, tmp_path: Path) -> None:
    for seed, name in enumerate(("ann", "bob", "cho")):
        world.review(name, NoiseModel((0.1 if name == "ann" else 0.0,), slip=0.3), seed, n=6)
    world.verdict("cho", 2, "reject")
    world.verdict("cho", 3, "unsure")
    found = world.agreement(tmp_path / "out")["conflicts"]
    settled = [one["settled"] for one in found]
    assert settled == sorted(settled)
    assert 0 < sum(settled) < len(found)
    apart = [one["apart"] for one in found if not one["settled"]]
    assert apart == sorted(apart, reverse=True)
    [verdict] = [one for one in found if one["what"] == "verdict"]
    assert verdict["settled"]
    assert verdict["values"] == {"ann": "accept", "bob": "accept", "cho": "reject"}


def test_gold_is_what_was_dealt_unless_a_truth_is_named(world: World, tmp_path: Path) -> None:
    world.review("ann", NoiseModel((0.1,)), 5)
    dealt = ("i/3", "i/4")
    write_order(world.store, world.dataset, "ann", Order(("i/3", "i/4", "i/5"), gold=dealt))
    assert world.agreement(tmp_path / "a")["gold"]["instances"] == 2
    facts = world.agreement(tmp_path / "b", "--truth", "data")
    assert facts["gold"]["instances"] == N
    assert facts["models"][0]["noise"] is not None


@pytest.mark.parametrize("reviewed", [False, True])
def test_what_cannot_be_measured_says_what_to_do(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture, reviewed: bool
) -> None:
    """No decision at all; then one reviewer and a truth that is of other instances."""
    if reviewed:
        world.review("ann", NoiseModel((0.1,)), 6, n=2)
        world.store.tag("elsewhere", put_labels(world.store, world.labels, "no truth"))
    store = ["--store", world.store.place.uri, "review", "agreement", "data", "--labels", "wrong"]
    truth = ["--truth", "elsewhere"] if reviewed else []
    assert main([*store, "--out", str(tmp_path / "out"), *truth]) == 2
    said = capsys.readouterr().err
    if reviewed:
        assert "review assign data --labels wrong --reviewers ann NAME --overlap 40 --gold 20" in said
    else:
        assert "review open data --labels wrong --reviewer NAME" in said
    assert not (tmp_path / "out").exists()


def test_maps_are_grey_where_no_point_is_near_and_share_one_scale(world: World) -> None:
    error = np.full(642, np.nan)
    error[world.template.V[:, 2] > 0] = 0.5  # known in front only
    maps = {"ann": ErrorMap(error, np.ones(642)), "bob": ErrorMap(error / 5, np.ones(642))}
    ann, bob = map_rows(maps, world.template, 100.0, "cm", {})
    assert [panel.caption for panel in ann.panels][:4] == ["front", "back", "left side", "right side"]
    front, back, *_ = (panel.image for panel in ann.panels)
    height, width = front.shape[0] // 2, front.shape[1] // 2
    assert np.ptp(back[height, width].astype(int)) < 15  # grey
    assert np.ptp(front[height, width].astype(int)) > 60
    assert np.ptp(bob.panels[0].image[height, width].astype(int)) < np.ptp(front[height, width].astype(int))
    np.testing.assert_array_equal(ann.panels[4].image, bob.panels[4].image)
    np.testing.assert_allclose(heat_colors(np.array([0.0, 1.0, 2.0, np.nan])), [*HEAT[[0, -1, -1]], UNKNOWN])


def test_without_a_unit_the_page_gives_shares_of_the_diameter(world: World, tmp_path: Path) -> None:
    for seed, name in enumerate(("ann", "bob")):
        world.review(name, NoiseModel((0.2,)), seed, n=4)
    command = ReviewAgreement("data", tmp_path, labels="wrong")
    metric = read_evidence(world.store, command)
    evidence = replace(metric, template=replace(metric.template, unit="none"))
    findings = measure(evidence, command)
    facts = facts_of(evidence, findings, command)
    assert facts["unit"] == "none"
    assert facts["thresholds"][-1] == pytest.approx(0.3 * facts["diameter"])
    assert "auc_10" not in facts["agreement"][0]
    page = render_report(report_of(evidence, findings, command))
    assert "within (% of the diameter)" in page
    assert " cm" not in page


def test_a_journal_that_cannot_be_read_stops_it_or_is_named(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed, name in enumerate(("ann", "bob")):
        world.review(name, NoiseModel((0.0,)), seed, n=2)
    Journal(journal_path(world.store, "ann")).close()
    journal_path(world.store, "ann").write_bytes(b"")
    command = ["--store", world.store.place.uri, "review", "agreement", "data", "--labels", "wrong"]
    assert main([*command, "--out", str(tmp_path / "none")]) == 2
    assert "--incomplete" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()
    [sentence] = world.agreement(tmp_path / "out", "--incomplete")["incomplete"]
    assert "the acts of ann in the table" in sentence
    assert f"INCOMPLETE: {sentence}" in capsys.readouterr().err
    assert "INCOMPLETE: left out the journal" in (tmp_path / "out" / "report.html").read_text()
