"""The journal: one SQLite file a reviewer and store, to which every act goes before anything else.

An act is on the disk (fsync) when `append` returns, so that killing the App, the database or the machine loses
at most the act in flight. `storage/decisions.py` copies what is new into the store's table. Nothing is ever
removed from a journal; `storage/journal_recover.py` mends a damaged one. It may be used by several processes of one
machine; SQLite's log needs a real disk, so a store on a network drive is annotated from one machine at a time.
"""

import hashlib
import os
import re
import sqlite3
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from densecorr.errors import AnnotationError, SettingsError
from densecorr.records import Decision

from .artifacts import Store
from .decision_rows import decode_decision
from .filesystem import Place
from .journal_errors import BUSY_S, JournalError, damaged, explained
from .journal_file import INSERT, VERSION, create_journal, journal_lock, to_row

REVIEW = "review"
_SUFFIX = ".sqlite"
_REVIEWER = re.compile(r"[A-Za-z0-9._@-]{1,64}")


def check_reviewer(name: str) -> str:
    """The name, if it can be a reviewer's.

    Raises:
        SettingsError: it is not 1 to 64 letters (a to z), digits, '.', '_', '-', '@'.
    """
    if not _REVIEWER.fullmatch(name):
        raise SettingsError(
            "a reviewer's name of 1 to 64 letters (a to z), digits, '.', '_', '-' and '@'",
            repr(name),
            "Correct the reviewer's name.",
        )
    return name


def review_folder(place: Place) -> Path:
    """The local folder of journals and locks: in a local store, else in the user's data folder (no cache)."""
    if place.is_local:
        return Path(place.join(REVIEW))
    base = Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share").expanduser()
    key = hashlib.sha256(f"{place.filesystem.type_name} {place.uri}".encode()).hexdigest()[:16]
    return base / "densecorr" / "stores" / key / REVIEW


def journal_path(store: Store, reviewer: str) -> Path:
    """The file of one reviewer's journal.

    Raises:
        SettingsError: the name cannot be a reviewer's, see `check_reviewer`.
    """
    return review_folder(store.place) / "journals" / f"{check_reviewer(reviewer)}{_SUFFIX}"


def list_journals(store: Store) -> list[Path]:
    """The journals of a store on this machine, by name."""
    return sorted((review_folder(store.place) / "journals").glob(f"*{_SUFFIX}"))


class Journal:
    """An open journal; for threads, too. Close it, or use it in a `with`; a fork must open its own.

    Raises:
        DamagedJournalError: the file is damaged, empty, or no journal.
        JournalError: it is another version's, or cannot be opened or written.
    """

    def __init__(self, path: str | Path, check: bool = False) -> None:
        """Open the file, or make it; `check` reads all of it first, see `Journal.check`."""
        self.path = Path(path)
        self._lock = threading.Lock()
        with explained(self.path):
            if not self.path.exists():
                create_journal(self.path)
            with journal_lock(self.path):
                self._connection = self._open()
        try:
            if check:
                self.check()
        except BaseException:
            self._connection.close()
            raise

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def append(self, decision: Decision) -> None:
        """Store an act; it is on the disk when this returns. An act that is there already changes nothing.

        Raises:
            AnnotationError: the act could not become a row of the table, or another one has its id.
            JournalError: it could not be stored; the message says what to do.
        """
        row = to_row(decision)
        with self._lock, explained(self.path):
            done = self._connection.execute(INSERT, row)
        if not done.rowcount:
            [stored] = self._read("decision_id = ?", decision.decision_id)
            if stored != decode_decision(row[-1]):
                raise AnnotationError(
                    f"one act with the id {decision.decision_id}",
                    f"another one than in {self.path}",
                    "The first one stays; give the new act an id of its own.",
                )

    def decisions(self, instance_id: str | None = None, dataset_id: str | None = None) -> list[Decision]:
        """The acts on one instance, or on one data set, or all, in the order of their ids.

        Raises:
            JournalError: the journal cannot be read.
        """
        wanted = {"instance_id": instance_id, "dataset_id": dataset_id}
        asked = {column: value for column, value in wanted.items() if value is not None}
        return self._read(" AND ".join(f"{column} = ?" for column in asked) or "TRUE", *asked.values())

    def pending(self, limit: int | None = None, after: str = "") -> list[Decision]:
        """The acts that `mark_compacted` has not named yet, in the order of their ids.

        Args:
            limit: at most so many.
            after: only those whose id sorts after this one.

        Raises:
            JournalError: the journal cannot be read.
        """
        return self._read("compacted = 0 AND decision_id > ?", after, limit=-1 if limit is None else limit)

    def mark_compacted(self, ids: Iterable[str]) -> None:
        """Note that these acts are in the store's table, for good.

        Raises:
            JournalError: the journal cannot be written.
        """
        with self._lock, explained(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                self._connection.executemany(
                    "UPDATE acts SET compacted = 1 WHERE decision_id = ?", ((key,) for key in ids)
                )
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def check(self) -> None:
        """Read everything; before new acts go to a journal, since damage may lie where no question leads.

        Raises:
            DamagedJournalError: a page, an index or an act is damaged.
            JournalError: the journal cannot be read.
        """
        with self._lock, explained(self.path):
            [found] = self._connection.execute("PRAGMA integrity_check(1)").fetchone()
        if found != "ok":
            raise damaged(self.path, f"'{found}'")
        self.decisions()

    def _read(self, where: str, *values: str, limit: int = -1) -> list[Decision]:
        query = f"SELECT decision FROM acts WHERE {where} ORDER BY decision_id LIMIT {limit}"
        with self._lock, explained(self.path):
            rows = self._connection.execute(query, values).fetchall()
        try:
            return [decode_decision(text) for (text,) in rows]
        except (ValueError, TypeError, KeyError) as error:
            raise damaged(self.path, f"an act that is none: '{error}'") from error

    def _open(self) -> sqlite3.Connection:
        if not self.path.stat().st_size:  # SQLite would take it for a new one, and delete its log
            raise damaged(self.path, "an empty file")
        connection = sqlite3.connect(self.path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        [version] = connection.execute("PRAGMA user_version").fetchone()
        if version == 0:
            raise damaged(self.path, "a database that is no journal")
        if version != VERSION:
            raise JournalError(
                f"version {VERSION} of the journal {self.path}",
                f"version {version}",
                "Use the densecorr version that wrote it.",
            )
        connection.execute("PRAGMA synchronous = FULL")  # an act is flushed before append returns
        connection.execute("PRAGMA fullfsync = ON")  # macOS: down to the platter
        deadline = time.monotonic() + BUSY_S
        while (
            True
        ):  # who changes the mode while another does is told "busy" at once, without SQLite's own wait
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                break
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
