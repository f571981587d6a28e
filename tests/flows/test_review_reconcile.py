"""Of what a reviewer said of an instance on several earlier label sets only the last is carried over."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from annotation_ui.desk_record import DeskRecord
from densecorr.records import Decision, LabelRecord
from densecorr.review.acts import new_decision_id
from densecorr.review.carried import repeated_ids, time_spent
from densecorr.review.reviewers import reviews_of
from flows.collect import summarise
from flows.review_carry import find_outdated
from flows.review_export import ReviewExport
from flows.review_reconcile import ReviewReconcile
from flows.review_status import status_rows
from flows.session import Session
from storage.artifacts import Store
from storage.datasets import read_labels
from storage.decisions import append_decisions, read_decisions
from storage.journal import Journal, journal_path
from storage.journal_errors import DamagedJournalError
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
) -> Decision:
    """A reviewer's verdict on i/0."""
    label = read_labels(store.path(labels))["i/0"]
    after = {"verdict": {"action": action, "reason": None}} if undoes is None else {}
    act = Decision(
        new_decision_id(),
        dataset,
        "i/0",
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


def test_carrying_over_waits_for_a_journal_that_may_hold_later_acts(
    store: Store, dataset: str, capsys: pytest.CaptureFixture[str]
) -> None:
    first, now = put(store, "first"), put(store, "now")
    judge(store, dataset, first, "accept")
    Journal(journal_path(store, "ann")).close()
    journal_path(store, "ann").write_bytes(b"")
    ReviewReconcile(dataset, now)(Session(store.place.uri))
    printed = capsys.readouterr()
    assert "holds: the same points" in printed.out
    assert "review recover ann" in printed.err
    with pytest.raises(DamagedJournalError, match="review recover ann"):
        apply(store, dataset, now)
    assert len(read_decisions(store, unreadable=[])) == 1
