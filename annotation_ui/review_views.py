"""What the review says of each image, as fields and saved views of its FiftyOne data set."""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .app import import_fiftyone
from .fields import BOXES
from .stored_samples import is_blind

LOW_CONFIDENCE = 0.9  # quantile of the expected error from which on an image is among the least certain
_OPEN_FIELDS = ("needs_review", "review_information")  # say whether, not what, someone decided
_FIELDS = (*_OPEN_FIELDS, "review_verdicts", "annotators_disagree", "review_fixed")
_BATCH = 4096  # images written at once


@dataclass(frozen=True)
class InstanceStatus:
    """The review of one instance: verdicts by reviewer, whether anything was changed, whether reviewers disagree."""

    verdicts: Mapping[str, str]
    changed: bool = False
    conflict: bool = False


def sync_review(
    dataset: Any,
    statuses: Mapping[str, InstanceStatus],
    information: Mapping[str, float],
    batch_size: int = _BATCH,
) -> int:
    """Bring the review's fields and saved views of an exported data set up to date; only what changed is written.

    One that was exported `blind` gets no field and no view that tells what was decided.

    Args:
        dataset: a FiftyOne data set that `samples.export_dataset` made.
        statuses: by instance id; an instance without one is unreviewed.
        information: what a review of each instance is expected to tell, the larger the sooner (by instance id;
            those without one are not up for review).
        batch_size: images written at once.

    Returns:
        The number of images whose fields changed.
    """
    fields = _OPEN_FIELDS if is_blind(dataset) else _FIELDS
    ids, keys = dataset.values(["id", f"{BOXES}.detections.instance_key"])
    before = [dataset.values(field) if dataset.has_field(field) else [None] * len(ids) for field in fields]
    changed: dict[str, tuple[Any, ...]] = {}
    for row, (sample_id, instances) in enumerate(zip(ids, keys, strict=True)):
        values = _image_values(instances or (), statuses, information)[: len(fields)]
        if values != tuple(column[row] for column in before):
            changed[sample_id] = values
    rows = list(changed)
    for start in range(0, len(rows), batch_size):
        batch = rows[start : start + batch_size]
        for k, field in enumerate(fields):
            by_id = {sample_id: changed[sample_id][k] for sample_id in batch}
            if dataset.has_field(field) or any(value is not None for value in by_id.values()):
                dataset.set_values(field, by_id, key_field="id", dynamic=True, validate=False)
    _save_views(dataset)
    return len(changed)


def _image_values(
    instances: Any, statuses: Mapping[str, InstanceStatus], information: Mapping[str, float]
) -> tuple[Any, ...]:
    known = [statuses[key] for key in instances if key in statuses]
    open_ones = [
        information[key]
        for key in instances
        if key in information and not (key in statuses and statuses[key].verdicts)
    ]
    verdicts = sorted({verdict for status in known for verdict in status.verdicts.values()})
    return (
        bool(open_ones),
        max(open_ones, default=None),
        verdicts or None,
        any(status.conflict for status in known),
        any(status.changed for status in known),
    )


def _save_views(dataset: Any) -> None:
    """The views to start from; saved again each time, since fields and limits change."""
    views: dict[str, Callable[[Any], Any] | None] = {
        "needs review": lambda F: dataset.match(F("needs_review")).sort_by(
            "review_information", reverse=True
        ),
        "probable left/right flip": _flipped(dataset),
        "low confidence": _uncertain(dataset),
        "moments": _moments(dataset),
    }
    if not is_blind(dataset):
        views["annotators disagree"] = lambda F: dataset.match(F("annotators_disagree"))
        views["fixed"] = lambda F: dataset.match(F("review_fixed"))
    field = import_fiftyone().ViewField
    # Another App may have saved them again: then the list, in memory or stored, names views that are gone.
    importlib.import_module("fiftyone.core.odm.database").patch_saved_views(dataset.name)
    dataset.reload()
    for name, make in views.items():
        if make is not None:
            dataset.save_view(name, make(field), overwrite=True)
        elif dataset.has_saved_view(name):
            dataset.delete_saved_view(name)


def _flipped(dataset: Any) -> Callable[[Any], Any] | None:
    fields = _fields_ending(dataset, "_mirrored")
    return (lambda F: dataset.match(_any([F(field) > 0 for field in fields]))) if fields else None


def _uncertain(dataset: Any) -> Callable[[Any], Any] | None:
    """Images whose expected error is among the highest tenth of any label set, worst first."""
    fields = _fields_ending(dataset, "_expected_error")
    limits = {}
    for field in fields:
        known = [value for value in dataset.values(field) if value is not None]
        if known:
            limits[field] = sorted(known)[min(int(LOW_CONFIDENCE * len(known)), len(known) - 1)]
    if not limits:
        return None
    first = next(iter(limits))
    return lambda F: dataset.match(_any([F(field) >= limit for field, limit in limits.items()])).sort_by(
        first, reverse=True
    )


def _moments(dataset: Any) -> Callable[[Any], Any] | None:
    """Images that several cameras took at once, as dynamic groups in the order of the cameras."""
    known = all(dataset.has_field(field) for field in ("source", "camera_id", "frame"))
    if not known or len(dataset.distinct("camera_id")) < 2 or not dataset.distinct("frame"):
        return None
    return lambda F: dataset.match((F("camera_id") != None) & (F("frame") != None)).group_by(  # noqa: E711
        ["source", "frame"], order_by="camera_id"
    )


def _fields_ending(dataset: Any, ending: str) -> list[str]:
    return [field for field in dataset.get_field_schema() if field.endswith(ending)]


def _any(conditions: list[Any]) -> Any:
    first, *rest = conditions
    for condition in rest:
        first = first | condition
    return first
