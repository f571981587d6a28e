"""The decisions of a store: append-only, never changed, of all reviewers; in order of their ids.

    <store>/review/decisions              a Delta table (columns: `storage.schemas.DECISIONS`)
    <store>/review/journals/*.sqlite      where acts arrive (`storage/journal.py`)

`compact` copies acts from the journals into the table. It may be killed at any moment and run again, and by
several at once: an act whose id the table holds is not added again. What two reviewers say of one instance are
two rows. Reading sees the acts that still wait in this machine's journals, too.
"""

import itertools
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from operator import and_
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from densecorr.errors import AnnotationError, SettingsError
from densecorr.records import Decision

from . import delta
from .artifacts import Store
from .decision_rows import decisions_to_table, table_to_decisions
from .journal import Journal, list_journals
from .journal_errors import JournalError

logger = logging.getLogger(__name__)

BATCH = 20_000  # decisions in memory at a time


@dataclass(frozen=True)
class CompactReport:
    """What `compact` did; an act of `problems` stays in its journal.

    Attributes:
        n_journals: looked at.
        n_acts: that waited in them.
        n_added: to the table; the others were there already.
        problems: what could not be read or added, a sentence each.
    """

    n_journals: int
    n_acts: int
    n_added: int
    problems: tuple[str, ...] = ()


def decisions_place(store: Store) -> str:
    """The folder or address of the store's table of decisions.

    Raises:
        ArtifactError: the store is in a place that Delta does not know.
    """
    return delta.table_address(store.place)[0]


def compact(store: Store, journals: Sequence[str | Path] | None = None) -> CompactReport:
    """Copy what waits in the journals (all of this machine's by default) into the table.

    A journal that cannot be read, or an act whose id the table holds with another content, is named in the report and
    keeps no other act from being copied.

    Raises:
        ArtifactError: the table is damaged, cannot be reached or is not ours, or the disk is full.
    """
    paths = list_journals(store) if journals is None else [Path(path) for path in journals]
    reports = [_compact_one(store, path) for path in paths]
    problems = tuple(problem for report in reports for problem in report.problems)
    for problem in problems:
        logger.warning("%s", problem)
    n_added = sum(report.n_added for report in reports)
    if n_added:
        delta.tidy(store.place)
    return CompactReport(len(paths), sum(report.n_acts for report in reports), n_added, problems)


def _compact_one(store: Store, path: Path) -> CompactReport:
    n_acts, n_added, problems, last = 0, 0, [], ""
    try:
        with Journal(path) as journal:
            while batch := journal.pending(BATCH, after=last):
                added, clashes = delta.append_rows(store.place, decisions_to_table(batch))
                journal.mark_compacted({act.decision_id for act in batch} - set(clashes))
                n_acts, n_added, last = n_acts + len(batch), n_added + added, batch[-1].decision_id
                problems += [f"{path}: the table holds another act {key}; it stays." for key in clashes]
    except JournalError as error:
        problems.append(str(error))
    return CompactReport(1, n_acts, n_added, tuple(problems))


def append_decisions(store: Store, decisions: Iterable[Decision]) -> int:
    """Add decisions from elsewhere (an import), batch by batch; how many were new.

    Those that are there already change nothing, so that an interrupted import is run again as it was.

    Raises:
        AnnotationError: one cannot be a row, or its id is taken by another; earlier batches are in.
        ArtifactError: the table is damaged, cannot be reached or is not ours, or the disk is full.
    """
    n_added = 0
    for batch in _batches(decisions):
        added, clashes = delta.append_rows(store.place, decisions_to_table(_once(batch)))
        if clashes:
            raise _taken(clashes[0])
        n_added += added
    delta.tidy(store.place)
    return n_added


def read_decisions(
    store: Store,
    dataset_id: str | None = None,
    instance_ids: Sequence[str] | None = None,
    reviewer: str | None = None,
    since: datetime | None = None,
    unreadable: list[str] | None = None,
) -> list[Decision]:
    """The decisions that fit, as `read_decision_table` finds them; for the arguments and errors see there."""
    table = read_decision_table(store, dataset_id, instance_ids, reviewer, since, unreadable)
    return table_to_decisions(table)


