"""What one reviewer's desk tells of the others' decisions: blind until decided, read as it comes."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from annotation_ui import desk_others
from annotation_ui.desk import Desk
from annotation_ui.desk_settings import DeskSettings
from annotation_ui.leases import MemoryLeases
from densecorr.errors import ArtifactError
from storage.artifacts import Store
from storage.journal import journal_path
from tests.annotation_ui.review_world import accept, act_on, make_labels, moved, point_of, put_labels

ACCEPT = {"action": "accept", "reason": None}


@pytest.fixture
def desks(world: tuple[Store, DeskSettings], monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Desk, Desk]]:
    """Ann's and Bob's, who look at each other's decisions on every call."""
    monkeypatch.setattr(desk_others, "_EVERY_S", 0.0)
    leases = MemoryLeases()
    both = Desk(world[1], leases), Desk(replace(world[1], reviewer="bob"), leases)
    yield both
    for desk in both:
        desk.close()


def correct(desk: Desk, key: str) -> str:
    """Move one point, delete one, accept, and let go; the id of the accept."""
    desk.review_act(act_on(desk, key, "move", moved(point_of(desk, key, 3), x=1.5), point_id=3))
    desk.review_act(act_on(desk, key, "delete", {"points": {"5": None}}, point_id=5))
    stored = accept(desk, key)["decision_id"]
    desk.review_release(key)
    return stored


def others(desk: Desk, key: str) -> list[dict[str, Any]]:
    return next(entry["others"] for entry in desk.review_queue()["queue"] if entry["instance_id"] == key)


def test_others_are_told_once_one_has_decided_oneself(desks: tuple[Desk, Desk]) -> None:
    ann, bob = desks
    correct(bob, "i/0")
    assert others(ann, "i/0") == [{"reviewer": "bob", "verdict": None}]
    assert ann.review_others("i/0") == {"others": []}
    skip = {"verdict": {"action": "skip", "reason": None}}
    assert ann.review_act(act_on(ann, "i/0", "skip", skip))["others"] == [
        {"reviewer": "bob", "verdict": None}
    ]
    assert ann.review_others("i/0") == {"others": []}
    answer = accept(ann, "i/0")
    assert answer["others"] == others(ann, "i/0") == [{"reviewer": "bob", "verdict": ACCEPT}]
    [told] = ann.review_others("i/0")["others"]
    assert (told["reviewer"], told["verdict"]) == ("bob", ACCEPT)
    assert set(told["points"]) == {"3", "5"}
    assert (told["points"]["3"]["x"], told["points"]["5"]) == (1.5, None)
    ann.review_act(act_on(ann, "i/0", "undo", {}, undoes=answer["decision_id"]))
    assert others(ann, "i/0") == [{"reviewer": "bob", "verdict": None}]
    assert ann.review_others("i/0") == {"others": []}
    assert others(bob, "i/1") == []


def test_points_that_others_added_are_told_apart_from_those_of_the_labels(desks: tuple[Desk, Desk]) -> None:
    ann, bob = desks
    new = {"x": 4.0, "y": 5.0, "vertex": 2, "visible": True}
    for desk, point in ((ann, new | {"x": 9.0}), (bob, new)):  # both give theirs the first free number
        desk.review_act(act_on(desk, "i/0", "add", {"points": {"12": point}}, point_id=12))
        accept(desk, "i/0")
        desk.review_release("i/0")
    [told] = ann.review_others("i/0")["others"]
    assert (told["points"], told["added"]) == ({}, [new])


def test_instances_dealt_as_gold_or_to_several_are_blind_like_all(
    world: tuple[Store, DeskSettings], desks: tuple[Desk, Desk]
) -> None:
    correct(desks[1], "i/1")
    dealt = Desk(replace(world[1], reviewer="cem", order=("i/1", "i/2"), gold=("i/1",)))
    assert others(dealt, "i/1") == [{"reviewer": "bob", "verdict": None}]
    assert dealt.review_others("i/1") == {"others": []}
    dealt.close()


def test_only_what_changed_is_sent_again(desks: tuple[Desk, Desk]) -> None:
    ann, bob = desks
    serial = ann.review_open(1)["serial"]
    assert ann.review_queue(serial)["queue"] == []
    stored = correct(bob, "i/2")
    changed = ann.review_queue(serial)
    assert [(entry["instance_id"], len(entry["others"])) for entry in changed["queue"]] == [("i/2", 1)]
    assert ann.review_queue(changed["serial"])["queue"] == []
    bob.review_act(act_on(bob, "i/2", "undo", {}, undoes=stored))
    [entry] = ann.review_queue(changed["serial"])["queue"]
    assert (entry["others"], entry["leased_by"]) == ([], "bob")
    bob.review_release("i/2")
    accept(ann, "i/4")
    later = ann.review_queue(changed["serial"])["queue"]
    assert {entry["instance_id"]: entry["leased_by"] for entry in later} == {"i/2": None, "i/4": "ann"}


def test_decisions_of_another_machine_are_seen_once_they_are_in_the_table(
    world: tuple[Store, DeskSettings], desks: tuple[Desk, Desk]
) -> None:
    ann = desks[0]
    serial = ann.review_open(1)["serial"]
    cem = Desk(replace(world[1], reviewer="cem"))
    correct(cem, "i/3")
    cem.close()  # compacts
    for file in journal_path(world[0], "cem").parent.glob("cem.sqlite*"):
        file.unlink()
    assert [entry["instance_id"] for entry in ann.review_queue(serial)["queue"]] == ["i/3"]
    accept(ann, "i/3")
    assert set(ann.review_others("i/3")["others"][0]["points"]) == {"3", "5"}


def test_decisions_on_other_labels_are_left_out(
    world: tuple[Store, DeskSettings], desks: tuple[Desk, Desk]
) -> None:
    correct(desks[1], "i/0")
    anew = put_labels(world[0], make_labels(5, 12, "zero_shot", "zero-2"), "zero-2")
    desk = Desk(replace(world[1], labels=anew))
    accept(desk, "i/0")
    assert others(desk, "i/0") == []
    assert desk.review_others("i/0") == {"others": []}
    desk.close()


def test_the_table_is_read_whole_only_once_and_not_at_every_call(
    world: tuple[Store, DeskSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    read, asked = desk_others.read_decision_table, []
    monkeypatch.setattr(
        desk_others,
        "read_decision_table",
        lambda *a, since, **k: (asked.append(since), read(*a, since=since, **k))[1],
    )
    desk = Desk(world[1])
    for _ in range(3):
        desk.review_queue()
    assert asked == [None]
    desk._others._next = 0.0  # a while later
    desk.review_queue()
    assert asked[1] is not None
    desk.close()


def test_a_table_that_cannot_be_read_stops_nobody(
    desks: tuple[Desk, Desk], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ann, bob = desks
    correct(bob, "i/0")

    def fail(*_: object, **__: object) -> None:
        raise ArtifactError("a table", "none", "Wait.")

    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        patch.setattr(desk_others, "read_decision_table", fail)
        assert len(ann.review_queue()["queue"]) == 5
    assert "other reviewers' decisions could not be read" in caplog.text
    assert others(ann, "i/0") == [{"reviewer": "bob", "verdict": None}]
