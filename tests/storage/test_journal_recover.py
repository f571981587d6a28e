"""A damaged journal is made anew of what can be read; the damaged file is kept."""

import os
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from densecorr.errors import SettingsError
from densecorr.records import Decision
from storage import journal_recover
from storage.artifacts import Store
from storage.decision_rows import decode_decision
from storage.decisions import append_decisions, compact, read_decisions
from storage.journal import Journal, journal_path
from storage.journal_errors import DamagedJournalError, JournalError
from storage.journal_file import _SCHEMA, INSERT, journal_lock, to_row, write_journal
from storage.journal_recover import recover_journal
from storage.journal_salvage import read_journal_files, salvage
from tests.storage.damaged_journals import DAMAGES, PAGE, empty, overwrite_a_page, overwrite_the_header
from tests.storage.decision_processes import make_decision, start


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def make_acts(n: int) -> list[Decision]:
    """Short acts, and every fifth one so long that it goes on in other pages."""
    points = {str(k): {"x": 1.5, "y": 2.5, "vertex": k, "visible": True} for k in range(150)}
    return [
        make_decision(number, **({"after": {"points": points}} if number % 5 == 2 else {}))
        for number in range(n)
    ]


def fill(store: Store, acts: list[Decision]) -> Path:
    path = journal_path(store, "ann")
    with Journal(path) as journal:
        for act in acts:
            journal.append(act)
    return path


@pytest.fixture
def logged(store: Store) -> tuple[Path, list[Decision]]:
    """A journal whose last acts stand in its log only, as after a kill; and its acts."""
    acts = make_acts(60)
    path = fill(store, acts[:40])
    with Journal(path) as journal:
        journal.mark_compacted([act.decision_id for act in acts[:10]])
        for act in acts[40:]:
            journal.append(act)
        files = {name: Path(f"{path}{name}").read_bytes() for name in ("", "-wal")}
    for name, content in files.items():
        Path(f"{path}{name}").write_bytes(content)
    return path, acts


def salvaged(path: Path) -> list[Decision]:
    return [decode_decision(text) for _, (*_, text) in sorted(read_journal_files(path).items())]


