from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from annotation_ui.desk import Desk
from annotation_ui.desk_errors import DeskError, error_answer
from annotation_ui.desk_process import answer_of
from annotation_ui.desk_settings import DeskSettings
from annotation_ui.leases import Lease, MemoryLeases
from densecorr.errors import ArtifactError
from storage.artifacts import Store
from storage.decisions import compact, read_decisions
from storage.journal import Journal, journal_path
from tests.annotation_ui.review_world import (
    accept,
    act_on,
    make_labels,
    put_dataset,
    put_labels,
    put_template,
)


class AwayLeases(MemoryLeases):
    """A database that went away."""

    def take(self, instance_id: str, reviewer: str) -> Lease:
        raise DeskError("database", "a database", "none", "Start it.")

    def release(self, reviewer: str, instance_id: str | None = None) -> None:
        self.take("", reviewer)

    def held(self) -> dict[str, Lease]:
        raise DeskError("database", "a database", "none", "Start it.")


def test_what_another_reviewer_does_is_not_mine(world: tuple[Store, DeskSettings]) -> None:
    leases = MemoryLeases()
    ann, bob = Desk(world[1], leases), Desk(replace(world[1], reviewer="bob"), leases)
    accept(ann, "i/0")
    [entry, *_] = bob.review_queue()["queue"]
    assert (entry["verdict"], entry["leased_by"], entry["mine"]) == (None, "ann", False)
    seen = bob.review_instance("i/0", lease=True)
    assert (seen["lease"]["mine"], seen["lease"]["reviewer"]) == (False, "ann")
    with pytest.raises(DeskError, match="ann holds") as caught:
        accept(bob, "i/0")
    assert caught.value.kind == "lease"
    ann.review_release("i/0")
    assert accept(bob, "i/0")["lease"]["mine"]
    ann.close()
    bob.close()


def test_without_the_database_acts_are_stored_and_the_panel_is_told(
    world: tuple[Store, DeskSettings],
) -> None:
    desk = Desk(world[1], AwayLeases())
    answer = accept(desk, "i/0")
    assert answer["error"]["kind"] == "database"
    assert answer["lease"] == {"mine": True, "reviewer": "ann", "until": None}
    assert desk.review_release("i/0") == {}
    assert len(desk.review_queue()["queue"]) == 5
    desk.close()
    assert len(read_decisions(world[0], reviewer="ann")) == 1


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"revision": "0" * 16}, "stale"),
        ({"label_id": "zero/elsewhere"}, "stale"),
        ({"instance_id": "i/99"}, "stale"),
        ({"action": "dance"}, "input"),
        ({"after": {"points": {"0": {"x": 1.0, "y": 1.0, "vertex": 642, "visible": True}}}}, "input"),
        ({"after": {"points": {"0": {"x": float("nan"), "y": 1.0, "vertex": 1, "visible": True}}}}, "input"),
        ({"after": {"regions": [[1.0, 2.0]]}}, "input"),
        ({"after": {"points": "none"}}, "input"),
        ({"seconds": -1.0}, "input"),
        ({"action": "move"}, "input"),
    ],
)
def test_acts_that_cannot_be_stored_are_refused_with_their_kind(
    desk: Desk, world: tuple[Store, DeskSettings], change: dict[str, Any], kind: str
) -> None:
    act = act_on(desk, "i/0", "accept", {"verdict": {"action": "accept", "reason": None}}) | change
    answer = answer_of(desk, "review_act", {"act": act})
    assert answer["error"]["kind"] == kind
    assert set(answer["error"]) == {"expected", "received", "remedy", "kind"}
    with Journal(journal_path(world[0], "ann")) as journal:
        assert journal.decisions() == []


def test_a_disk_that_is_full_is_said_and_the_act_can_be_sent_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    act = act_on(desk, "i/0", "accept", {"verdict": {"action": "accept", "reason": None}})
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "append", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left")))
        assert answer_of(desk, "review_act", {"act": act})["error"]["kind"] == "storage"
    assert desk.review_queue()["progress"]["done"] == 0
    assert desk.review_act(act)["progress"]["done"] == 1


