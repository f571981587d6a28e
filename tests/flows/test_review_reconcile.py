"""Of what a reviewer said of an instance on several earlier label sets only the last is carried over."""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from annotation_ui.desk_record import DeskRecord
from densecorr.records import Decision, LabelRecord
from densecorr.review.acts import new_decision_id
from densecorr.review.carried import repeated_ids, time_spent
from densecorr.review.reviewers import reviews_of
from flows.collect import summarise
from flows.correct import STAGE, Correct
from flows.review_carry import find_outdated
from flows.review_export import ReviewExport
from flows.review_reconcile import ReviewReconcile
from flows.review_recover import ReviewRecover
from flows.review_status import status_rows
from flows.session import Session
from flows.stage import run_stage
from storage.artifacts import Recipe, Store
from storage.datasets import read_labels
from storage.decision_rows import decisions_to_table
from storage.decisions import append_decisions, read_decisions
from storage.journal import Journal, journal_path
from storage.journal_errors import DamagedJournalError
from storage.tables import write_table
from tests.annotation_ui.review_world import make_labels, put_dataset, put_labels, put_template


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("DENSECORR_STATE", str(tmp_path / "state"))
    return Store(tmp_path / "store")


@pytest.fixture
def dataset(store: Store) -> str:
    return put_dataset(store, 2, labels=make_labels(2, 6, "human", "people"))


def put(store: Store, name: str, shift: float = 0.0) -> str:
    """A label artifact on the instances i/0 and i/1."""
    return put_labels(store, make_labels(2, 6, "zero_shot", name, shift=shift), name)


def judge(
    store: Store,
    dataset: str,
    labels: str,
    action: str,
    reviewer: str = "ann",
    undoes: str | None = None,
    seconds: float = 30.0,
    key: str = "i/0",
    vertex: int | None = None,
) -> Decision:
    """A reviewer's verdict on an instance; with a vertex, after moving point 0 there."""
    label = read_labels(store.path(labels))[key]
    after = {"verdict": {"action": action, "reason": None}} if undoes is None else {}
    if vertex is not None:
        point = {"x": float(label.x[0]) + 0.1, "y": float(label.y[0]), "vertex": vertex, "visible": True}
        after |= {"points": {"0": point}}
    act = Decision(
        new_decision_id(),
        dataset,
        key,
        label.label_id,
        label.template_id,
        label.producer,
        action,
        reviewer,
        datetime.now(UTC),
        seconds,
        after=after,
        undoes=undoes,
    )
    append_decisions(store, [act])
    return act


def outcomes(store: Store, dataset: str, labels: str | None) -> dict[tuple[str, str], tuple[str, str]]:
    """Outcome and reason by data set and label set of the old acts."""
    return {
        (one.acts[0].dataset_id, one.acts[0].label_id): (one.outcome, one.reason)
        for one in find_outdated(store, dataset, labels)
    }


def apply(store: Store, dataset: str, labels: str | None) -> None:
    ReviewReconcile(dataset, labels, apply=True)(Session(store.place.uri))


def verdicts(store: Store, label: LabelRecord, dataset: str) -> dict[str, str]:
    found = reviews_of(label, read_decisions(store, dataset))
    return {one.reviewer: one.state.verdict["action"] for one in found if one.state.verdict}


LATER = ("lost", "judged again on later labels")
HOLDS = ("holds", "the same points")


def test_only_the_label_set_that_a_reviewer_judged_last_is_carried_over(store: Store, dataset: str) -> None:
    first, second, now = put(store, "first"), put(store, "second"), put(store, "now")
    judge(store, dataset, second, "accept", "bob")
    judge(store, dataset, first, "accept", "ann")
    judge(store, dataset, second, "reject", "ann")
    judge(store, dataset, first, "unsure", "bob")  # ann's last is on the second, bob's on the first
    found = {
        (one.reviewer, one.acts[0].label_id): (one.outcome, one.reason)
        for one in find_outdated(store, dataset, now)
    }
    assert found == {
        ("ann", "first/0"): LATER,
        ("ann", "second/0"): HOLDS,
        ("bob", "first/0"): HOLDS,
        ("bob", "second/0"): LATER,
    }
    apply(store, dataset, now)
    apply(store, dataset, now)
    label = read_labels(store.path(now))["i/0"]
    assert verdicts(store, label, dataset) == {"ann": "reject", "bob": "unsure"}
    assert len(read_decisions(store)) == 6


def test_an_earlier_judgement_does_not_stand_in_for_a_later_one_that_is_lost(
    store: Store, dataset: str
) -> None:
    first, other, now = put(store, "first"), put(store, "other", shift=1.0), put(store, "now")
    judge(store, dataset, first, "accept")
    judge(store, dataset, other, "reject")
    found = outcomes(store, dataset, now)
    assert found[dataset, "first/0"] == LATER
    assert found[dataset, "other/0"] == ("lost", "6 of 6 points are others now")


