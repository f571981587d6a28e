"""What each reviewer says of a label set: their acts replayed, one by one, and when they were last at it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from densecorr.records import Decision, LabelRecord

from .state import ReviewState, effective, replay


@dataclass(frozen=True)
class Review:
    """One reviewer's state of a label set and the time (UTC) of the last act that counts."""

    reviewer: str
    state: ReviewState
    time: datetime

    @property
    def vote(self) -> bool | None:
        """True to keep the label set, False to drop it (reject, not_visible), None without an opinion."""
        action = (self.state.verdict or {}).get("action")
        return {"accept": True, "reject": False, "not_visible": False}.get(str(action))


def reviews_of(label: LabelRecord, decisions: Iterable[Decision]) -> list[Review]:
    """A review of each reviewer, by name, who has an act that counts on the label set; others are passed over."""
    acts: dict[str, list[Decision]] = {}
    for decision in decisions:
        if decision.label_id == label.label_id and decision.instance_id == label.instance_id:
            acts.setdefault(decision.reviewer, []).append(decision)
    reviews = []
    for reviewer in sorted(acts):
        counted = effective(acts[reviewer])
        if counted:
            reviews.append(Review(reviewer, replay(label, acts[reviewer]), counted[-1].time))
    return reviews


def judged_last(decisions: Iterable[Decision]) -> dict[str, list[Decision]]:
    """By instance, the acts on the label set (of one data set) that was acted on last, in the order of their ids."""
    groups: dict[str, dict[tuple[str, str], list[Decision]]] = {}
    for act in sorted(decisions, key=lambda one: one.decision_id):
        label_sets = groups.setdefault(act.instance_id, {})
        key = act.dataset_id, act.label_id
        label_sets[key] = [*label_sets.pop(key, []), act]  # the last judged comes last
    return {key: list(label_sets.values())[-1] for key, label_sets in groups.items()}
