"""The table of decisions: each act exactly once, whoever compacts, whenever they are killed."""

import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from densecorr.errors import AnnotationError, ArtifactError, SettingsError
from densecorr.records import Decision
from densecorr.review.acts import ACTIONS
from densecorr.review.state import effective
from storage import decisions as module
from storage import delta
from storage.artifacts import Store
from storage.decision_rows import decisions_to_table, table_to_decisions
from storage.decisions import (
    CompactReport,
    append_decisions,
    compact,
    decisions_place,
    read_decision_table,
    read_decisions,
)
from storage.filesystem import open_place
from storage.journal import Journal, journal_path
from storage.journal_errors import JournalError
from storage.schemas import DECISIONS
from tests.storage.damaged_journals import DAMAGES
from tests.storage.decision_processes import make_decision, start


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "a störe")


def fill(store: Store, reviewer: str, n_acts: int) -> list[Decision]:
    acts = [make_decision(number, reviewer) for number in range(n_acts)]
    with Journal(journal_path(store, reviewer)) as journal:
        for act in acts:
            journal.append(act)
    return acts


def rows_of(store: Store) -> list[Decision]:
    """What the table itself holds."""
    return table_to_decisions(delta.read_rows(store.place, None).sort_by("decision_id"))


def is_pending(store: Store, reviewer: str) -> list[Decision]:
    with Journal(journal_path(store, reviewer)) as journal:
        return journal.pending()


def test_acts_are_seen_before_and_after_compaction_and_moved_once(store: Store) -> None:
    assert read_decisions(store) == []
    assert compact(store) == CompactReport(0, 0, 0)
    acts = fill(store, "ann", 20)
    assert read_decisions(store) == acts
    assert rows_of(store) == []
    assert compact(store) == CompactReport(1, 20, 20)
    assert compact(store) == CompactReport(1, 0, 0)
    assert rows_of(store) == read_decisions(store) == acts
    more = fill(store, "ann", 5)
    assert read_decisions(store) == acts + more
    assert compact(store, [journal_path(store, "ann")]) == CompactReport(1, 5, 5)
    assert rows_of(store) == acts + more


def test_what_two_reviewers_say_of_one_instance_is_kept(store: Store) -> None:
    ann, bob = fill(store, "ann", 7), fill(store, "bob", 7)
    assert compact(store) == CompactReport(2, 14, 14)
    assert read_decisions(store, instance_ids=["coco/3"]) == [ann[3], bob[3]]
    assert read_decisions(store, reviewer="bob") == bob


def test_rows_are_selected_in_the_table_and_in_the_journals(store: Store) -> None:
    start_time = datetime(2026, 1, 1, tzinfo=UTC)
    acts = [
        make_decision(
            number,
            dataset_id=f"set-{number % 2}",
            instance_id=f"coco/{number % 3}",
            time=start_time + timedelta(seconds=number),
        )
        for number in range(12)
    ]
    append_decisions(store, acts[:6])
    with Journal(journal_path(store, "ann")) as journal:
        for act in acts[4:]:  # two of them wait although the table holds them
            journal.append(act)
    assert read_decisions(store, "set-1") == acts[1::2]
    assert read_decisions(store, instance_ids=["coco/0", "coco/2"]) == [
        a for a in acts if a.instance_id != "coco/1"
    ]
    assert read_decisions(store, instance_ids=[]) == []
    assert read_decisions(store, reviewer="bob") == []
    assert read_decisions(store, since=acts[5].time) == acts[5:]
    assert read_decisions(store, "set-0", ["coco/0"], "ann", acts[1].time) == [acts[6]]
    table = read_decision_table(store)
    assert table.schema.equals(DECISIONS, check_metadata=True)
    assert len(table) == 12
    with pytest.raises(SettingsError, match="time zone"):
        read_decisions(store, since=datetime(2026, 1, 1))


def test_undos_stay_rows_of_their_own(store: Store) -> None:
    acts = fill(store, "ann", 3)
    undo = make_decision(1, action="undo", undoes=acts[1].decision_id)
    with Journal(journal_path(store, "ann")) as journal:
        journal.append(undo)
    compact(store)
    assert read_decisions(store) == [*acts, undo]
    assert effective(read_decisions(store)) == [acts[0], acts[2]]


