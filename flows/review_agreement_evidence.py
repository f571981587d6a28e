"""What `review agreement` measures: judged label sets, what each reviewer made of them, and what is true."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from densecorr.errors import EmptyInstanceError, SettingsError
from densecorr.evaluation.scored import GeodesicRows
from densecorr.records import Decision, LabelRecord
from densecorr.review.reviewers import Review, reviews_of
from densecorr.templates.template import Template, kept_geodesic_rows, read_template

from .collect import true_vertices
from .review_incomplete import journals_read
from .review_orders import orders_of
from .review_templates import find_template

if TYPE_CHECKING:
    from storage.artifacts import Store

    from .review_agreement import ReviewAgreement

TRUTH = ("human", "synthetic")


@dataclass(frozen=True)
class Evidence:
    """What is measured: the judged label sets, every act and review of each by `label_id`, and what is true.

    `gold` pairs a judged label set with the same one with true vertices (-1 unknown); `image_of` is by instance;
    `n_elsewhere` counts acts on other label sets of the data set. `left_out` says of each journal that could not be
    read whose acts are missing.
    """

    template: Template
    rows: GeodesicRows
    labels: Sequence[LabelRecord]
    decisions: Mapping[str, Sequence[Decision]]
    reviews: Mapping[str, Sequence[Review]]
    image_of: Mapping[str, str]
    gold: Sequence[tuple[LabelRecord, LabelRecord]]
    gold_from: str
    n_elsewhere: int
    left_out: Sequence[str]
    inputs: Mapping[str, str]


def read_evidence(store: "Store", command: "ReviewAgreement") -> Evidence:
    """Read the label set, every decision on it, and the truth.

    Raises:
        ArtifactError: the store holds no such data set, labels, truth or template.
        JournalError: a journal cannot be read, and the command does not allow to go on without.
        SettingsError: the labels are of several templates.
    """
    from storage.datasets import read_instances, read_labels
    from storage.decisions import read_decisions

    dataset_id = store.resolve(command.dataset)
    labels_id = dataset_id if command.labels is None else store.resolve(command.labels)
    named = () if command.template is None else (command.template,)
    template_id = find_template(store, labels_id, [labels_id, dataset_id], named)
    template = read_template(store.path(template_id))
    instances = {one.instance.instance_id: one for one in read_instances(store.path(dataset_id), crowds=True)}
    labels = [one for key, one in read_labels(store.path(labels_id)).items() if key in instances]
    acts: dict[str, list[Decision]] = {one.label_id: [] for one in labels}
    with journals_read(command.incomplete) as unreadable:
        found = read_decisions(store, dataset_id, unreadable=unreadable)
    for act in found:
        if act.label_id in acts:
            acts[act.label_id].append(act)
    gold: list[tuple[LabelRecord, LabelRecord]] = []
    truth_id, gold_from = None, "no truth"
    if command.truth is not None or labels_id != dataset_id:
        truth_id = dataset_id if command.truth is None else store.resolve(command.truth)
        sources = TRUTH if command.truth is None else (*TRUTH, "correction")
        truths = read_labels(store.path(truth_id), sources)
        dealt = {key for order in orders_of(store, dataset_id).values() for key in order.gold}
        dealt &= {label.instance_id for label in labels}  # the orders may be for other labels
        wanted = dealt if dealt and command.truth is None else truths.keys()
        gold_from = "the instances that were dealt as gold" if wanted is dealt else "all whose truth is known"
        for label in labels:
            truth = truths.get(label.instance_id)
            if truth is not None and label.instance_id in wanted and truth.template_id == label.template_id:
                reach = command.reach * max(instances[label.instance_id].instance.xywh[2:])
                gold.append((label, _as_true(label, truth, reach)))
    return Evidence(
        template,
        kept_geodesic_rows(template),
        labels,
        acts,
        {one.label_id: reviews_of(one, acts[one.label_id]) for one in labels},
        {key: one.image.image_id for key, one in instances.items()},
        gold,
        gold_from,
        len(found) - sum(map(len, acts.values())),
        unreadable or (),
        {"dataset": dataset_id, "labels": labels_id, "template": template_id, "truth": truth_id or "none"},
    )


def check_evidence(evidence: Evidence, command: "ReviewAgreement") -> None:
    """Refuse what nothing can be measured on, and say what to do.

    Raises:
        EmptyInstanceError: nothing was decided, or nothing by two people and nothing whose truth is known.
        SettingsError: a share out of range.
    """
    shares = (command.reach, command.tolerance, command.agree_within)
    if not all(0 <= share < 1 for share in shares):
        raise SettingsError(
            "shares from 0 up to 1",
            ", ".join(map(str, shares)),
            "Correct --reach, --tolerance, --agree-within.",
        )
    labels = "" if command.labels is None else f" --labels {command.labels}"
    reviewers = sorted({review.reviewer for own in evidence.reviews.values() for review in own})
    if not reviewers:
        elsewhere = f" (but {evidence.n_elsewhere} on other label sets)" if evidence.n_elsewhere else ""
        raise EmptyInstanceError(
            "decisions on these labels",
            f"none{elsewhere}",
            f"Review some: densecorr review open {command.dataset}{labels} --reviewer NAME. Decisions on earlier "
            f"labels: densecorr review reconcile.",
        )
    known = any(evidence.reviews[label.label_id] for label, _ in evidence.gold)
    if not known and all(len(own) < 2 for own in evidence.reviews.values()):
        names = " ".join(reviewers if len(reviewers) > 1 else [*reviewers, "NAME"])
        raise EmptyInstanceError(
            "label sets reviewed by two people, or reviewed ones whose truth is known",
            f"neither, {len(reviewers)} reviewer{'s' if len(reviewers) > 1 else ''}",
            f"Deal instances to several, and some of known truth: densecorr review assign {command.dataset}{labels} "
            f"--reviewers {names} --overlap 40 --gold 20 (or name the truth: --truth).",
        )


def _as_true(label: LabelRecord, truth: LabelRecord, reach: float) -> LabelRecord:
    """The label set with the vertex of the nearest annotated point within `reach` pixels of each point, else -1."""
    seen = np.ones(len(truth.x), bool) if truth.visible is None else truth.visible
    known = replace(truth, vertex=np.where(seen, truth.vertex, -1))
    return replace(label, vertex=true_vertices(label, known, reach), visible=None)
