"""Journals: what `append` has returned for is there, whatever happens afterwards."""

import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest

import storage
from densecorr.errors import AnnotationError, ArtifactError, SettingsError
from storage.artifacts import Store
from storage.journal import Journal, check_reviewer, journal_path, list_journals
from storage.journal_errors import JournalError
from tests.storage.decision_processes import N_ACTS, make_decision, start


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "a" / "b" / "ann.sqlite") as opened:
        yield opened


def test_acts_come_back_in_the_order_they_were_made(journal: Journal) -> None:
    acts = [make_decision(number) for number in range(30)]
    undo = make_decision(3, action="undo", undoes=acts[3].decision_id, reason='"no", \n\u2028 é')
    for act in [*acts[::-1], undo]:
        journal.append(act)
    assert journal.decisions() == [*acts, undo]
    assert journal.decisions("coco/3") == [act for act in [*acts, undo] if act.instance_id == "coco/3"]
    assert journal.decisions("coco/3", "another") == journal.decisions(dataset_id="another") == []
    assert len(journal.decisions(dataset_id="d" * 20)) == 31
    with Journal(journal.path) as again:
        assert again.decisions() == [*acts, undo]


def test_an_act_that_is_sent_again_is_stored_once(journal: Journal) -> None:
    act = make_decision(1)
    berlin = replace(act, time=act.time.astimezone(timezone(timedelta(hours=2))))
    for same in (act, act, berlin):
        journal.append(same)
    assert journal.decisions() == [act]
    with pytest.raises(AnnotationError, match=r"one act with the id .*first one stays"):
        journal.append(replace(act, seconds=9.0))
    assert journal.decisions() == [act]


def test_compacted_acts_stay_but_are_no_longer_pending(journal: Journal) -> None:
    acts = [make_decision(number) for number in range(5)]
    for act in acts:
        journal.append(act)
    assert journal.pending(2) == acts[:2]
    assert journal.pending(2, after=acts[1].decision_id) == acts[2:4]
    journal.mark_compacted(act.decision_id for act in acts[:3])
    journal.append(acts[0])
    assert journal.pending() == acts[3:]
    assert journal.decisions() == acts


def test_numpy_values_become_plain_ones(journal: Journal) -> None:
    journal.append(make_decision(1, after={"regions": [np.arange(4.0)]}, before={}))
    [act] = journal.decisions()
    assert act.after == {"regions": [[0.0, 1.0, 2.0, 3.0]]}


@pytest.mark.parametrize(
    "changes",
    [
        {"action": "guess"},
        {"decision_id": ""},
        {"point_id": 2**40},
        {"seconds": float("nan")},
        {"seconds": -1.0},
        {"time": datetime(2026, 1, 1)},
        {"after": {"points": {"1": {"x": float("nan")}}}},
        {"after": {"regions": object()}},
        {"after": {"points": {1: None}}},  # would come back as "1"
        {"reason": "\ud800"},
    ],
)
def test_what_could_not_be_compacted_is_refused_at_once(journal: Journal, changes: dict) -> None:
    with pytest.raises(AnnotationError, match="decisions"):
        journal.append(make_decision(1, **changes))
    assert journal.decisions() == []


def test_each_act_is_flushed(journal: Journal) -> None:
    names = ("journal_mode", "synchronous")
    settings = [journal._connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names]
    assert settings == ["wal", 2]


@pytest.mark.skipif(shutil.which("strace") is None, reason="no strace to watch the flushes")
def test_the_system_is_told_to_flush_before_append_returns(tmp_path: Path) -> None:
    code = (
        "import os, sys; from storage.journal import Journal; "
        "from tests.storage.decision_processes import make_decision\n"
        "with Journal(sys.argv[1]) as journal:\n"
        "    for number in range(3): journal.append(make_decision(number)); os.write(1, b'stored')"
    )
    command = ["strace", "-f", "-e", "trace=fdatasync,fsync,write", sys.executable, "-c", code]
    done = subprocess.run(
        [*command, tmp_path / "a.sqlite"], cwd=Path(storage.__file__).parents[1], capture_output=True
    )
    if done.returncode != 0:
        pytest.skip("this system does not let users trace")
    parts = done.stderr.decode(errors="replace").split('"stored"')
    assert len(parts) == 4
    assert all("sync(" in part for part in parts[:3])


def test_threads_and_open_journals_share_a_file(journal: Journal) -> None:
    failures = []

    def work(name: str) -> None:
        try:
            for number in range(10):
                with Journal(journal.path) as other:  # each time the first or the last to use the file
                    other.append(make_decision(number, name))
                journal.append(make_decision(number, name))
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(f"r{index}",)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(journal.decisions()) == 80


