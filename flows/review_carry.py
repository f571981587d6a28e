"""Which decisions on earlier label sets hold for the present ones: those on the same points of the same instance.

Those that the present ones were made from (`review_included`) are in them already.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Literal

from densecorr.records import Decision, LabelRecord
from densecorr.review.acts import new_decision_id
from densecorr.review.carried import carried_reason, repeated_ids
from densecorr.review.reviewers import judged_last
from densecorr.review.state import effective, initial_state

from .review_included import applied_ids, corrections_of, decides, says_the_same

if TYPE_CHECKING:
    from storage.artifacts import Store

Outcome = Literal["holds", "carried", "included", "lost"]


@dataclass(frozen=True)
class Outdated:
    """One reviewer's acts that count on a label set that is not the present one, and what becomes of them."""

    reviewer: str
    instance_id: str
    acts: tuple[Decision, ...]
    outcome: Outcome
    reason: str
    label: LabelRecord | None  # the present one


def find_outdated(
    store: "Store", dataset_id: str, labels: str | None, unreadable: list[str] | None = None
) -> list[Outdated]:
    """Every reviewer's decisions on other label sets of this data set, or on the same instances of other data sets.

    Of the label sets of one instance, from whichever data set, only the one that a reviewer judged last can hold: what
    they said of earlier ones is superseded. A judgement that was undone is none, nor is a skip.

    Args:
        store: where everything is.
        dataset_id: the data set as it is now.
        labels: the labels that are judged now; None: its own.
        unreadable: what `read_decisions` says of journals that it left out; None refuses to leave one out.

    Raises:
        ArtifactError: the store holds no such data set or labels.
        JournalError: a journal cannot be read, and `unreadable` is None.
    """
    from storage.datasets import read_labels
    from storage.decisions import read_decisions
    from storage.tables import read_table

    folder = store.path(dataset_id)
    instances = set(
        read_table(folder / "instances.parquet", "instances", ["instance_id"])["instance_id"].to_pylist()
    )
    present = read_labels(folder if labels is None else store.path(labels))
    current: dict[tuple[str, str], list[Decision]] = defaultdict(list)
    old: dict[tuple[str, str, str, str], list[Decision]] = defaultdict(list)
    for act in read_decisions(store, unreadable=unreadable):
        label = present.get(act.instance_id)
        if act.dataset_id == dataset_id and label is not None and label.label_id == act.label_id:
            current[act.reviewer, act.instance_id].append(act)
        elif act.dataset_id == dataset_id or act.instance_id in instances:
            old[act.reviewer, act.dataset_id, act.instance_id, act.label_id].append(act)
    earlier = _earlier_labels(store, {(key[1], key[3]) for key in old})
    counting = {key: tuple(effective(acts)) for key, acts in old.items()}
    last = _last_label_sets(counting)
    applied, ids_in = corrections_of(store, labels or dataset_id, present), cache(applied_ids)
    repeated = {earlier_id for acts in old.values() for act in acts for earlier_id in repeated_ids(act)}
    found = []
    for (reviewer, of_dataset, instance_id, label_id), acts in sorted(counting.items()):
        label, own = present.get(instance_id), current[reviewer, instance_id]
        before = earlier.get((of_dataset, label_id))
        correct_id, included = applied.get((instance_id, label_id)), None
        if correct_id is not None:
            all_acts = old[reviewer, of_dataset, instance_id, label_id]
            included = _included(all_acts, label, before, ids_in(store, correct_id))
        if instance_id not in instances:
            outcome, reason = "lost", "the instance is not in the data set any more"
        elif included is not None:
            outcome, reason = included
        elif acts and (of_dataset, label_id) != last[reviewer, instance_id]:
            outcome, reason = _superseded(acts, own, repeated)
        else:
            outcome, reason = _judge(acts, label, before, own)
        found.append(Outdated(reviewer, instance_id, acts, outcome, reason, label))
    return found


def _last_label_sets(
    counting: Mapping[tuple[str, str, str, str], Sequence[Decision]],
) -> dict[tuple[str, str], tuple[str, str]]:
    """Data set and label id of the label set that was judged last, by reviewer and instance."""
    found: dict[tuple[str, str], tuple[str, str]] = {}
    for use in (lambda acts: True, is_judged):  # who only skipped an instance has no last word but that
        of_reviewer: dict[str, list[Decision]] = defaultdict(list)
        for (reviewer, *_), acts in counting.items():
            if use(acts):
                of_reviewer[reviewer] += acts
        found |= {
            (reviewer, instance_id): (own[0].dataset_id, own[0].label_id)
            for reviewer, acts in of_reviewer.items()
            for instance_id, own in judged_last(acts).items()
        }
    return found


