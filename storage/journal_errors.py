"""What SQLite and the system say of a journal, as errors that say what to do."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from densecorr.errors import ArtifactError

BUSY_S = 30.0  # how long one process waits for another
_REASONS = {  # by SQLite's primary result code; every other one means damage
    sqlite3.SQLITE_FULL: (
        "room on the disk for the journal",
        "Free space and send the act again: it is not stored, all earlier ones are.",
    ),
    sqlite3.SQLITE_IOERR: (
        "a disk that takes the journal",
        "Check that the disk has room and is healthy, then send the act again; all earlier ones are stored.",
    ),
    sqlite3.SQLITE_BUSY: (
        f"the journal free within {BUSY_S:.0f} s",
        "Another process holds it: end that one, then send the act again.",
    ),
    sqlite3.SQLITE_PROTOCOL: (
        "the journal's log free",
        "Other processes open it again and again: end those, then send the act again.",
    ),
    sqlite3.SQLITE_READONLY: ("a journal that may be written", "Correct the permissions of the folder."),
    sqlite3.SQLITE_CANTOPEN: ("a journal that can be opened", "Correct the path or the permissions."),
}


class JournalError(ArtifactError):
    """A journal that cannot be read or written."""


class DamagedJournalError(JournalError):
    """A journal whose file is damaged; `densecorr review recover` makes a new one of what can be read."""


def damaged(path: Path, found: str) -> DamagedJournalError:
    """The error of a damaged journal; the remedy names its reviewer."""
    return DamagedJournalError(
        f"an undamaged journal {path}",
        found,
        f"Close the App of {path.stem}, then run: densecorr review recover {path.stem} (keeps the damaged file).",
    )


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn SQLite's and the system's complaints into a JournalError that says what to do."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code not in _REASONS:
            raise damaged(path, f"'{error}'") from error
        expected, remedy = _REASONS[code]
        raise JournalError(f"{expected} ({path})", f"'{error}'", remedy) from error
    except OSError as error:
        expected, remedy = _REASONS[sqlite3.SQLITE_CANTOPEN]
        raise JournalError(f"{expected} ({path})", f"'{error}'", remedy) from error
