"""`--incomplete`: refuse while a reviewer's journal cannot be read, or go on and say whose acts are missing."""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from .session import say

if TYPE_CHECKING:
    from storage.artifacts import Store


@contextlib.contextmanager
def journals_read(incomplete: bool) -> Iterator[list[str] | None]:
    """What the block hands to `read_decisions` as `unreadable`; what was left out is said when the block ends.

    Args:
        incomplete: go on without a journal that cannot be read.

    Raises:
        JournalError: one cannot be read, and `incomplete` does not allow to go on without; it names the option.
    """
    from storage.journal_errors import JournalError

    unreadable: list[str] = []
    try:
        yield unreadable if incomplete else None
    except JournalError as error:
        if incomplete:
            raise
        expected, received, remedy = error.args
        remedy = f"{remedy} To go on without what waits in it: --incomplete."
        raise type(error)(expected, received, remedy) from error
    for sentence in unreadable:
        say(f"INCOMPLETE: {sentence}")


def left_out_reviewers(store: "Store", unreadable: list[str]) -> set[str]:
    """Whose journals `read_decisions` left out, by what it said of them."""
    from storage.journal import list_journals

    return {path.stem for path in list_journals(store) if any(str(path) in one for one in unreadable)}
