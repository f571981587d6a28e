"""`densecorr review status`: how far each reviewer is with a data set."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tyro.conf import Positional

from .review_orders import Order, orders_of
from .session import Session, say

if TYPE_CHECKING:
    from densecorr.records import Decision
    from storage.artifacts import Store

_COLUMNS = ("reviewer", "done", "of", "accepted", "rejected", "minutes", "per hour", "pending", "leases")


@dataclass(frozen=True)
class ReviewStatus:
    """Say how far each reviewer is: instances done, minutes, instances an hour, acts not yet in the table."""

    dataset: Positional[str]
    """The data set: an id, its first digits, or a tag."""

    def __call__(self, session: Session) -> None:
        """Print a table, a line a reviewer."""
        store = session.open_store()
        dataset_id = store.resolve(self.dataset)
        rows = status_rows(store, dataset_id, _held(dataset_id))
        if not rows:
            say("nobody has reviewed this data set yet: densecorr review open DATASET --reviewer NAME")
            return
        print(format_rows(rows))


def status_rows(
    store: "Store", dataset_id: str, held: Iterable[tuple[str, str]] | None
) -> list[dict[str, Any]]:
    """One row a reviewer who has a share, a journal that cannot be read, or made decisions, by name.

    A journal that cannot be read is said, and left out; what waits in it is None.

    Args:
        store: where the decisions are.
        dataset_id: the data set.
        held: instance and reviewer of each lease; None where the database cannot be asked.
    """
    from annotation_ui.desk_record import progress_of
    from densecorr.review.carried import time_spent
    from storage.decisions import read_decisions

    unreadable: list[str] = []
    by_reviewer: dict[str, list[Decision]] = defaultdict(list)
    for decision in read_decisions(store, dataset_id=dataset_id, unreadable=unreadable):
        by_reviewer[decision.reviewer].append(decision)
    for sentence in unreadable:
        say(sentence)
    shares, pending = orders_of(store, dataset_id), count_pending(store, dataset_id)
    leases = None if held is None else list(held)
    rows = []
    unknown = {reviewer for reviewer, n_acts in pending.items() if n_acts is None}
    for reviewer in sorted(by_reviewer.keys() | shares.keys() | unknown):
        decisions = by_reviewer.get(reviewer, [])
        progress = progress_of(verdicts(decisions), time_spent(decisions))
        rows.append(
            {
                "reviewer": reviewer,
                "done": progress["done"],
                "of": len(shares.get(reviewer, Order(())).instances) or None,
                "accepted": progress["accepted"],
                "rejected": progress["rejected"],
                "minutes": round(progress["seconds"] / 60, 1),
                "per hour": progress["per_hour"],
                "pending": pending.get(reviewer, 0),
                "leases": None if leases is None else sum(holder == reviewer for _, holder in leases),
            }
        )
    return rows


def verdicts(decisions: Sequence["Decision"]) -> list[dict[str, Any] | None]:
    """One reviewer's verdict on each instance: on the label set that they judged last."""
    from densecorr.review.reviewers import judged_last
    from densecorr.review.state import verdict_of

    return [verdict_of(acts) for acts in judged_last(decisions).values()]


def count_pending(store: "Store", dataset_id: str) -> dict[str, int | None]:
    """Acts by reviewer that wait in this machine's journals; None where a journal cannot be read."""
    from storage.journal import Journal, list_journals
    from storage.journal_errors import JournalError

    counts: dict[str, int | None] = {}
    for path in list_journals(store):
        try:
            with Journal(path) as journal:
                waiting = sum(act.dataset_id == dataset_id for act in journal.pending())
        except JournalError:  # reading the decisions says so
            waiting = None
        if waiting != 0:
            counts[path.stem] = waiting
    return counts


def format_rows(rows: Sequence[dict[str, Any]]) -> str:
    """A table for people; a dash where something is not known."""
    cells = [["-" if row[name] is None else str(row[name]) for name in _COLUMNS] for row in rows]
    widths = [max(len(line[i]) for line in [list(_COLUMNS), *cells]) for i in range(len(_COLUMNS))]
    lines = [
        "  ".join(
            text.ljust(width) if i == 0 else text.rjust(width)
            for i, (text, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in [list(_COLUMNS), *cells]
    ]
    return "\n".join(lines)


def _held(dataset_id: str) -> list[tuple[str, str]] | None:
    """Leases now, if a database runs; none is started for the question."""
    from annotation_ui.desk_errors import DeskError
    from annotation_ui.leases import MongoLeases, database_name
    from annotation_ui.mongo import running_uri

    uri = running_uri()
    if uri is None:
        return None
    try:
        held = MongoLeases(uri, database_name(), dataset_id).held()
    except DeskError as error:
        say(str(error))
        return None
    return [(key, lease.reviewer) for key, lease in held.items()]
