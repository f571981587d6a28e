"""`densecorr review reconcile`: what became of decisions on labels that changed, and carrying them over.

Decisions are about one label set of one data set artifact. When the data set was ingested again, or labelled again,
those on the old label sets stay what they are; where the new label set has the same points, a reviewer's last ones hold
for it as well.
"""

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tyro.conf import Positional

from .review_carry import Outdated, carry_over, find_outdated
from .review_incomplete import journals_read, left_out_reviewers
from .session import Session, say

if TYPE_CHECKING:
    from storage.artifacts import Store


@dataclass(frozen=True)
class ReviewReconcile:
    """List decisions whose instance, labels or template changed; with --apply, carry over those that still hold."""

    dataset: Positional[str]
    """The data set as it is now: an id, its first digits, or a tag."""
    labels: str | None = None
    """The label artifact that is judged now; by default the data set's own labels."""
    apply: bool = False
    """Write those that hold for the new labels as new decisions that name the old; nothing is removed. A journal that
    cannot be read may hold later ones, so it stops this."""
    incomplete: bool = False
    """Go on without a journal that cannot be read: with --apply, nothing of its reviewer is carried over."""

    def __call__(self, session: Session) -> None:
        """Print a line for each reviewer, instance and old label set; then the totals."""
        store = session.open_store()
        dataset_id = store.resolve(self.dataset)
        labels = None if self.labels is None else store.resolve(self.labels)
        with journals_read(self.incomplete or not self.apply) as unreadable:
            outdated = find_outdated(store, dataset_id, labels, unreadable)
        for one in outdated:
            print(_line(one))
        counts = Counter(one.outcome for one in outdated)
        say(
            f"{len(outdated)} reviewed label sets changed: {counts['holds']} can be carried over, "
            f"{counts['carried']} were, {counts['included']} are in these labels already, {counts['lost']} cannot be"
        )
        unknown = left_out_reviewers(store, unreadable or [])
        carried = [one for one in outdated if one.outcome == "holds" and one.reviewer not in unknown]
        if self.apply and carried:
            say(
                f"{_apply(store, dataset_id, carried)} decisions carried over; Apps that run see them when reopened"
            )
        waiting = sorted({one.reviewer for one in outdated if one.outcome == "holds"} & unknown)
        if self.apply and waiting:
            say(
                f"not carried over: those of {', '.join(waiting)}, whose journal may hold later ones; "
                "run this again once it can be read"
            )


def _line(one: Outdated) -> str:
    return f"{one.reviewer}\t{one.instance_id}\t{len(one.acts)} acts\t{one.outcome}: {one.reason}"


def _apply(store: "Store", dataset_id: str, outdated: list[Outdated]) -> int:
    from storage.decisions import append_decisions

    return append_decisions(store, [act for one in outdated for act in carry_over(one, dataset_id)])
