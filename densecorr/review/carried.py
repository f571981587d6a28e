"""Acts that repeat earlier ones on later labels: which they repeat, and the time that was spent, counted once."""

from collections.abc import Iterable

from densecorr.records import Decision

_MARK = "carried over from "  # how the reason of an act begins that repeats another


def carried_reason(act: Decision) -> str:
    """The reason of an act that repeats this one: names it, and keeps its own reason."""
    return f"{_MARK}{act.decision_id}" + (f": {act.reason}" if act.reason else "")


def repeated_ids(act: Decision) -> list[str]:
    """The ids of the acts that this one repeats, the latest first; none for an act that a reviewer made."""
    ids, reason = [], act.reason or ""
    while reason.startswith(_MARK):
        key, _, reason = reason.removeprefix(_MARK).partition(": ")
        ids.append(key)
    return ids


def time_spent(acts: Iterable[Decision]) -> float:
    """Seconds that reviewers spent on acts, undone ones included; an act and those that repeat it count once."""
    spent: dict[str, float] = {}
    for act in acts:
        key = [act.decision_id, *repeated_ids(act)][-1]
        spent[key] = max(spent.get(key, 0.0), act.seconds)
    return float(sum(spent.values()))
