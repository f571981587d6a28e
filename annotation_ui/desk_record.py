"""One reviewer's decisions on one data set, in memory; and their way into the journal and the store's table."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Iterable
from typing import Any

from densecorr.errors import DensecorrError
from densecorr.records import Decision
from densecorr.review.carried import time_spent
from storage.artifacts import Store
from storage.decisions import compact, read_decisions
from storage.journal import Journal, journal_path

from .desk_errors import DeskError
from .desk_instance import undone_ids

_ACTS = 100  # compact after so many
_SECONDS = 120.0  # and at latest so long after an act

logger = logging.getLogger(__name__)


class DeskRecord:
    """Decisions by instance, oldest first; `add` returns once one is on the disk."""

    def __init__(self, store: Store, dataset_id: str, reviewer: str) -> None:
        self._journal = Journal(journal_path(store, reviewer), check=True)
        self._by_instance: dict[str, list[Decision]] = {}
        self.seconds = 0.0
        stored = read_decisions(store, dataset_id=dataset_id, reviewer=reviewer)
        waiting = self._journal.decisions(dataset_id=dataset_id)
        both = {decision.decision_id: decision for decision in (*stored, *waiting)}
        for _, decision in sorted(both.items()):
            self._keep(decision)
        self._compactor = Compactor(store, self._journal)
        if self._journal.pending(limit=1):  # left by a desk that was killed
            self._compactor.notice()

    def _keep(self, decision: Decision) -> None:
        acts = self._by_instance.setdefault(decision.instance_id, [])
        before = time_spent(acts)
        acts.append(decision)
        self.seconds += time_spent(acts) - before

    def add(self, decision: Decision) -> None:
        """Store a decision.

        Raises:
            DeskError: it could not be stored (`storage`).
        """
        try:
            self._journal.append(decision)
        except DensecorrError as error:
            raise DeskError("storage", *error.args) from error
        except OSError as error:
            remedy = "The act is kept in the panel and sent again. Free some space, or check the disk."
            raise DeskError("storage", "a disk to write to", str(error), remedy) from error
        self._keep(decision)
        self._compactor.notice()

    def of(self, instance_id: str, label_id: str | None) -> list[Decision]:
        """The decisions on one label set; those on an earlier label set of the instance are left to reconcile."""
        return [act for act in self._by_instance.get(instance_id, []) if act.label_id == label_id]

    def seconds_on(self, instance_id: str) -> float:
        """Time spent on an instance."""
        return time_spent(self._by_instance.get(instance_id, []))

    def history(self, limit: int) -> list[dict[str, Any]]:
        """The last acts on any instance, newest first, as `review_history` answers them."""
        some = [act for group in self._by_instance.values() for act in group[-limit:]]
        acts = sorted(some, key=lambda act: act.decision_id, reverse=True)[:limit]
        undone = {key for act in acts for key in undone_ids(self._by_instance[act.instance_id])}
        return [
            {
                "decision_id": act.decision_id,
                "instance_id": act.instance_id,
                "action": act.action,
                "point_id": act.point_id,
                "time": act.time.isoformat(),
                "undone": act.decision_id in undone,
            }
            for act in acts
        ]

    def close(self) -> None:
        """Bring the table up to date and close the journal; the acts are safe in any case."""
        self._compactor.close()
        self._journal.close()


class Compactor:
    """Copies the journal's acts into the store's table now and then, in a thread that nobody waits for."""

    def __init__(self, store: Store, journal: Journal) -> None:
        self._store, self._path = store, journal.path
        self._n_acts, self._first = 0, 0.0
        self._changed, self._closed = threading.Condition(), False
        self._thread = threading.Thread(target=self._run, name="densecorr-compact", daemon=True)
        self._thread.start()

    def notice(self) -> None:
        """There is one more act."""
        with self._changed:
            self._first = self._first if self._n_acts else time.monotonic()
            self._n_acts += 1
            self._changed.notify()

    def close(self) -> None:
        """Compact what waits, and end."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._closed and not self._is_due():
                    left = self._first + _SECONDS - time.monotonic() if self._n_acts else None
                    self._changed.wait(left)
                n_acts, self._n_acts = self._n_acts, 0
                closed = self._closed
            if n_acts:
                self._compact()
            if closed:
                return

    def _is_due(self) -> bool:
        waited = self._n_acts > 0 and time.monotonic() - self._first >= _SECONDS
        return self._n_acts >= _ACTS or waited

    def _compact(self) -> None:
        """One attempt; what fails stays in the journal and is tried again with the next acts."""
        try:
            compact(self._store, [self._path])
        except (DensecorrError, OSError) as error:
            logger.warning("acts wait in the journal: %s", error)


def progress_of(verdicts: Iterable[dict[str, Any] | None], seconds: float) -> dict[str, Any]:
    """The object `progress`; `done` counts verdicts other than skip, the rate is over the time spent on acts."""
    known = list(verdicts)
    actions = Counter(verdict["action"] for verdict in known if verdict is not None)
    done = actions.total() - actions["skip"]
    return {
        "done": done,
        "total": len(known),
        "accepted": actions["accept"],
        "rejected": actions["reject"],
        "per_hour": round(3600 * done / seconds, 1) if seconds else 0.0,
        "seconds": round(seconds, 1),
    }