def test_a_later_judgement_that_was_undone_is_none(store: Store, dataset: str) -> None:
    first, second, now = put(store, "first"), put(store, "second"), put(store, "now")
    judge(store, dataset, first, "accept")
    act = judge(store, dataset, second, "reject")
    judge(store, dataset, second, "undo", undoes=act.decision_id)
    found = {(len(one.acts), one.outcome, one.reason) for one in find_outdated(store, dataset, now)}
    assert found == {(1, *HOLDS), (0, "lost", "every act was undone")}


@pytest.mark.parametrize("order", [(2, 3), (3, 2)])
def test_of_two_old_data_sets_with_the_same_label_ids_the_last_judged_counts(
    store: Store, order: tuple[int, int]
) -> None:
    sets = {
        version: put_dataset(store, 2, version, make_labels(2, 6, "human", "people")) for version in (2, 3, 4)
    }
    earlier, later, now = sets[order[0]], sets[order[1]], sets[4]
    judge(store, earlier, earlier, "accept")
    judge(store, later, later, "reject")
    assert outcomes(store, now, None) == {(earlier, "people/0"): LATER, (later, "people/0"): HOLDS}
    apply(store, now, None)
    [carried] = read_decisions(store, now)
    assert (carried.action, carried.seconds) == ("reject", 30.0)
    assert set(outcomes(store, now, None).values()) == {LATER, ("carried", "carried over before")}


def test_what_was_carried_over_is_carried_on(store: Store, dataset: str) -> None:
    first, second, third = put(store, "first"), put(store, "second"), put(store, "third")
    made = judge(store, dataset, first, "accept")
    apply(store, dataset, second)
    assert outcomes(store, dataset, third) == {
        (dataset, "first/0"): ("carried", "carried over to later labels"),
        (dataset, "second/0"): HOLDS,
    }
    apply(store, dataset, third)
    assert set(outcomes(store, dataset, third).values()) == {("carried", "carried over before")}
    *_, last = acts = read_decisions(store, dataset)
    assert len(acts) == 3
    assert repeated_ids(last) == [acts[1].decision_id, made.decision_id]
    assert (last.label_id, time_spent(acts)) == ("third/0", 30.0)


def test_the_time_of_a_carried_act_counts_once_in_every_report(
    store: Store, dataset: str, capsys: pytest.CaptureFixture[str]
) -> None:
    put_template(store)
    first, second = put(store, "first"), put(store, "second")
    judge(store, dataset, first, "accept")
    apply(store, dataset, second)
    again = put_dataset(store, 2, version=2)
    third = put(store, "third")
    apply(store, again, third)
    for name in (dataset, again):  # status and the panel count a data set, all its label sets
        [row] = status_rows(store, name, None)
        assert (row["done"], row["minutes"], row["per hour"]) == (1, 0.5, 120.0)
        record = DeskRecord(store, name, "ann")
        assert (record.seconds, record.seconds_on("i/0")) == (30.0, 30.0)
        record.close()
    for name, labels in ((dataset, first), (dataset, second), (again, third)):  # export counts a label set
        ReviewExport(name, labels)(Session(store.place.uri, "never"))
        folder = store.path(capsys.readouterr().out.strip().splitlines()[-1])
        assert json.loads((folder / "review.json").read_text())["minutes"] == 0.5
    assert summarise(read_decisions(store))["minutes"] == 0.5  # even over all data sets


SKIP = ("lost", "a skip, which decides nothing")


def test_a_skip_on_later_labels_leaves_the_earlier_judgement_the_last(store: Store, dataset: str) -> None:
    first, second, now = put(store, "first"), put(store, "second"), put(store, "now")
    judge(store, dataset, first, "accept")
    judge(store, dataset, second, "skip")
    assert outcomes(store, dataset, now) == {(dataset, "first/0"): HOLDS, (dataset, "second/0"): SKIP}
    judge(store, dataset, now, "skip")
    assert outcomes(store, dataset, now)[dataset, "first/0"] == HOLDS
    apply(store, dataset, now)
    assert verdicts(store, read_labels(store.path(now))["i/0"], dataset) == {"ann": "accept"}
    judge(store, dataset, second, "reject")
    assert outcomes(store, dataset, put(store, "later"))[dataset, "second/0"] == HOLDS


def test_who_skipped_alone_has_skipped_the_new_labels_too(store: Store, dataset: str) -> None:
    first, now = put(store, "first"), put(store, "now")
    judge(store, dataset, first, "skip")
    assert outcomes(store, dataset, now) == {(dataset, "first/0"): HOLDS}


IN = ("included", "already in these labels")
IN_BY_LEAVING_OUT = ("included", "already in these labels, which leave the instance out")


def export(store: Store, dataset: str, labels: str, capsys: pytest.CaptureFixture[str]) -> str:
    """The labels that `review export` makes of what was decided."""
    capsys.readouterr()
    ReviewExport(dataset, labels)(Session(store.place.uri, "never"))
    return capsys.readouterr().out.strip()