def test_an_act_that_was_stored_survives_kill_9(tmp_path: Path) -> None:
    for _ in range(3):
        process = start("append", tmp_path)
        assert process.stdout is not None
        printed = [process.stdout.readline().strip() for _ in range(20)]
        process.kill()
        printed += process.stdout.read().split("\n")[:-1]  # communicate() would lose what was buffered
        assert process.wait() == -9
        assert 20 <= len(printed) < N_ACTS
        with Journal(journal_path(Store(tmp_path), "ann")) as journal:
            stored = {act.decision_id for act in journal.decisions()}
            assert stored >= set(printed)
            later = {key for key in stored if key > printed[-1]}
            assert len(later) <= 1  # stored, but killed before it was printed


def damage_header(path: Path) -> None:
    path.write_bytes(b"x" * 5000)


def damage_pages(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(content)


def damage_row(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE acts SET decision = '{}'")
    connection.close()


@pytest.mark.parametrize("damage", [damage_header, damage_pages, damage_row])
def test_a_damaged_journal_says_what_to_do(tmp_path: Path, damage) -> None:
    path = tmp_path / "ann.sqlite"
    with Journal(path) as journal:
        for number in range(50):
            journal.append(make_decision(number))
    damage(path)
    with pytest.raises(JournalError, match=r"undamaged journal .*ann\.sqlite.*review recover ann"):
        with Journal(path) as journal:
            journal.decisions()
    assert issubclass(JournalError, ArtifactError)


def test_a_journal_of_a_later_version_is_refused(journal: Journal) -> None:
    journal._connection.execute("PRAGMA user_version = 9")
    with pytest.raises(JournalError, match=r"version 1 .*received version 9"):
        Journal(journal.path)


def test_a_folder_that_cannot_be_made_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(JournalError, match=r"journal that can be opened .*file/a\.sqlite"):
        Journal(tmp_path / "file" / "a.sqlite")


def test_a_journal_that_is_held_is_explained(journal: Journal) -> None:
    journal._connection.execute("PRAGMA busy_timeout = 10")
    other = sqlite3.connect(journal.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(JournalError, match="Another process holds it"):
        journal.append(make_decision(1))
    with pytest.raises(JournalError, match="Another process holds it"):
        journal.mark_compacted(["x"])
    other.execute("ROLLBACK")
    other.close()
    journal.append(make_decision(2))
    assert len(journal.pending()) == 1


def test_a_full_disk_refuses_the_act_and_keeps_the_others(journal: Journal) -> None:
    act = make_decision(1)
    journal.append(act)
    [pages] = journal._connection.execute("PRAGMA page_count").fetchone()
    journal._connection.execute(f"PRAGMA max_page_count = {pages}")  # what SQLite says of a full disk
    with pytest.raises(JournalError, match=r"room on the disk .*all earlier ones are"):
        journal.append(make_decision(1, reason="x" * 100_000))
    journal._connection.execute("PRAGMA max_page_count = 1000000")
    late = make_decision(2)
    journal.append(late)
    assert {act.decision_id, late.decision_id} <= {stored.decision_id for stored in journal.decisions()}


def test_a_journal_lies_in_the_store_or_in_the_users_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "store")
    assert journal_path(store, "Ann.B-1_@x") == tmp_path / "store/review/journals/Ann.B-1_@x.sqlite"
    assert list_journals(store) == []
    Journal(journal_path(store, "ann")).close()
    assert list_journals(store) == [journal_path(store, "ann")]
    pytest.importorskip("fsspec")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    paths = [journal_path(Store(f"fsspec+memory://{name}/store"), "ann") for name in "ab"]
    assert len(set(paths)) == 2
    assert all(path.is_relative_to(tmp_path / "data" / "densecorr" / "stores") for path in paths)


@pytest.mark.parametrize("name", ["", "a/b", "a b", "ä", "x" * 65, "a\n", "a\\b", "a:b"])
def test_a_reviewers_name_is_checked(name: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="reviewer's name"):
        journal_path(Store(tmp_path), name)
    assert check_reviewer("x" * 64) == "x" * 64


def test_the_store_leaves_the_review_folder_alone(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    path = journal_path(store, "ann")
    with Journal(path) as journal:
        journal.append(make_decision(1))
        assert store.list() == store.verify() == store.gc(delete=True, min_age_s=0).items == []
        assert len(journal.decisions()) == 1
    assert path.exists()
