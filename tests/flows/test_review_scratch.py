"""Annotating from scratch, and what FiftyOne is told of the decisions."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from annotation_ui.desk import Desk
from annotation_ui.desk_settings import DeskSettings
from densecorr.errors import SettingsError
from flows.review import ReviewOpen, main
from flows.review_export import ReviewExport
from flows.review_open import free_port, make_blank, prepare_desk
from flows.review_sync import information_of, statuses_of
from flows.session import Session
from storage.artifacts import Store
from storage.datasets import read_labels
from tests.annotation_ui.review_world import (
    accept,
    act_on,
    make_labels,
    make_world,
    moved,
    point_of,
    put_labels,
)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Store, DeskSettings]:
    monkeypatch.setenv("DENSECORR_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("DENSECORR_MONGO_DIR", str(tmp_path / "mongo"))
    return make_world(tmp_path / "store", n=4, points=6)


def verdict(desk: Desk, key: str, action: str) -> None:
    desk.review_act(act_on(desk, key, action, {"verdict": {"action": action, "reason": None}}))


def test_what_is_annotated_from_scratch_is_exported(
    world: tuple[Store, DeskSettings], capsys: pytest.CaptureFixture
) -> None:
    store, settings = world
    blank = make_blank(store, settings.dataset, [], [settings.template], None)
    assert make_blank(store, settings.dataset, [], [settings.template], "ball") != blank
    assert make_blank(store, settings.dataset, [], [settings.template], None) == blank
    desk = Desk(prepare_desk(store, settings.dataset, "balls", "ann", [blank], None, (), None))
    assert [entry["instance_id"] for entry in desk.review_queue()["queue"]] == [f"i/{i}" for i in range(4)]
    seen = desk.review_instance("i/2", lease=True)
    assert (seen["points"], seen["label"]["label_id"]) == ([], f"{blank}/i/2")
    parts = {"whole": [[20.0, 20.0, 44.0, 20.0, 44.0, 44.0, 20.0, 44.0]]}
    desk.review_act(act_on(desk, "i/2", "delineate", {"parts": parts}))
    points = desk.review_spread("i/2", parts)["points"]
    assert [point["point_id"] for point in points] == list(range(14))
    for point in points:
        after = {"x": point["x"], "y": point["y"], "vertex": 3 * point["point_id"], "visible": True}
        patch = {"points": {str(point["point_id"]): after}}
        desk.review_act(act_on(desk, "i/2", "add", patch, point_id=point["point_id"]))
    accept(desk, "i/2")
    desk.close()
    ReviewExport(settings.dataset, blank)(Session(store.place.uri))
    made = capsys.readouterr().out.split()[-1]
    [label] = read_labels(store.path(made)).values()  # nothing is said of the others
    assert (label.instance_id, label.source) == ("i/2", "correction")
    assert label.vertex.tolist() == [3 * i for i in range(14)]
    assert label.x.tolist() == [point["x"] for point in points]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": ("zero",)}, "either --scratch"),
        ({"templates": ()}, "Name one"),
        ({"scratch": False}, "--category with --scratch"),
    ],
)
def test_scratch_needs_a_template_and_no_labels(
    world: tuple[Store, DeskSettings], change: dict[str, Any], message: str
) -> None:
    store, settings = world
    command = ReviewOpen("data", scratch=True, templates=(settings.template,), category="ball")
    with pytest.raises(SettingsError, match=message):
        main(replace(command, **change), store)


def test_statuses_are_of_the_label_set_that_was_judged_last(world: tuple[Store, DeskSettings]) -> None:
    store, settings = world
    ann, bob = Desk(settings), Desk(replace(settings, reviewer="bob"))
    accept(ann, "i/0")
    ann.review_act(act_on(ann, "i/1", "move", moved(point_of(ann, "i/1", 2), x=3.0), point_id=2))
    accept(ann, "i/1")
    verdict(bob, "i/1", "reject")
    far = int(np.argmin(np.asarray(ann._data.template.V)[:, 2]))
    ann.review_act(act_on(ann, "i/2", "assign", moved(point_of(ann, "i/2", 0), vertex=far), point_id=0))
    accept(ann, "i/2")
    accept(bob, "i/2")
    verdict(bob, "i/3", "skip")
    for desk in (ann, bob):
        desk.close()
    found = statuses_of(store, settings.dataset)
    assert {key: (one.verdicts, one.changed, one.conflict) for key, one in found.items()} == {
        "i/0": ({"ann": "accept"}, False, False),
        "i/1": ({"ann": "accept", "bob": "reject"}, True, True),
        "i/2": ({"ann": "accept", "bob": "accept"}, True, True),  # on one point's vertex
        "i/3": ({"bob": "skip"}, False, False),
    }
    anew = put_labels(store, make_labels(4, 6, "zero_shot", "zero-2"), "zero-2")
    again = Desk(replace(settings, labels=anew))
    accept(again, "i/1")
    again.close()
    status = statuses_of(store, settings.dataset)["i/1"]
    assert (status.verdicts, status.changed, status.conflict) == ({"ann": "accept"}, False, False)


def test_what_is_up_for_review_is_ordered_as_the_queue_is(world: tuple[Store, DeskSettings]) -> None:
    store, settings = world
    assert information_of(store, settings.dataset, settings.labels, ["i/3", "i/1"]) == {
        "i/3": 1.0,
        "i/1": 0.5,
    }
    plain = information_of(store, settings.dataset, settings.labels)
    assert sorted(plain, key=lambda key: -plain[key]) == [f"i/{i}" for i in range(4)]
    labels = [
        replace(one, expected_error=np.full(6, error, np.float32))
        for one, error in zip(make_labels(4, 6, "zero_shot", "zero"), (0.1, 0.4, 0.2, 0.3), strict=True)
    ]
    known = information_of(store, settings.dataset, put_labels(store, labels, "calibrated"))
    assert sorted(known, key=lambda key: -known[key]) == ["i/1", "i/3", "i/2", "i/0"]


def start(world: tuple[Store, DeskSettings], reviewer: str, *more: str) -> "subprocess.Popen[str]":
    """`review open` as a process, once it serves."""
    command = [sys.executable, "-m", "flows.cli", "--store", world[0].place.uri, "review", "open", "data"]
    command += ["--name", "scratch", "--reviewer", reviewer, "--port", str(free_port(5500)), *more]
    app = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert any("FiftyOne shows 'scratch'" in line for line in app.stdout or ())
    return app


@pytest.mark.mongo
@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_an_app_whose_database_is_gone_ends_soon(
    world: tuple[Store, DeskSettings], tmp_path: Path, how: signal.Signals
) -> None:
    if not os.environ.get("DENSECORR_MONGOD"):
        pytest.skip("no DENSECORR_MONGOD: `bash infra/get_mongod.sh FOLDER` gets one")
    app = start(world, "ann", "--labels", "zero")
    os.kill(json.loads((tmp_path / "mongo" / "densecorr.json").read_text())["pid"], how)
    began = time.monotonic()
    app.terminate()
    app.communicate(timeout=100)
    assert time.monotonic() - began < 25
    assert app.returncode == 0