def test_all_of_an_undamaged_journal_and_its_log_is_read(logged: tuple[Path, list[Decision]]) -> None:
    path, acts = logged
    assert salvaged(path) == acts
    log = Path(f"{path}-wal").read_bytes()
    path.write_bytes(b"")
    assert len(salvage(b"", log)) >= 20  # without the file, what was written since
    Path(f"{path}-wal").write_bytes(log[: len(log) // 2])
    assert len(salvaged(path)) < len(salvage(b"", log))


def test_what_sqlite_itself_cannot_read_any_more_is_read(store: Store) -> None:
    acts = make_acts(60)
    path = fill(store, acts)
    content = path.read_bytes()
    with sqlite3.connect(path) as connection:
        [root] = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'acts'").fetchone()
    connection.close()
    for page in (1, root):  # the header and schema, then the table's root
        damaged = bytearray(content)
        damaged[(page - 1) * PAGE : page * PAGE] = os.urandom(PAGE)
        path.write_bytes(damaged)
        assert salvaged(path) == acts
        with pytest.raises(DamagedJournalError):
            Journal(path, check=True)


def test_garbage_is_passed_over_wherever_it_lies(store: Store) -> None:
    acts = make_acts(15)
    path = fill(store, acts)
    content, known = path.read_bytes(), {act.decision_id: act for act in acts}
    for n, at in enumerate(range(0, len(content), 3001)):
        garbage = (os.urandom(300), b"\xff" * 300, bytes(300))[n % 3]
        path.write_bytes(content[:at] + garbage + content[at + 300 :])
        found = salvaged(path)
        assert len(found) > 5
        assert {act.decision_id for act in found} <= known.keys()


def test_a_torn_page_of_the_log_costs_only_what_no_other_version_of_it_holds(
    logged: tuple[Path, list[Decision]],
) -> None:
    path, acts = logged
    content, log = path.read_bytes(), Path(f"{path}-wal").read_bytes()
    for at in range(32 + 24, len(log), PAGE + 24):
        torn = log[: at + 512] + bytes(PAGE - 512) + log[at + PAGE :]
        assert len(salvage(content, torn)) >= len(acts) - 1


def test_bytes_that_sqlite_leaves_unused_in_each_page_are_passed_over(tmp_path: Path) -> None:
    path, acts = tmp_path / "ann.sqlite", make_acts(20)
    with sqlite3.connect(path, isolation_level=None) as connection:
        connection.execute("VACUUM")  # writes a first page
    connection.close()
    page = bytearray(path.read_bytes())
    page[20], page[105:107] = 12, (PAGE - 12).to_bytes(2, "big")  # as Apple's SQLite makes files
    path.write_bytes(page)
    with sqlite3.connect(path, isolation_level=None) as connection:
        connection.executescript(_SCHEMA)
        connection.executemany(INSERT, map(to_row, acts))
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
    assert path.read_bytes()[20] == 12
    assert salvaged(path) == acts


@pytest.mark.parametrize("damage", DAMAGES)
def test_recovery_keeps_the_file_and_loses_nothing_that_can_be_read(
    store: Store, damage: Callable[[Path], None]
) -> None:
    acts = make_acts(60)
    path = fill(store, acts[:20])
    compact(store)
    fill(store, acts[20:])
    damage(path)
    content = path.read_bytes()
    readable = salvaged(path)
    with pytest.raises(DamagedJournalError, match="review recover ann"):
        Journal(path, check=True)
    assert path.read_bytes() == content
    done = recover_journal(store, "ann")
    assert done is not None
    assert (done.kept / path.name).read_bytes() == content
    with Journal(path, check=True) as journal:
        assert journal.decisions() == readable
        journal.append(late := make_decision(99))
    compact(store)
    expected = {act.decision_id: act for act in (*acts[:20], *readable, late)}
    assert read_decisions(store) == [act for _, act in sorted(expected.items())]
    assert recover_journal(store, "ann") is None


def test_only_what_a_page_held_is_lost_with_it(store: Store) -> None:
    acts = [make_decision(number) for number in range(100)]
    path = fill(store, acts)
    overwrite_a_page(path)
    assert 90 <= len(salvaged(path)) < 100


def test_the_log_of_an_emptied_file_is_not_lost(logged: tuple[Path, list[Decision]], store: Store) -> None:
    path, acts = logged
    empty(path)
    with pytest.raises(DamagedJournalError, match="an empty file"):  # SQLite would delete the log now
        Journal(path)
    recover_journal(store, "ann")
    assert {act.decision_id for act in acts[40:]} <= {act.decision_id for act in read_decisions(store)}


def test_a_log_without_its_file_is_not_taken_for_a_new_journal(
    logged: tuple[Path, list[Decision]], store: Store
) -> None:
    path, acts = logged
    path.unlink()
    with pytest.raises(DamagedJournalError, match="nothing but its log"):
        Journal(path)
    recover_journal(store, "ann")
    assert {act.decision_id for act in acts[40:]} <= {act.decision_id for act in read_decisions(store)}


@pytest.mark.parametrize("step", ["write_journal", "os.replace"])
def test_a_recovery_that_was_killed_is_done_by_the_next(
    logged: tuple[Path, list[Decision]], store: Store, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    path, acts = logged
    empty(path)  # so that only the log is left
    readable = salvaged(path)
    assert all(act in readable for act in acts[40:])
    with monkeypatch.context() as patch:
        patch.setattr(f"storage.journal_recover.{step}", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            recover_journal(store, "ann")
    if step == "os.replace":
        assert not Path(f"{path}-wal").exists()
    assert recover_journal(store, "ann") is not None
    assert read_decisions(store) == readable


def test_a_journal_in_use_or_of_nobody_is_not_recovered(store: Store) -> None:
    process = start("append", Path(store.place.root))
    assert process.stdout is not None
    for _ in range(5):
        process.stdout.readline()
    path = journal_path(store, "ann")
    try:
        with pytest.raises(JournalError, match="a process that has it open"), journal_recover._alone(path):
            pass
    finally:
        process.kill()
        process.communicate()
    with journal_recover._alone(path):
        pass
    assert recover_journal(store, "ann") is None
    with pytest.raises(JournalError, match=r"a journal of bob .*one of ann"):
        recover_journal(store, "bob")
    with pytest.raises(SettingsError):
        recover_journal(store, "../ann")


def test_acts_that_the_table_holds_are_not_added_again(store: Store) -> None:
    acts = make_acts(20)
    append_decisions(store, acts[:5])
    overwrite_the_header(fill(store, acts))
    recover_journal(store, "ann")
    assert compact(store).n_added == 15


def test_the_table_tells_what_a_damaged_digit_was(store: Store) -> None:
    acts = make_acts(20)
    path = fill(store, acts[:10])
    compact(store)
    fill(store, acts[10:])
    overwrite_the_header(path)
    path.write_bytes(path.read_bytes().replace(b'"seconds":1.5', b'"seconds":7.5'))
    assert recover_journal(store, "ann") is not None
    with Journal(path) as journal:
        assert [act.seconds for act in journal.decisions()] == [1.5] * 10 + [7.5] * 10
    assert not compact(store).problems


def test_who_opens_a_journal_while_it_is_replaced_gets_the_new_one(store: Store) -> None:
    old, new = make_acts(1), make_acts(2)
    path, found = fill(store, old), []
    part = path.with_name("part")

    def read() -> None:
        with Journal(path) as journal:
            found.extend(journal.decisions())

    reader = threading.Thread(target=read)
    with journal_lock(path):
        write_journal(part, map(to_row, new))
        reader.start()
        reader.join(0.2)
        os.replace(part, path)
    reader.join(10)
    assert found == new


@pytest.mark.parametrize("version", [0, 2])
def test_another_programs_database_is_not_written_to(store: Store, version: int) -> None:
    path = journal_path(store, "ann")
    path.parent.mkdir(parents=True)
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE theirs (a)")
        connection.execute(f"PRAGMA user_version = {version}")
    connection.close()
    content = path.read_bytes()
    with pytest.raises(JournalError):
        Journal(path)
    assert path.read_bytes() == content
