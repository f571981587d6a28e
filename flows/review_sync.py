"""`densecorr review sync`: what was decided so far, as fields and saved views of the FiftyOne data set."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from tyro.conf import Positional

from .review_orders import Order, orders_of, selected_order
from .session import Session, say, state_folder

if TYPE_CHECKING:
    from annotation_ui.review_views import InstanceStatus
    from densecorr.records import Decision, LabelRecord
    from densecorr.review.state import ReviewState
    from densecorr.templates.stored import Template
    from storage.artifacts import Store

_AGREE_WITHIN = 0.05  # share of the diameter, as `correct` has it
_PIXELS_APART = 1e-3  # a point that moved less did not move


@dataclass(frozen=True)
class ReviewSync:
    """Bring the saved views of the FiftyOne data set (needs review, fixed, annotators disagree) up to date."""

    dataset: Positional[str]
    """The data set: an id, its first digits, or a tag."""
    labels: str | None = None
    """The label artifact that is reviewed; by default the data set's own labels."""
    name: str | None = None
    """Name given to `review open`; by default densecorr-<first digits of the data set's id>."""

    def __call__(self, session: Session) -> None:
        """Write what changed."""
        from annotation_ui.app import import_fiftyone

        store = session.open_store()
        dataset_id = store.resolve(self.dataset)
        labels = None if self.labels is None else store.resolve(self.labels)
        import_fiftyone()
        for name, n_changed in sync(store, dataset_id, labels, fiftyone_names(dataset_id, self.name)).items():
            say(f"{n_changed} images of '{name}' changed")


def fiftyone_names(dataset_id: str, name: str | None) -> tuple[str, str]:
    """What FiftyOne calls a data set: the one to browse, and the one that reviewers open.

    They are two, so that nobody who browses shows the reviewers what they must not see.
    """
    browsed = name or f"densecorr-{dataset_id[:8]}"
    return browsed, f"{browsed}-review"


@contextmanager
def writing_to_fiftyone() -> Iterator[None]:
    """One process of this user at a time: Apps that open at once would break each other's saved views."""
    from filelock import FileLock

    folder = state_folder() / "review"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "fiftyone.lock"):
        yield


def sync(
    store: "Store",
    dataset_id: str,
    labels: str | None,
    names: Sequence[str],
    order: Sequence[str] | None = None,
) -> dict[str, int]:
    """Bring the review's fields and saved views up to date; how many images changed, by FiftyOne data set.

    Args:
        store: where the decisions are.
        dataset_id: the data set.
        labels: the labels that are reviewed; None: its own.
        names: of FiftyOne data sets; those that were not exported are left out.
        order: instances to review; by default the reviewers' shares, else all with labels.

    Raises:
        SettingsError: there is no FiftyOne data set of these names, or one did not come from here.
    """
    from annotation_ui.app import import_fiftyone
    from annotation_ui.review_views import sync_review
    from annotation_ui.stored_samples import open_dataset
    from densecorr.errors import SettingsError

    fo = import_fiftyone()
    found = [name for name in names if fo.dataset_exists(name)]
    if not found:
        raise SettingsError(
            "a data set that was exported to FiftyOne", f"'{names[0]}'", "Run: densecorr review open DATASET"
        )
    information, statuses = information_of(store, dataset_id, labels, order), statuses_of(store, dataset_id)
    with writing_to_fiftyone():
        return {name: sync_review(open_dataset(name), statuses, information) for name in found}


def statuses_of(store: "Store", dataset_id: str) -> dict[str, "InstanceStatus"]:
    """What all reviewers said of each instance of a data set, on the label set that was judged last."""
    from densecorr.review.reviewers import judged_last
    from storage.decisions import read_decisions

    unreadable: list[str] = []
    last = judged_last(read_decisions(store, dataset_id=dataset_id, unreadable=unreadable))
    for sentence in unreadable:
        say(sentence)
    labels = _find_labels(store, dataset_id, {acts[0].label_id for acts in last.values()})
    templates = _find_templates(store, dataset_id, {label.template_id for label in labels.values()})
    found = {key: (labels.get((key, acts[0].label_id)), acts) for key, acts in last.items()}
    return {
        key: status_of(label, acts, templates.get(label.template_id))
        for key, (label, acts) in found.items()
        if label is not None
    }


