import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tyro

from annotation_ui.desk import Desk
from annotation_ui.desk_settings import DeskSettings, read_settings
from annotation_ui.leases import MemoryLeases
from annotation_ui.plugins import use_review_plugin, user_plugins_folder
from densecorr.errors import ArtifactError, SettingsError
from flows.review import Review, ReviewOpen, main
from flows.review_assign import ReviewAssign, deal
from flows.review_carry import find_outdated
from flows.review_open import finish, free_port, prepare_desk, use_desk
from flows.review_orders import read_order
from flows.review_reconcile import ReviewReconcile
from flows.review_status import ReviewStatus, count_pending, status_rows
from flows.session import Session
from storage.artifacts import Store
from storage.decisions import read_decisions
from tests.annotation_ui.review_world import (
    make_labels,
    make_world,
    put_dataset,
    put_labels,
    put_template,
)


@pytest.fixture(scope="module")
def template_world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, DeskSettings]:
    folder = tmp_path_factory.mktemp("world") / "store"
    return folder, make_world(folder)[1]


@pytest.fixture
def world(template_world: tuple[Path, DeskSettings], tmp_path: Path) -> tuple[Store, DeskSettings]:
    """A store of its own for each test: five balls, twelve points each; tags data, zero and net."""
    shutil.copytree(template_world[0], tmp_path / "store")
    return Store(tmp_path / "store"), replace(template_world[1], store=str(tmp_path / "store"))


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DENSECORR_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("DENSECORR_MONGO_DIR", str(tmp_path / "mongo"))
    for name in (
        "FIFTYONE_DATABASE_URI",
        "FIFTYONE_PLUGINS_DIR",
        "FIFTYONE_PLUGINS_CACHE_ENABLED",
        "DENSECORR_DESK",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FIFTYONE_CONFIG_PATH", str(tmp_path / "config.json"))


def review(settings: DeskSettings, key: str, action: str = "accept", move: bool = False) -> None:
    """One reviewer's verdict on an instance, after moving a point or not."""
    desk = Desk(settings)
    seen = desk.review_instance(key, lease=False)
    act = {"instance_id": key, "label_id": seen["label"]["label_id"], "revision": seen["revision"]}
    if move:
        point = {name: seen["points"][0][name] for name in ("x", "y", "vertex", "visible")} | {"x": 2.0}
        desk.review_act(
            act | {"action": "move", "point_id": 0, "after": {"points": {"0": point}}, "seconds": 30.0}
        )
    verdict = {"verdict": {"action": action, "reason": None}}
    desk.review_act(act | {"action": action, "after": verdict, "seconds": 30.0})
    desk.close()


def test_status_counts_each_reviewers_work(
    world: tuple[Store, DeskSettings], capsys: pytest.CaptureFixture
) -> None:
    store, settings = world
    review(settings, "i/0", move=True)
    review(settings, "i/1", "reject")
    review(replace(settings, reviewer="bob"), "i/0")
    ReviewAssign("data", ("ann", "cho"), labels="zero")(Session(store.place.uri))
    ann, bob, cho = status_rows(store, settings.dataset, [("i/3", "bob")])
    assert (ann["done"], ann["accepted"], ann["rejected"], ann["minutes"]) == (2, 1, 1, 1.5)
    assert (ann["per hour"], ann["of"], ann["pending"], ann["leases"]) == (80.0, 3, 0, 0)
    assert (bob["done"], bob["leases"], bob["of"]) == (1, 1, None)
    assert (cho["done"], cho["of"]) == (0, 2)
    ReviewStatus("data")(Session(store.place.uri))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["reviewer", "ann", "bob", "cho"]


def test_shares_are_disjoint_but_for_what_all_get() -> None:
    candidates, known = [f"i{n}" for n in range(100)], [f"i{n}" for n in range(40, 60)]
    orders = deal(candidates, known, ["ann", "bob", "cho"], share=20, overlap=10, gold=5, seed=1)
    common = set(orders["ann"].shared)
    gold = set(orders["ann"].gold)
    assert len(common) == 10
    assert len(gold) == 5
    assert gold <= set(known)
    times = Counter(key for order in orders.values() for key in order.instances)
    assert all(n == (3 if key in common | gold else 1) for key, n in times.items())
    for order in orders.values():
        assert len(order.instances) == len(set(order.instances)) == 20 + 10 + 5
        ranked = [key for key in order.instances if key not in gold]
        assert ranked == sorted(ranked, key=candidates.index)  # the most informative still come first
    assert len(times) == 3 * 20 + 10 + 5


def test_without_a_share_everything_is_dealt() -> None:
    orders = deal([f"i{n}" for n in range(10)], [], ["ann", "bob", "cho"], None, overlap=2, gold=0)
    assert {key for order in orders.values() for key in order.instances} == {f"i{n}" for n in range(10)}
    assert sorted(len(order.instances) for order in orders.values()) == [4, 5, 5]


@pytest.mark.parametrize(
    ("reviewers", "share", "overlap", "gold", "message"),
    [
        ((), 1, 0, 0, "names"),
        (("ann", "ann"), 1, 0, 0, "each once"),
        (("ann",), 11, 0, 0, "at least 11"),
        (("ann",), None, 11, 0, "at least 11"),
        (("ann",), 1, 0, 1, "known truth"),
        (("ann",), -1, 0, 0, "from 0 on"),
        (("ann", "bob"), 0, 0, 0, "none for ann"),
        (tuple(f"r{n}" for n in range(11)), None, 0, 0, "none for r10"),
    ],
)
def test_what_cannot_be_dealt_is_refused(
    reviewers: tuple[str, ...], share: int | None, overlap: int, gold: int, message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        deal([f"i{n}" for n in range(10)], [], reviewers, share, overlap, gold)


def test_a_share_is_what_the_reviewers_desk_shows(world: tuple[Store, DeskSettings], tmp_path: Path) -> None:
    store, settings = world
    ranking = tmp_path / "ranking.txt"
    ranking.write_text("i/4\ni/3\ni/2\ni/1\ni/0\nelsewhere\n")
    assign = ReviewAssign(
        "data", ("ann", "bob"), "zero", share=1, overlap=1, gold=1, order=ranking, out=tmp_path / "o"
    )
    assign(Session(store.place.uri))
    desk = prepare_desk(store, settings.dataset, "balls", "ann", [settings.labels or ""], None, (), None)
    assert len(desk.order) == 3
    assert len(desk.gold) == 1
    assert (tmp_path / "o" / "ann.txt").read_text().split() == list(desk.order)
    assert desk.template == settings.template
    named = prepare_desk(store, settings.dataset, "balls", "ann", [], None, (), ranking)
    assert named.order[:2] == ("i/4", "i/3")
    assert named.labels is None


def test_orders_are_lines_or_json(world: tuple[Store, DeskSettings], tmp_path: Path) -> None:
    file = tmp_path / "order"
    for text in ('["a", "b"]', '{"instances": ["a", "b"]}', "a\n\n b \n"):
        file.write_text(text)
        order = read_order(world[0], "d", "ann", file)
        assert order is not None
        assert order.instances == ("a", "b")
    for text in ("", "[1]", "[", '{"other": ["a"]}', '{"instances": 3}'):
        file.write_text(text)
        with pytest.raises(SettingsError, match="one a line"):
            read_order(world[0], "d", "ann", file)
    with pytest.raises(SettingsError, match="--order"):
        read_order(world[0], "d", "ann", tmp_path / "none")
    assert read_order(world[0], "d", "ann") is None


def test_decisions_on_the_same_points_are_carried_over(world: tuple[Store, DeskSettings]) -> None:
    store, settings = world
    review(settings, "i/0", move=True)
    review(settings, "i/1", "reject")
    again = put_dataset(store, 5, version=2, labels=make_labels(5, 12, "human", "people"))
    anew = put_labels(store, make_labels(5, 12, "zero_shot", "zero-2"), "zero-2")  # the same points
    outdated = find_outdated(store, again, anew)
    assert [(one.instance_id, one.outcome, len(one.acts)) for one in outdated] == [
        ("i/0", "holds", 2),
        ("i/1", "holds", 1),
    ]
    session = Session(store.place.uri)
    ReviewReconcile(again, anew)(session)
    assert read_decisions(store, dataset_id=again) == []
    ReviewReconcile(again, anew, apply=True)(session)
    carried = read_decisions(store, dataset_id=again)
    old = read_decisions(store, dataset_id=settings.dataset)
    assert [act.reason for act in carried] == [f"carried over from {act.decision_id}" for act in old]
    assert {act.producer for act in carried} == {"zero-2"}
    assert {one.outcome for one in find_outdated(store, again, anew)} == {"carried"}
    ReviewReconcile(again, anew, apply=True)(session)
    assert len(read_decisions(store)) == 6
    desk = Desk(replace(settings, dataset=again, labels=anew))
    assert desk.review_queue()["progress"]["done"] == 2
    assert desk.review_instance("i/0", lease=False)["points"][0]["x"] == 2.0
    desk.close()


def test_decisions_that_do_not_hold_any_more_stay_and_are_listed(
    world: tuple[Store, DeskSettings], capsys: pytest.CaptureFixture
) -> None:
    store, settings = world
    for key in ("i/0", "i/3"):
        review(settings, key)
    review(replace(settings, reviewer="bob"), "i/1")
    other = make_labels(5, 12, "zero_shot", "zero-3", shift=1.0)
    anew = put_labels(store, other, "zero-3")
    review(replace(settings, reviewer="bob", labels=anew), "i/1")
    fewer = put_dataset(store, 3, version=3)
    session = Session(store.place.uri)
    ReviewReconcile("data", "zero")(session)  # only bob's decision is on other labels
    assert [line.split("\t")[:2] for line in capsys.readouterr().out.splitlines()] == [["bob", "i/1"]]
    ReviewReconcile("data", anew, apply=True)(session)
    printed = capsys.readouterr().out
    assert "12 of 12 points are others now" in printed
    assert "the reviewer judged the new labels already" in printed
    assert len(read_decisions(store)) == 4
    reasons = {one.reason for one in find_outdated(store, fewer, None)}
    assert "the instance has no labels now" in reasons


def test_another_version_of_the_template_is_said(world: tuple[Store, DeskSettings]) -> None:
    store, settings = world
    review(settings, "i/0")
    put_template(store, "ball-v2")
    anew = put_labels(store, make_labels(5, 12, "zero_shot", "zero-v2", template_id="ball-v2"), "v2")
    [one] = find_outdated(store, settings.dataset, anew)
    assert (one.outcome, one.reason) == ("lost", "the template was ball-v1 and is ball-v2")


def test_labels_that_left_the_store_cannot_be_compared(world: tuple[Store, DeskSettings]) -> None:
    store, settings = world
    review(settings, "i/0")
    shutil.rmtree(store.path(settings.labels or ""))
    anew = put_labels(store, make_labels(5, 12, "zero_shot", "zero-2"), "zero-2")
    [one] = find_outdated(store, settings.dataset, anew)
    assert (one.outcome, one.reason) == ("lost", "the old labels are not in the store any more")


def test_opening_for_a_reviewer_refuses_what_would_fail_in_the_app(world: tuple[Store, DeskSettings]) -> None:
    store, settings = world
    with pytest.raises(SettingsError, match="one label artifact"):
        main(ReviewOpen("data", labels=("zero", "net"), reviewer="ann"), store)
    with pytest.raises(SettingsError, match="reviewer"):
        main(ReviewOpen("data", reviewer="../ann"), store)
    with pytest.raises(SettingsError, match="Add --reviewer"):
        main(ReviewOpen("data", opinion="net"), store)
    lonely = put_labels(store, make_labels(5, 3, "zero_shot", "z", template_id="cow-v1"), "cow")
    with pytest.raises(ArtifactError, match="cow-v1"):
        prepare_desk(store, settings.dataset, "balls", "ann", [lonely], None, (), None)


def test_after_the_app_nothing_waits_and_no_lease_is_held(
    world: tuple[Store, DeskSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, settings = world
    monkeypatch.setattr("annotation_ui.desk_record.Compactor._compact", lambda _: None)  # the App was killed
    review(settings, "i/0")
    assert count_pending(store, settings.dataset) == {"ann": 1}
    leases = MemoryLeases()
    leases.take("i/0", "ann")
    leases.take("i/1", "bob")
    monkeypatch.setattr("annotation_ui.mongo.running_uri", lambda: "mongodb://somewhere")
    monkeypatch.setattr("annotation_ui.leases.MongoLeases", lambda *_: leases)
    finish(store, settings.dataset, "ann")
    assert count_pending(store, settings.dataset) == {}
    assert list(leases.held()) == ["i/1"]


def test_the_users_plugins_stay_where_they_are(
    world: tuple[Store, DeskSettings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "plugins"
    (own / "mine").mkdir(parents=True)
    (own / "mine" / "fiftyone.yml").write_text("name: mine\n")
    monkeypatch.setenv("FIFTYONE_PLUGINS_DIR", str(own))
    use_desk(world[1])
    folder = user_plugins_folder()
    assert folder != own
    assert (folder / "densecorr-review" / "fiftyone.yml").is_file()
    assert (folder / "own" / "mine" / "fiftyone.yml").is_file()
    assert [path.name for path in own.iterdir()] == ["mine"]
    assert read_settings() == world[1]
    use_review_plugin(folder)  # again: the links are made anew, none points to itself
    assert sorted(path.name for path in folder.iterdir()) == ["densecorr-review"]


def test_the_command_line_reads_its_settings() -> None:
    assert tyro.cli(Review, args=["assign", "data", "--reviewers", "a", "b", "--share", "3"]) == ReviewAssign(
        "data", ("a", "b"), share=3
    )
    assert tyro.cli(Review, args=["open", "data", "--reviewer", "ann", "--opinion", "net"]) == ReviewOpen(
        "data", reviewer="ann", opinion="net"
    )
    assert tyro.cli(Review, args=["reconcile", "data", "--apply"]) == ReviewReconcile("data", apply=True)


def call(port: int, operator: str, **params: object) -> dict[str, Any]:
    """An operator of the App on a port."""
    body = json.dumps(
        {"operator_uri": f"@densecorr/review/{operator}", "dataset_name": "trial", "params": params}
    )
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/operators/execute", body.encode(), headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)["result"]


@pytest.mark.mongo
@pytest.mark.slow
def test_two_reviewers_have_an_app_each_and_share_the_leases(world: tuple[Store, DeskSettings]) -> None:
    if not os.environ.get("DENSECORR_MONGOD"):
        pytest.skip("no DENSECORR_MONGOD: `bash infra/get_mongod.sh FOLDER` gets one")
    store, ports, apps = world[0], {}, []
    try:
        for reviewer in ("ann", "bob"):
            ports[reviewer] = free_port(5300 + 100 * len(apps))
            command = [
                sys.executable,
                "-m",
                "flows.cli",
                "--store",
                store.place.uri,
                "review",
                "open",
                "data",
            ]
            command += ["--labels", "zero", "--name", "trial", "--reviewer", reviewer]
            command += ["--port", str(ports[reviewer])]
            apps.append(
                subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            )
            assert any("FiftyOne shows 'trial'" in line for line in apps[-1].stdout or ())
        assert call(ports["bob"], "review_open", version=1)["reviewer"] == "bob"
        seen = call(ports["ann"], "review_instance", instance_id="i/0", lease=True)
        assert seen["lease"]["mine"]
        theirs = call(ports["bob"], "review_instance", instance_id="i/0", lease=True)
        assert theirs["lease"]["reviewer"] == "ann"
        act = {"instance_id": "i/0", "label_id": seen["label"]["label_id"], "revision": seen["revision"]}
        act |= {
            "action": "accept",
            "after": {"verdict": {"action": "accept", "reason": None}},
            "seconds": 1.0,
        }
        assert call(ports["bob"], "review_act", act=act)["error"]["kind"] == "lease"
        assert call(ports["ann"], "review_act", act=act)["progress"]["done"] == 1
    finally:
        for app in apps:
            app.terminate()
        for app in apps:
            app.communicate(timeout=120)
    [decision] = read_decisions(store)
    assert (decision.reviewer, decision.action) == ("ann", "accept")
    assert count_pending(store, decision.dataset_id) == {}