def test_a_compaction_that_fails_loses_nothing(
    world: tuple[Store, DeskSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ArtifactError("a table", "none", "Wait.")

    monkeypatch.setattr("annotation_ui.desk_record.compact", fail)
    desk = Desk(world[1])
    accept(desk, "i/0")
    desk.close()
    assert compact(world[0]).n_added == 1


def test_labels_made_anew_are_stale_for_the_old_panel(world: tuple[Store, DeskSettings]) -> None:
    store, settings = world
    old = Desk(settings)
    act = act_on(old, "i/0", "accept", {"verdict": {"action": "accept", "reason": None}})
    old.review_act(act)
    old.close()
    anew = put_labels(store, make_labels(5, 12, "zero_shot", "zero", shift=1.0), "anew")  # the same label ids
    new = Desk(replace(settings, labels=anew))
    with pytest.raises(DeskError, match="reconcile") as caught:
        new.review_act(act)
    assert caught.value.kind == "stale"
    new.close()


def test_an_act_of_an_older_page_on_labels_that_the_store_knows_is_kept(
    world: tuple[Store, DeskSettings],
) -> None:
    store, settings = world
    old = Desk(settings)
    act = act_on(old, "i/0", "reject", {"verdict": {"action": "reject", "reason": None}})
    old.close()
    anew = put_labels(store, make_labels(5, 12, "zero_shot", "zero-2"), "zero-2")
    new = Desk(replace(settings, labels=anew))
    answer = new.review_act(act)
    assert answer["error"]["kind"] == "stale"
    assert "reconcile" in answer["error"]["remedy"]
    assert (answer["verdict"], answer["progress"]["done"]) == (None, 0)  # of the labels that are shown
    undo = new.review_act(act | {"action": "undo", "after": {}, "undoes": answer["decision_id"]})
    assert undo["error"]["kind"] == "stale"
    with pytest.raises(DeskError, match="as it is now"):
        new.review_act(act | {"revision": "0" * 16})
    new.close()
    stored = read_decisions(store, dataset_id=settings.dataset)
    assert [(one.label_id, one.producer, one.action) for one in stored] == [
        ("zero/0", "zero", "reject"),
        ("zero/0", "zero", "undo"),
    ]


def test_data_replaced_while_the_app_is_open_is_said_and_the_act_is_stored(
    world: tuple[Store, DeskSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("annotation_ui.desk_news._EVERY_S", 0.0)
    store, settings = world
    desk = Desk(replace(settings, tags=("data", "zero")))
    assert "error" not in accept(desk, "i/0")
    store.tag("data", put_dataset(store, 3, version=2))
    answer = accept(desk, "i/1")
    assert (answer["error"]["kind"], answer["progress"]["done"]) == ("stale", 2)
    desk.close()
    assert len(read_decisions(store, dataset_id=settings.dataset)) == 2


def test_labels_of_another_template_are_said(world: tuple[Store, DeskSettings]) -> None:
    store, settings = world
    desk = Desk(replace(settings, template=put_template(store, "ball-v2")))
    answer = answer_of(desk, "review_instance", {"instance_id": "i/0", "lease": True})
    assert answer["error"]["kind"] == "template"
    desk.close()


def test_another_versions_panel_is_said(desk: Desk) -> None:
    assert answer_of(desk, "review_open", {"version": 2})["error"]["kind"] == "version"


def test_a_table_of_another_version_is_said(
    world: tuple[Store, DeskSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.tables.READABLE", ("99",))
    with pytest.raises(ArtifactError) as caught:
        Desk(world[1])
    assert error_answer(caught.value)["error"]["kind"] == "version"


def test_a_missing_image_is_an_answer(desk: Desk, world: tuple[Store, DeskSettings]) -> None:
    (world[0].path(world[1].dataset) / "ball.png").write_bytes(b"no image")
    answer = answer_of(desk, "review_instance", {"instance_id": "i/4", "lease": False})
    assert "ball.png" in answer["error"]["expected"] + answer["error"]["received"]


def test_a_lease_runs_out_after_a_quarter_of_an_hour(world: tuple[Store, DeskSettings]) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    leases = MemoryLeases(lambda: now)
    ann, bob = Desk(world[1], leases), Desk(replace(world[1], reviewer="bob"), leases)
    ann.review_instance("i/0", lease=True)
    now += timedelta(minutes=14)
    accept(ann, "i/0")  # renews
    now += timedelta(minutes=14)
    assert not bob.review_instance("i/0", lease=True)["lease"]["mine"]
    now += timedelta(minutes=2)
    assert accept(bob, "i/0")["lease"]["mine"]
    ann.close()
    bob.close()