def test_an_import_is_idempotent_and_in_batches(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH", 10)
    acts = [make_decision(number) for number in range(35)]
    assert append_decisions(store, iter(acts[:15])) == 15
    assert append_decisions(store, [*acts, acts[-1]]) == 20
    assert append_decisions(store, acts) == 0
    assert rows_of(store) == acts
    with Journal(journal_path(store, "ann")) as journal:
        for act in acts:
            journal.append(act)
        fresh = make_decision(99)
        journal.append(fresh)
    assert compact(store) == CompactReport(1, 36, 1)
    assert rows_of(store) == [*acts, fresh]


def test_an_id_is_never_given_another_content(store: Store) -> None:
    act = make_decision(1)
    other = make_decision(2, decision_id=act.decision_id)
    with pytest.raises(AnnotationError, match="The first one stays"):
        append_decisions(store, [act, other])
    append_decisions(store, [act])
    with pytest.raises(AnnotationError, match=f"one decision with the id {act.decision_id}"):
        append_decisions(store, [other, fresh := make_decision(3)])
    with Journal(journal_path(store, "ann")) as journal:
        journal.append(other)
    report = compact(store)
    assert report.n_added == 0
    assert len(report.problems) == 1
    assert act.decision_id in report.problems[0]
    assert is_pending(store, "ann") == [other]
    assert rows_of(store) == [act, fresh]


def test_a_damaged_journal_keeps_no_other_from_being_compacted(store: Store) -> None:
    bob = fill(store, "bob", 3)
    journal_path(store, "ann").write_bytes(b"x" * 5000)
    report = compact(store)
    assert (report.n_journals, report.n_added) == (2, 3)
    assert "ann.sqlite" in report.problems[0]
    assert rows_of(store) == bob
    with pytest.raises(JournalError, match="review recover ann"):  # reading must not miss an act silently
        read_decisions(store)
    assert read_decisions(store, reviewer="bob") == bob  # which is not in ann's journal


@pytest.mark.parametrize("damage", DAMAGES)
def test_reading_goes_on_without_a_damaged_journal_and_says_so(
    store: Store, caplog: pytest.LogCaptureFixture, damage: Callable[[Path], None]
) -> None:
    ann = fill(store, "ann", 5)
    compact(store)
    late, bob = fill(store, "ann", 75), fill(store, "bob", 3)
    path = journal_path(store, "ann")
    damage(path)
    content = path.read_bytes()
    with pytest.raises(JournalError):
        read_decisions(store)
    left_out: list[str] = []
    found = read_decisions(store, unreadable=left_out)
    assert found == [*ann, *bob]
    assert not {act.decision_id for act in found} & {act.decision_id for act in late}
    [sentence] = left_out
    assert re.search(
        r"journal .*ann\.sqlite, .*the acts of ann in the table \(5\) count, .*review recover ann", sentence
    )
    assert sentence in caplog.messages
    assert path.read_bytes() == content
    assert read_decisions(store, instance_ids=["coco/1"], unreadable=left_out) == [
        act for act in found if act.instance_id == "coco/1"
    ]
    assert f"table ({sum(act.instance_id == 'coco/1' for act in ann)}) count" in left_out[1]


def test_a_journal_that_cannot_be_opened_is_left_out_with_another_remedy(store: Store) -> None:
    bob = fill(store, "bob", 2)
    journal_path(store, "ann").mkdir()
    left_out: list[str] = []
    assert read_decisions(store, unreadable=left_out) == bob
    assert "Correct the path or the permissions" in left_out[0]
    assert "recover" not in left_out[0]


def test_many_small_commits_become_few_files(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delta, "_MANY_FILES", 5)
    acts = [act for _ in range(12) for act in [make_decision(1)] if append_decisions(store, [act])]
    assert len(DeltaTable(decisions_place(store)).file_uris()) < 5
    assert rows_of(store) == acts
    assert append_decisions(store, acts) == 0


def test_the_table_refuses_to_lose_rows(store: Store) -> None:
    append_decisions(store, [make_decision(1)])
    with pytest.raises(Exception, match="append-only"):
        DeltaTable(decisions_place(store)).delete()


def test_long_and_unusual_ids_are_found_again(store: Store) -> None:
    ids = ["é" * 100 + "1", "z" * 150 + "5", "\U0001f600" * 80, "\U0010ffff" * 80 + "a", "'", "a/b c%20"]
    for key in ids:
        assert append_decisions(store, [make_decision(1, decision_id=key)]) == 1
    acts = rows_of(store)
    for act in acts:
        assert append_decisions(store, [act]) == 0
    assert {act.decision_id for act in acts} == set(ids)


def test_a_writer_that_was_overtaken_looks_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two machines: the lock file of one does not hold the other, so Delta has to notice."""
    acts = [make_decision(number) for number in range(4)]
    append_decisions(store, acts[:1])
    plain, overtaken = delta._known, []

    def known(*arguments: Any) -> pa.Table:
        found = plain(*arguments)
        if len(overtaken) < 2:
            overtaken.append(len(found))
            table = DeltaTable(decisions_place(store))
            with monkeypatch.context() as patch:
                patch.setattr(delta, "_known", plain)
                patch.setattr(delta, "_locked", lambda place: delta._explained(place))
                append_decisions(store, acts[1 : 1 + len(overtaken)])
            assert DeltaTable(decisions_place(store)).version() == table.version() + 1
        return found

    monkeypatch.setattr(delta, "_known", known)
    assert append_decisions(store, acts) == 1
    assert overtaken == [1, 2]
    assert rows_of(store) == acts


def test_two_machines_make_the_table_at_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    acts = [make_decision(number) for number in range(2)]
    plain = delta._create

    def create(place: Any) -> DeltaTable:
        monkeypatch.setattr(delta, "_create", plain)
        with monkeypatch.context() as patch:
            patch.setattr(delta, "_locked", lambda place: delta._explained(place))
            append_decisions(store, acts[:1])
        return plain(place)

    monkeypatch.setattr(delta, "_create", create)
    assert append_decisions(store, acts) == 1
    assert rows_of(store) == acts


def test_a_writer_that_is_always_overtaken_gives_up(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise delta.CommitFailedError("too late")

    monkeypatch.setattr(delta, "write_deltalake", fail)
    monkeypatch.setattr(delta, "_ATTEMPTS", 3)
    with pytest.raises(ArtifactError, match=r"3 times 'too late'.*try again later"):
        append_decisions(store, [make_decision(1)])


def test_a_full_disk_is_explained_and_nothing_is_marked(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    acts = fill(store, "ann", 3)

    def fail(*_: object, **__: object) -> None:
        raise delta.CommitFailedError("No space left on device (os error 28)")

    with monkeypatch.context() as patch:
        patch.setattr(delta, "write_deltalake", fail)
        with pytest.raises(ArtifactError, match=r"room in .* to write decisions"):
            compact(store)
    assert is_pending(store, "ann") == read_decisions(store) == acts
    assert compact(store).n_added == 3


@pytest.mark.parametrize("moment", ["die-committed", "die-unmarked"])
def test_a_compactor_killed_after_its_commit_adds_nothing_twice(store: Store, moment: str) -> None:
    acts = fill(store, "ann", 50)
    process = start(moment, Path(store.place.root))
    process.communicate(timeout=60)
    assert process.returncode == -9
    assert is_pending(store, "ann") == rows_of(store) == acts
    assert read_decisions(store) == acts
    assert compact(store) == CompactReport(1, 50, 0)
    assert rows_of(store) == acts
    assert is_pending(store, "ann") == []


def test_compactors_at_once_while_acts_arrive_and_annotators_are_killed(store: Store) -> None:
    folder = Path(store.place.root)
    fill(store, "zoe", 300)
    annotators = [start("append", folder, name) for name in ("ann", "bob")]
    printed: set[str] = set()
    for process in annotators:
        printed |= {process.stdout.readline().strip() for _ in range(30)}
    compactors = [start("compact", folder, f"c{index}", n_ready=2) for index in range(2)]
    reports = [process.communicate(timeout=60) for process in compactors]
    assert [process.returncode for process in compactors] == [0, 0], reports
    for process in annotators:
        process.kill()
        printed |= set(process.stdout.read().split("\n")[:-1])  # communicate() would lose what was buffered
        process.wait()
    n_last = compact(store).n_added
    ids = [act.decision_id for act in rows_of(store)]
    assert sum(int(out) for out, _ in reports) + n_last == len(ids)
    assert len(ids) == len(set(ids))
    assert printed <= set(ids)
    assert len(set(ids) - printed) <= 300 + 2  # zoe's, and an act in flight for each who was killed


def test_another_table_in_the_place_is_refused(store: Store) -> None:
    write_deltalake(decisions_place(store), pa.table({"a": [1]}))
    for call in (lambda: read_decisions(store), lambda: append_decisions(store, [make_decision(1)])):
        with pytest.raises(ArtifactError, match=r"version 2 of the table decisions .*without that mark"):
            call()


@pytest.mark.parametrize(
    ("schema", "version", "message"),
    [
        (DECISIONS, "9", r"version 2 of the table .*received decisions, version 9"),
        (DECISIONS.remove(4), "2", r"the columns decision_id, .*others \(.*template_id"),
        (DECISIONS.append(pa.field("mood", pa.string())), "2", r"others \(.*mood: string"),
    ],
)
def test_other_columns_or_another_version_are_refused(
    store: Store, schema: pa.Schema, version: str, message: str
) -> None:
    marks = {"densecorr.table": "decisions", "densecorr.version": version}
    DeltaTable.create(decisions_place(store), schema, configuration=marks, raise_if_key_not_exists=False)
    with pytest.raises(ArtifactError, match=message):
        read_decisions(store)


@pytest.mark.parametrize(
    ("what", "content"), [("_delta_log/*1.json", b"x" * 100), ("*.parquet", b""), ("*.parquet", None)]
)
def test_a_commit_that_a_power_cut_damaged_can_be_taken_back(
    store: Store, what: str, content: bytes | None
) -> None:
    acts = fill(store, "ann", 50)
    start("die-committed", Path(store.place.root)).communicate(timeout=60)  # before anything was flushed
    [path] = Path(decisions_place(store)).glob(what)
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(ArtifactError, match="delete the newest file of _delta_log"):
        read_decisions(store)
    Path(decisions_place(store), "_delta_log", f"{1:020d}.json").unlink()
    assert read_decisions(store) == acts
    assert compact(store).n_added == 50
    assert rows_of(store) == acts


def test_a_commit_that_a_power_cut_emptied_is_made_again(store: Store) -> None:
    acts = fill(store, "ann", 50)
    start("die-committed", Path(store.place.root)).communicate(timeout=60)
    Path(decisions_place(store), "_delta_log", f"{1:020d}.json").write_bytes(b"")
    assert read_decisions(store) == acts
    assert compact(store).n_added == 50
    assert rows_of(store) == acts


@pytest.mark.parametrize(
    ("uri", "address", "options"),
    [
        ("s3://bucket/a/b/?region=r", "s3://bucket/a/b/review/decisions", {"AWS_REGION": "r"}),
        (
            "s3://key:se%2Fcret@bucket/a?region=eu-west-1&endpoint_override=host:9000&scheme=http",
            "s3://bucket/a/review/decisions",
            {
                "AWS_REGION": "eu-west-1",
                "AWS_ENDPOINT_URL": "http://host:9000",
                "AWS_ALLOW_HTTP": "true",
                "AWS_ACCESS_KEY_ID": "key",
                "AWS_SECRET_ACCESS_KEY": "se/cret",
            },
        ),
    ],
)
def test_an_s3_store_is_reached_by_its_own_address(uri: str, address: str, options: dict) -> None:
    pytest.importorskip("pyarrow._s3fs")
    place = open_place(uri)
    assert delta.table_address(place) == (address, options)


def test_places_that_delta_does_not_know_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="without '%'"):
        decisions_place(Store(tmp_path / "a%20b"))
    pytest.importorskip("fsspec")
    with pytest.raises(ArtifactError, match="local folder or under s3"):
        decisions_place(Store("fsspec+memory://x/store"))


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
VALUES = st.none() | st.booleans() | st.integers(-(2**80), 2**80) | TEXTS
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
PATCHES = st.dictionaries(
    TEXTS,
    st.recursive(VALUES | NUMBERS, lambda s: st.lists(s, max_size=3) | st.dictionaries(TEXTS, s)),
    max_size=3,
)
ZONES = st.timezones() | st.just(UTC)


REPEATED = datetime(1992, 10, 25, 1, tzinfo=ZoneInfo("America/Adak"))  # the clock was put back an hour


def in_utc(acts: Sequence[Decision]) -> list[Decision]:
    """The acts with their times in UTC: Python holds an hour that a clock repeats unequal to itself elsewhere."""
    return [replace(act, time=act.time.astimezone(UTC)) for act in acts]


DECISION = st.builds(
    Decision,
    decision_id=TEXTS.filter(bool),
    dataset_id=TEXTS,
    instance_id=TEXTS,
    label_id=TEXTS,
    template_id=TEXTS,
    producer=TEXTS,
    action=st.sampled_from(ACTIONS),
    reviewer=TEXTS,
    time=st.datetimes(datetime(1950, 1, 1), datetime(2200, 1, 1), timezones=ZONES, allow_imaginary=False),
    seconds=st.floats(0, 1e300),
    point_id=st.none() | st.integers(-(2**31), 2**31 - 1),
    undoes=st.none() | TEXTS,
    before=PATCHES,
    after=PATCHES,
    reason=st.none() | TEXTS,
)


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(DECISION, max_size=4, unique_by=lambda act: act.decision_id))
@example([replace(make_decision(fold, "ann"), time=REPEATED.replace(fold=fold)) for fold in (0, 1)])
def test_rows_and_journals_return_what_they_were_given(tmp_path: Path, acts: list[Decision]) -> None:
    written, acts = acts, in_utc(acts)
    assert table_to_decisions(decisions_to_table(written)) == acts
    with Journal(tmp_path / f"{secrets.token_hex(8)}.sqlite") as journal:
        for act in written:
            journal.append(act)
        ordered = sorted(acts, key=lambda act: act.decision_id.encode())
        assert journal.decisions() == journal.pending() == ordered


@settings(deadline=None, max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(DECISION, min_size=1, max_size=4, unique_by=lambda act: act.decision_id))
def test_the_table_returns_what_it_was_given(tmp_path_factory: Any, acts: list[Decision]) -> None:
    store = Store(tmp_path_factory.mktemp("store"))
    assert append_decisions(store, acts) == len(acts)
    assert append_decisions(store, acts) == 0
    assert read_decisions(store) == sorted(in_utc(acts), key=lambda act: act.decision_id.encode())