def test_what_labels_were_corrected_by_is_in_them(
    store: Store, dataset: str, capsys: pytest.CaptureFixture[str]
) -> None:
    put_template(store)
    earlier, first = put(store, "earlier"), put(store, "first")
    judge(store, dataset, earlier, "accept")
    judge(store, dataset, first, "accept", vertex=7)
    judge(store, dataset, first, "reject", key="i/1")
    corrected = export(store, dataset, first, capsys)
    assert read_labels(store.path(corrected))["i/0"].vertex[0] == 7
    ReviewReconcile(dataset, corrected, apply=True)(Session(store.place.uri))
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [
        "ann\ti/0\t1 acts\tlost: judged again on later labels",
        "ann\ti/0\t1 acts\tincluded: already in these labels",
        "ann\ti/1\t1 acts\tincluded: already in these labels, which leave the instance out",
    ]
    assert "3 reviewed label sets changed: 0 can be carried over, 0 were, 2 are in these" in printed.err
    assert len(read_decisions(store)) == 3  # nothing was carried over

    judge(store, dataset, corrected, "accept", vertex=8)  # the second round
    again = export(store, dataset, corrected, capsys)
    found = {
        (one.acts[0].label_id): (one.outcome, one.reason) for one in find_outdated(store, dataset, again)
    }
    assert found == {
        "earlier/0": LATER,
        "first/0": IN,
        "first/1": IN_BY_LEAVING_OUT,
        f"{corrected}/first/0": IN,
    }


def test_what_was_decided_after_labels_were_corrected_is_not_in_them(
    store: Store, dataset: str, capsys: pytest.CaptureFixture[str]
) -> None:
    put_template(store)
    first = put(store, "first")
    judge(store, dataset, first, "accept", vertex=7)
    corrected = export(store, dataset, first, capsys)
    judge(store, dataset, first, "accept", vertex=8)
    judge(store, dataset, first, "reject", reviewer="bob")
    found = {one.reviewer: one.reason for one in find_outdated(store, dataset, corrected)}
    assert found["ann"].startswith("1 of 2 acts were not there when these labels were made")
    assert found["bob"].startswith("1 of 1 acts were not there")
    corrected = export(store, dataset, first, capsys)
    assert {one.outcome for one in find_outdated(store, dataset, corrected)} == {"included"}


def test_where_the_file_of_the_decisions_is_gone_the_labels_themselves_tell(
    store: Store, dataset: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put_template(store)
    first = put(store, "first")
    judge(store, dataset, first, "accept", vertex=7)
    judge(store, dataset, first, "not_visible", key="i/1")
    corrected = export(store, dataset, first, capsys)
    shutil.rmtree(tmp_path / "state" / "review" / "snapshots")
    assert outcomes(store, dataset, corrected) == {
        (dataset, "first/0"): IN,
        (dataset, "first/1"): IN_BY_LEAVING_OUT,
    }
    judge(store, dataset, first, "accept", vertex=8)
    assert outcomes(store, dataset, corrected)[dataset, "first/0"] == ("lost", "1 of 6 points are others now")


def test_decisions_of_a_round_are_in_the_labels_made_of_it(store: Store, dataset: str) -> None:
    template, first = put_template(store), put(store, "first")
    acts = [
        judge(store, dataset, first, "accept", vertex=7),
        judge(store, dataset, first, "reject", key="i/1"),
    ]
    judge(store, dataset, first, "accept", reviewer="bob", vertex=9)  # after the round
    round_1 = store.ensure(
        Recipe("collect", 2, {}, {}),
        lambda out: write_table(out / "decisions.parquet", "decisions", decisions_to_table(acts)),
    )
    command = Correct(first, template, f"{round_1}/decisions.parquet")
    corrected = run_stage(STAGE, command, store, lambda *_: None)
    found = [(one.reviewer, one.outcome) for one in find_outdated(store, dataset, corrected)]
    assert found == [("ann", "included"), ("ann", "included"), ("bob", "lost")]


def test_carrying_over_waits_for_a_journal_that_may_hold_later_acts(
    store: Store, dataset: str, capsys: pytest.CaptureFixture[str]
) -> None:
    first, now = put(store, "first"), put(store, "now")
    judge(store, dataset, first, "accept")
    judge(store, dataset, first, "accept", "bob")
    Journal(journal_path(store, "ann")).close()
    journal_path(store, "ann").write_bytes(b"")
    ReviewReconcile(dataset, now)(Session(store.place.uri))
    printed = capsys.readouterr()
    assert "holds: the same points" in printed.out
    assert "review recover ann" in printed.err
    with pytest.raises(DamagedJournalError, match=r"review recover ann .*--incomplete"):
        apply(store, dataset, now)
    assert len(read_decisions(store, unreadable=[])) == 2
    ReviewReconcile(dataset, now, apply=True, incomplete=True)(Session(store.place.uri))
    said = capsys.readouterr().err
    assert "INCOMPLETE: left out the journal" in said
    assert "1 decisions carried over" in said
    assert "not carried over: those of ann" in said
    label = read_labels(store.path(now))["i/0"]
    assert [one.reviewer for one in reviews_of(label, read_decisions(store, unreadable=[]))] == ["bob"]
    ReviewRecover("ann")(Session(store.place.uri))
    apply(store, dataset, now)
    assert set(verdicts(store, label, dataset)) == {"ann", "bob"}
