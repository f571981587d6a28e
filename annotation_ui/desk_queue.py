"""The instances to go through: their verdicts and leases, and which of them changed since one looked last."""

import threading
import time
from typing import Any

from densecorr.review.state import verdict_of

from .desk_data import DeskData
from .desk_leases import DeskLeases
from .desk_others import OtherVerdicts, tell
from .desk_record import DeskRecord, progress_of

Verdict = dict[str, Any]


class DeskQueue:
    """The queue of one reviewer. Every change has a serial number; those of a later desk are larger."""

    def __init__(
        self, data: DeskData, record: DeskRecord, leases: DeskLeases, others: OtherVerdicts, reviewer: str
    ) -> None:
        self._record, self._leases, self._others, self._reviewer = record, leases, others, reviewer
        rows = zip(data.instance_ids, data.columns(), strict=True)
        self._rows = [(key, image_id, category) for key, (image_id, category) in rows]
        labels = zip(data.instance_ids, data.label_ids(), strict=True)
        self._verdicts = {key: verdict_of(record.of(key, label_id)) for key, label_id in labels}
        self._holders: dict[str, str] = {}
        self._serial = self._first = round(1000 * time.time())
        self._changed: dict[str, int] = {}
        self._lock = threading.Lock()

    def set_verdict(self, instance_id: str, verdict: Verdict | None) -> None:
        """Note one's own verdict; an instance outside the queue is left out."""
        with self._lock:
            if instance_id in self._verdicts:
                self._verdicts[instance_id] = verdict
                self._note({instance_id})

    def progress(self) -> dict[str, Any]:
        """The object `progress`."""
        return progress_of(self._verdicts.values(), self._record.seconds)

    def others(self, instance_id: str) -> list[dict[str, Any]]:
        """Who else decided an instance, and what, once one has decided it oneself."""
        return tell(self._others.of(instance_id), self._verdicts.get(instance_id))

    def entries(self, since: int | None) -> dict[str, Any]:
        """Serial number and entries as they are now; with `since`, only those that changed after it."""
        changed = self._others.refresh()
        holders = {key: lease.reviewer for key, lease in self._leases.held().items()}
        with self._lock:
            moved = {key for key, _ in holders.items() ^ self._holders.items()}
            self._holders = holders
            self._note(changed | moved)
            queue = [
                self._entry(rank, *row)
                for rank, row in enumerate(self._rows)
                if since is None or self._changed.get(row[0], self._first) > since
            ]
            return {"serial": self._serial, "queue": queue}

    def _note(self, changed: set[str]) -> None:
        if changed:
            self._serial += 1
            self._changed.update(dict.fromkeys(changed, self._serial))

    def _entry(self, rank: int, instance_id: str, image_id: str, category: str) -> dict[str, Any]:
        holder = self._holders.get(instance_id)
        return {
            "instance_id": instance_id,
            "image_id": image_id,
            "category": category,
            "verdict": self._verdicts[instance_id],
            "rank": rank,
            "leased_by": holder,
            "mine": holder == self._reviewer,
            "others": self.others(instance_id),
        }
