"""The file of a journal: its tables, and how one comes into being."""

import os
import sqlite3
from collections.abc import Iterable
from pathlib import Path

from filelock import FileLock

from densecorr.records import Decision

from .decision_rows import encode_decision
from .filesystem import flush_folder
from .journal_errors import damaged

Row = tuple[str, str, str, str]  # of `INSERT`: decision_id, dataset_id, instance_id, the act as JSON
VERSION = 1
_SCHEMA = f"""
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS acts (
    decision_id TEXT PRIMARY KEY, dataset_id TEXT NOT NULL, instance_id TEXT NOT NULL,
    decision TEXT NOT NULL, compacted INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS acts_by_instance ON acts (instance_id, dataset_id);
CREATE INDEX IF NOT EXISTS acts_pending ON acts (decision_id) WHERE compacted = 0;
PRAGMA user_version = {VERSION};
COMMIT;
"""
INSERT = (
    "INSERT INTO acts (decision_id, dataset_id, instance_id, decision) VALUES (?, ?, ?, ?) "
    "ON CONFLICT (decision_id) DO NOTHING"
)


def journal_lock(path: Path) -> FileLock:
    """Held while a journal is made, opened or replaced: who opens one must not get the file that is replaced."""
    return FileLock(f"{path}.lock", mode=0o666)  # another account that may read the journal opens it, too


def write_journal(path: Path, rows: Iterable[Row]) -> None:
    """Write a new journal with these rows as a file of its own, all on the disk.

    Raises:
        sqlite3.Error, OSError: it cannot be written.
    """
    path.unlink(missing_ok=True)
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.executescript(_SCHEMA)
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(INSERT, rows)
        connection.execute("COMMIT")
        connection.execute("PRAGMA journal_mode = WAL")
    finally:
        connection.close()


def to_row(decision: Decision) -> Row:
    """The values of `INSERT`.

    Raises:
        AnnotationError: the act could not become a row of the store's table.
    """
    return decision.decision_id, decision.dataset_id, decision.instance_id, encode_decision(decision)


def create_journal(path: Path) -> None:
    """Make an empty journal, unless there is one; under its name it is there as a whole or not at all.

    Raises:
        DamagedJournalError: only the log of one is there.
        sqlite3.Error, OSError: it cannot be written.
    """
    _make_folder(path.parent)
    with journal_lock(path):
        if path.exists():
            return
        if Path(f"{path}-wal").exists():
            raise damaged(path, "nothing but its log (-wal)")
        part = path.with_name(f".{path.name}.new")
        write_journal(part, ())
        os.replace(part, path)
        flush_folder(path.parent)


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it, so that a power cut does not lose them."""
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        flush_folder(folder.parent)
