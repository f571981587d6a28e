"""What other reviewers decided on the label sets of a desk, read from the store now and then: only what is new.

Judging is blind: what another one decided is told once one has decided oneself; until then only that they have.
"""

import logging
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from densecorr.errors import DensecorrError
from densecorr.records import Decision, LabelRecord
from densecorr.review.state import has_decided, initial_state, replay, verdict_of
from storage.artifacts import Store
from storage.decision_rows import table_to_decisions
from storage.decisions import read_decision_table, read_decisions

_EVERY_S = 10.0
_LATE = timedelta(hours=1)  # acts of other machines come to the table minutes after they were made

logger = logging.getLogger(__name__)

Verdict = dict[str, Any]


class OtherVerdicts:
    """The other reviewers' verdicts by instance; `refresh` reads what came since.

    Args:
        store: with the decisions of all.
        dataset_id: the desk's.
        reviewer: whose desk it is; their own decisions are left out.
        label_ids: the label set under review of each instance; decisions on others are left out.
    """

    def __init__(self, store: Store, dataset_id: str, reviewer: str, label_ids: Mapping[str, str]) -> None:
        self._store, self._dataset_id, self._reviewer = store, dataset_id, reviewer
        self._label_ids = label_ids
        self._acts: dict[tuple[str, str], dict[str, Decision]] = {}
        self._verdicts: dict[str, dict[str, Verdict]] = {}
        self._since: datetime | None = None
        self._next = 0.0
        self._reading = threading.Lock()

    def refresh(self) -> set[str]:
        """Read what is new, unless that was done a moment ago; the instances whose verdicts changed."""
        with self._reading:
            if time.monotonic() < self._next:
                return set()
            started = datetime.now(UTC)
            try:
                table = read_decision_table(self._store, dataset_id=self._dataset_id, since=self._since)
                decisions = table_to_decisions(self._of_interest(table))
            except (DensecorrError, OSError) as error:
                logger.warning("other reviewers' decisions could not be read: %s", error)
                return set()
            finally:
                self._next = time.monotonic() + _EVERY_S
            self._since = started - _LATE
            return self._keep(decisions)

    def of(self, instance_id: str) -> dict[str, Verdict]:
        """The verdicts on an instance, by reviewer."""
        return self._verdicts.get(instance_id, {})

    def changes(self, label: LabelRecord) -> list[dict[str, Any]]:
        """Who decided what on a label set, as `review_others` answers it; read from the store now.

        Raises:
            ArtifactError: the store's decisions cannot be read.
        """
        acts = read_decisions(self._store, self._dataset_id, [label.instance_id])
        by_reviewer: dict[str, list[Decision]] = {}
        for act in acts:
            if act.label_id == label.label_id and act.reviewer != self._reviewer:
                by_reviewer.setdefault(act.reviewer, []).append(act)
        found = [_describe(reviewer, label, group) for reviewer, group in sorted(by_reviewer.items())]
        return [one for one in found if one["verdict"] is not None]

    def _of_interest(self, table: pa.Table) -> pa.Table:
        """The others' rows that a verdict depends on: those that set one, and undos."""
        verdict = pc.match_substring(pc.field("after"), '"verdict"')
        return table.filter(
            (pc.field("reviewer") != self._reviewer) & (verdict | pc.field("undoes").is_valid())
        )

    def _keep(self, decisions: Iterable[Decision]) -> set[str]:
        touched = set()
        for act in decisions:
            key = (act.instance_id, act.reviewer)
            if self._label_ids.get(act.instance_id) == act.label_id:
                known = self._acts.setdefault(key, {})
                if known.setdefault(act.decision_id, act) is act:
                    touched.add(key)
        changed = set()
        for instance_id, reviewer in touched:
            verdicts = self.of(instance_id)
            now = verdict_of(self._acts[instance_id, reviewer].values())
            if now != verdicts.get(reviewer):
                rest = {name: verdict for name, verdict in verdicts.items() if name != reviewer}
                self._verdicts[instance_id] = (
                    rest if now is None else dict(sorted({**rest, reviewer: now}.items()))
                )
                changed.add(instance_id)
        return changed


def tell(verdicts: Mapping[str, Verdict], own: Verdict | None) -> list[dict[str, Any]]:
    """The object `others` of an entry: before one has decided oneself, only who has."""
    if has_decided(own):
        return [{"reviewer": name, "verdict": verdict} for name, verdict in verdicts.items()]
    return [{"reviewer": name, "verdict": None} for name, verdict in verdicts.items() if has_decided(verdict)]


def _describe(reviewer: str, label: LabelRecord, decisions: list[Decision]) -> dict[str, Any]:
    """A reviewer's verdict, the points that are not as they were, null where deleted, and those that were added."""
    before, state = initial_state(label).points, replay(label, decisions)
    now = {key: asdict(point) for key, point in state.points.items()}
    changed = {str(key): now.get(key) for key in sorted(before) if before[key] != state.points.get(key)}
    added = [now[key] for key in sorted(now.keys() - before.keys())]
    return {"reviewer": reviewer, "verdict": state.verdict, "points": changed, "added": added}