def status_of(
    label: "LabelRecord", acts: Sequence["Decision"], template: "Template | None"
) -> "InstanceStatus":
    """The reviews of one label set; without its template vertices are not compared."""
    from annotation_ui.review_views import InstanceStatus
    from densecorr.review.resolver import Majority, resolve
    from densecorr.review.reviewers import reviews_of
    from densecorr.templates.stored import geodesic_rows

    reviews = reviews_of(label, acts)
    said = {one.reviewer: one.state.verdict["action"] for one in reviews if one.state.verdict}
    conflict = len(set(said.values()) - {"skip"}) > 1
    if template is not None and len(reviews) > 1 and not conflict:
        within = _AGREE_WITHIN * float(template.diameter)
        found = resolve(label, reviews, Majority(), partial(geodesic_rows, template), within, "", "")
        conflict = bool(found.conflicts)
    changed = any(_is_changed(label, one.state) for one in reviews)
    return InstanceStatus(said, changed, conflict)


def information_of(
    store: "Store", dataset_id: str, labels: str | None, order: Sequence[str] | None = None
) -> Mapping[str, float]:
    """What is up for review, the larger the sooner: by its place in the orders, else by its mean expected error.

    Without either, by its place in the table of labels.
    """
    import numpy as np

    from storage.tables import read_table

    shares = orders_of(store, dataset_id) if order is None else {"": Order(tuple(order))}
    chosen = selected_order(store, labels)
    if not shares and chosen is not None:
        shares = {"": chosen}
    if shares:
        soonest: dict[str, float] = {}
        for share in shares.values():
            for k, key in enumerate(share.instances):
                soonest[key] = max(soonest.get(key, 0.0), 1 - k / len(share.instances))
        return soonest
    folder = store.path(dataset_id if labels is None else labels)
    table = read_table(folder / "labels.parquet", "labels", ["instance_id", "expected_error"])
    keys, errors = (table[name].to_pylist() for name in ("instance_id", "expected_error"))
    if any(errors):
        return {key: float(np.mean(error)) if error else 0.0 for key, error in zip(keys, errors, strict=True)}
    return {key: 1 - k / len(keys) for k, key in enumerate(keys)}


def _is_changed(label: "LabelRecord", state: "ReviewState") -> bool:
    """Whether points, regions or parts are others than in the label set."""
    from densecorr.review.state import initial_state

    first = initial_state(label)
    before = first.points
    if state.regions or state.parts != first.parts or before.keys() != state.points.keys():
        return True
    return any(
        (before[key].vertex, before[key].visible) != (point.vertex, point.visible)
        or max(abs(before[key].x - point.x), abs(before[key].y - point.y)) > _PIXELS_APART
        for key, point in state.points.items()
    )


def _find_labels(
    store: "Store", dataset_id: str, label_ids: set[str]
) -> dict[tuple[str, str], "LabelRecord"]:
    """Label sets by instance and label id, from any artifact."""
    from storage.label_tables import label_tables, read_label_sets

    found: dict[tuple[str, str], LabelRecord] = {}
    for _, path in label_tables(store, {dataset_id}):
        left = label_ids - {label_id for _, label_id in found}
        if not left:
            break
        found |= {(one.instance_id, one.label_id): one for one in read_label_sets(path, left)}
    return found


def _find_templates(store: "Store", dataset_id: str, template_ids: set[str]) -> dict[str, "Template"]:
    import json

    from densecorr.templates.stored import read_template

    from .review_templates import template_folders

    found: dict[str, Template] = {}
    for _, folder in template_folders(store, [dataset_id], ()):
        if template_ids <= found.keys():
            break
        name = json.loads((folder / "template.json").read_text(encoding="utf-8"))["template_id"]
        if name in template_ids and name not in found:
            found[name] = read_template(folder)
    return found