def is_judged(acts: Iterable[Decision]) -> bool:
    """Whether acts on a label set say anything of it: a skip decides nothing, and an undone act is none."""
    return any(act.action != "skip" for act in effective(acts))


def _included(
    acts: Sequence[Decision], label: LabelRecord | None, before: LabelRecord | None, applied: Set[str] | None
) -> tuple[Outcome, str] | None:
    """What became of one reviewer's acts, undone ones too, on a label set that the present one was made from.

    None: they are not in the present one, and what they are worth there is judged as that of any others.

    Args:
        acts: on the label set `before`.
        label: the present one, None if the labels leave the instance out.
        before: the judged one, None where it left the store.
        applied: the ids of the decisions that were applied, None where they are not known any more.
    """
    reason = "already in these labels" + ("" if label is not None else ", which leave the instance out")
    if applied is None:
        return ("included", reason) if says_the_same(before, acts, label) else None
    n_later = sum(act.decision_id not in applied for act in acts)
    if n_later == 0:
        return ("included", reason) if label is not None or decides(acts) else None
    if all(act.action == "skip" for act in acts):
        return None
    made_anew = "make them anew with densecorr review export"
    return "lost", f"{n_later} of {len(acts)} acts were not there when these labels were made: {made_anew}"


def _superseded(acts: Sequence[Decision], own: Sequence[Decision], repeated: Set[str]) -> tuple[Outcome, str]:
    """What became of acts on a label set after which the reviewer has acts on later ones."""
    if _is_repeated(acts, {key for act in own for key in repeated_ids(act)}):
        return "carried", "carried over before"
    if _is_repeated(acts, repeated):
        return "carried", "carried over to later labels"
    if not is_judged(acts):
        return "lost", "a skip, which decides nothing"
    return "lost", "judged again on later labels"


def _is_repeated(acts: Sequence[Decision], repeated: Set[str]) -> bool:
    return any(act.decision_id in repeated for act in acts)


def _judge(
    acts: Sequence[Decision],
    label: LabelRecord | None,
    before: LabelRecord | None,
    own: Sequence[Decision],
) -> tuple[Outcome, str]:
    """What becomes of acts on the label set `before`, judged last, given the present one and the acts on that."""
    if label is None:
        return "lost", "the instance has no labels now"
    if acts and acts[0].template_id != label.template_id:
        return "lost", f"the template was {acts[0].template_id} and is {label.template_id}"
    if _is_repeated(acts, {key for act in own for key in repeated_ids(act)}):
        return "carried", "carried over before"
    if is_judged(own):
        return "lost", "the reviewer judged the new labels already"
    if not acts:
        return "lost", "every act was undone"
    if before is None:
        return "lost", "the old labels are not in the store any more"
    differing = differing_points(before, label)
    if differing:
        return "lost", f"{differing} of {len(label.x)} points are others now"
    return "holds", "the same points"


def differing_points(before: LabelRecord, now: LabelRecord) -> int:
    """How many points of two label sets are not in both, the same in place, vertex and visibility."""
    one, other = initial_state(before).points, initial_state(now).points
    return sum(one.get(key) != other.get(key) for key in one.keys() | other.keys())


def carry_over(outdated: Outdated, dataset_id: str) -> list[Decision]:
    """The acts as new decisions on the present label set, with their time; the reason names the old ones."""
    label = outdated.label
    if label is None:
        return []
    return [
        replace(
            act,
            decision_id=new_decision_id(),
            dataset_id=dataset_id,
            label_id=label.label_id,
            producer=label.producer,
            reason=carried_reason(act),
        )
        for act in outdated.acts
    ]


def _earlier_labels(
    store: "Store", wanted: Iterable[tuple[str, str]]
) -> Mapping[tuple[str, str], LabelRecord]:
    """Label sets by data set and label id, from the data sets themselves, else from any label artifact."""
    from storage.label_tables import label_tables, read_label_sets

    left, found = set(wanted), {}
    datasets = {dataset_id for dataset_id, _ in left}
    for artifact, path in label_tables(store, datasets):
        if not left:
            break
        artifact_id = artifact if artifact in datasets else None
        named = {label_id for dataset_id, label_id in left if artifact_id in (None, dataset_id)}
        records = {record.label_id: record for record in read_label_sets(path, named)}
        hits = {key for key in left if key[1] in records and artifact_id in (None, key[0])}
        found |= {key: records[key[1]] for key in hits}
        left -= hits
    return found
