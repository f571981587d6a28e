"""A damaged journal made anew of what can be read. The damaged file is kept, and nothing is written to it."""

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pyarrow.dataset as ds

from .artifacts import Store
from .decision_rows import table_to_decisions
from .delta import read_rows
from .filesystem import flush_folder
from .journal import Journal, journal_path, list_journals
from .journal_errors import DamagedJournalError, JournalError, explained
from .journal_file import Row, journal_lock, to_row, write_journal
from .journal_salvage import read_journal_files

_LOCKS = (512, 0x40000000)  # the bytes of a database that SQLite locks: how many, from where on


@dataclass(frozen=True)
class Recovery:
    """How many acts the new journal has of the damaged one, and the folder in which that one is kept."""

    n_acts: int
    kept: Path


def recover_journal(store: Store, reviewer: str) -> Recovery | None:
    """Make a reviewer's damaged journal anew; None if it is not damaged.

    The damaged file and its log are copied to `journals/damaged/`, and the new journal takes the old one's place once
    it is on the disk; so a kill at any moment loses nothing, and the next run goes on. All acts of the new journal
    wait for `compact`, which knows those that the table holds; these are taken from the table, since damage may have
    changed a digit.

    Raises:
        SettingsError: the name cannot be a reviewer's.
        JournalError: the reviewer has no journal, a process uses it, or it cannot be opened, read or written for
            another reason than damage.
        ArtifactError: the table of decisions is damaged or cannot be reached; nothing was changed.
    """
    path = journal_path(store, reviewer)
    log = Path(f"{path}-wal")
    if not path.exists() and not log.exists():
        names = ", ".join(one.stem for one in list_journals(store)) or "nobody"
        raise JournalError(
            f"a journal of {reviewer} in this store", f"one of {names}", "Correct the name, or --store."
        )
    try:
        Journal(path, check=True).close()
        return None
    except DamagedJournalError:
        pass
    stored = table_to_decisions(read_rows(store.place, ds.field("reviewer") == reviewer))
    with explained(path), journal_lock(path), _alone(path) as file:
        folder = path.parent / "damaged"
        folder.mkdir(exist_ok=True)
        stamp = time.strftime("%Y%m%d-%H%M%S")
        kept = Path(tempfile.mkdtemp(prefix=f"{reviewer}-{stamp}-", dir=folder))
        _copy(file, kept / path.name)
        if log.exists():
            with open(log, "rb") as content:
                _copy(content, kept / log.name)
        for changed in (kept, folder, folder.parent):
            flush_folder(changed)
        rows: dict[str, Row] = {}
        for earlier in sorted(folder.glob(f"{reviewer}-*/{path.name}")):  # a run that was killed left one
            rows |= read_journal_files(earlier)
        rows |= {act.decision_id: to_row(act) for act in stored if act.decision_id in rows}
        part = path.with_name(f".{path.name}.new")
        write_journal(part, (rows[key] for key in sorted(rows)))
        for stale in (log, Path(f"{path}-shm")):
            stale.unlink(missing_ok=True)
        os.replace(part, path)
        flush_folder(path.parent)
    return Recovery(len(rows), kept)


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[BinaryIO]:
    """The file, while no other process has it open as a database.

    Raises:
        JournalError: one has.
    """
    with open(
        path, "a+b"
    ) as file:  # where only the log is left an empty file: still damaged, if we are killed
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, *_LOCKS)
        except BlockingIOError as error:
            raise JournalError(
                f"a journal that nobody uses ({path})",
                "a process that has it open",
                f"Close the App of {path.stem}, then recover it.",
            ) from error
        file.seek(0)
        yield file


def _copy(source: BinaryIO, target: Path) -> None:
    with open(target, "xb") as copy:
        shutil.copyfileobj(source, copy)
        copy.flush()
        os.fsync(copy.fileno())