def read_decision_table(
    store: Store,
    dataset_id: str | None = None,
    instance_ids: Sequence[str] | None = None,
    reviewer: str | None = None,
    since: datetime | None = None,
    unreadable: list[str] | None = None,
) -> pa.Table:
    """The decisions that fit, in order of their ids, with those that wait in this machine's journals.

    Args:
        store: where.
        dataset_id: on this data set only.
        instance_ids: on these instances only.
        reviewer: of this one only; no other journal is opened then.
        since: made then or later.
        unreadable: with a list, a journal that cannot be read is left out, and a sentence that says so is added to it,
            for the user; None refuses to read without it.

    Raises:
        ArtifactError: the table is damaged, cannot be reached or is not ours.
        JournalError: a journal of this machine is damaged or cannot be read, and `unreadable` is None.
        SettingsError: `since` has no time zone.
    """
    condition = _condition(dataset_id, instance_ids, reviewer, since)
    waiting, failures = (
        [],
        [],
    )  # read before the table: what a compactor moves meanwhile is then in both, not in none
    for path in list_journals(store):
        if reviewer not in (None, path.stem):
            continue
        try:
            with Journal(path) as journal:
                waiting += journal.pending()
        except JournalError as error:
            if unreadable is None:
                raise
            failures.append((path, error))
    stored = delta.read_rows(store.place, condition)
    if unreadable is not None:
        unreadable += [_left_out(path, error, stored) for path, error in failures]
    if waiting:
        pending = decisions_to_table(list({act.decision_id: act for act in waiting}.values()))
        pending = pending if condition is None else pending.filter(condition)
        unknown = pc.invert(pc.is_in(pending["decision_id"], stored["decision_id"]))
        stored = pa.concat_tables([stored, pending.filter(unknown)])
    return stored.sort_by("decision_id")


def _left_out(path: Path, error: JournalError, stored: pa.Table) -> str:
    """Which journal was not read, what of its reviewer counts all the same, and what to do; to the log as well."""
    _, received, remedy = error.args
    n_acts = pc.sum(pc.equal(stored["reviewer"], path.stem)).as_py() or 0
    text = (
        f"left out the journal {path}, which cannot be read ({received}): the acts of {path.stem} in the "
        f"table ({n_acts}) count, those that wait in the journal do not. {remedy}"
    )
    logger.warning("%s", text)
    return text


def _condition(
    dataset_id: str | None, instance_ids: Sequence[str] | None, reviewer: str | None, since: datetime | None
) -> ds.Expression | None:
    terms = []
    if dataset_id is not None:
        terms.append(ds.field("dataset_id") == dataset_id)
    if instance_ids is not None:
        terms.append(ds.field("instance_id").isin(pa.array(list(instance_ids), pa.string())))
    if reviewer is not None:
        terms.append(ds.field("reviewer") == reviewer)
    if since is not None:
        if since.utcoffset() is None:
            raise SettingsError("`since` with its time zone", since.isoformat(), "Add one, such as +00:00.")
        terms.append(ds.field("time") >= pa.scalar(since, pa.timestamp("us", tz="UTC")))
    return reduce(and_, terms) if terms else None


def _batches(decisions: Iterable[Decision]) -> Iterator[list[Decision]]:
    rest = iter(decisions)
    while batch := list(itertools.islice(rest, BATCH)):
        yield batch


def _once(batch: list[Decision]) -> list[Decision]:
    """The batch without what it repeats."""
    found: dict[str, Decision] = {}
    for decision in batch:
        first = found.setdefault(decision.decision_id, decision)
        if first is not decision and first != decision:
            raise _taken(decision.decision_id)
    return list(found.values())


def _taken(decision_id: str) -> AnnotationError:
    return AnnotationError(
        f"one decision with the id {decision_id}",
        "another one with the same id",
        "The first one stays; decisions are never changed: give the new one an id of its own.",
    )
