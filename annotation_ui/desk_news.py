"""Noticing, while a desk is open, that a tag it was opened by stands for something newer."""

import logging
import time
from collections.abc import Sequence

from densecorr.errors import DensecorrError
from storage.artifacts import Store

from .desk_errors import DeskError

_EVERY_S = 30.0

logger = logging.getLogger(__name__)


class DeskNews:
    """Looks at the store's tags now and then."""

    def __init__(self, store: Store, tags: Sequence[str], known: Sequence[str | None]) -> None:
        self._store, self._tags, self._known = store, tuple(tags), set(known)
        self._next = 0.0
        self._found: DeskError | None = None

    def check(self) -> DeskError | None:
        """What to tell the reviewer (`stale`): acts are stored, but about data that was replaced; None if not."""
        if self._tags and time.monotonic() >= self._next:
            self._next = time.monotonic() + _EVERY_S
            try:
                now = self._store.tags()
            except (DensecorrError, OSError) as error:
                logger.warning("the tags could not be read: %s", error)
                return self._found
            moved = [tag for tag in self._tags if now.get(tag) not in self._known]
            self._found = _replaced(moved[0]) if moved else None
        return self._found


def _replaced(tag: str) -> DeskError:
    return DeskError(
        "stale",
        f"'{tag}' as it was when this App was opened",
        "newer data or labels of that name",
        "Your decisions are stored, about the old. Open the App again for the new, and carry decisions over with: "
        "densecorr review reconcile",
    )
