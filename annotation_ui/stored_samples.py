"""The FiftyOne data set that an export writes: which are ours, what they showed before, batches of samples.

The digest of what a sample shows stands in its boxes' document, undeclared: there it goes with the content in one
write, and FiftyOne's sidebar, which lists every declared field, does not show it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from densecorr.errors import SettingsError

from .app import import_fiftyone
from .fields import BOXES, ENDINGS, OVERLAYS, Overlay
from .points import write_documents

_DIGEST = "densecorr_digest"
_INFO = "densecorr"  # our key in the FiftyOne data set's `info`: marks it as ours and lists our fields


def open_dataset(name: str, blind: bool | None = None) -> Any:
    """The FiftyOne data set of this name, made if there is none.

    Args:
        name: its name.
        blind: whether it is one that does not say what reviewers decided, for themselves to open; None: either.

    Raises:
        SettingsError: it exists and did not come from here, or is not as `blind` says.
    """
    fo = import_fiftyone()
    if fo.dataset_exists(name):
        dataset = fo.load_dataset(name)
        if _INFO not in dataset.info:
            raise SettingsError(
                "a new FiftyOne data set, or one exported from here",
                f"'{name}', which came from elsewhere",
                "Choose another --name.",
            )
        if blind is not None and blind != is_blind(dataset):
            kinds = ("a FiftyOne data set to browse", "a FiftyOne data set for reviewers")
            raise SettingsError(kinds[blind], f"'{name}', {kinds[not blind]}", "Choose another --name.")
        if dataset.has_field(_DIGEST):
            dataset.delete_sample_field(_DIGEST)  # earlier exports had it as a field of its own
        return dataset
    dataset = fo.Dataset(name)
    dataset.add_sample_field("image_id", fo.StringField)
    dataset.create_index("image_id", unique=True)  # the database itself refuses a duplicate
    dataset.info[_INFO] = {"fields": [], "blind": bool(blind)}
    dataset.save()
    dataset.persistent = True  # last: killed before this, it would be a stranger, and FiftyOne removes it
    return dataset


def is_blind(dataset: Any) -> bool:
    """Whether an exported data set is one for reviewers, which must not say what was decided."""
    return bool(dataset.info[_INFO].get("blind"))


def hidden_fields(dataset: Any) -> list[str]:
    """The label sets that an exported data set for reviewers once hid from them: they stay hidden."""
    return dataset.info[_INFO].get("hidden", []) if is_blind(dataset) else []


def known_digests(dataset: Any) -> dict[str, str | None]:
    """What `write_batch` was told of each image, by image id."""
    return dict(zip(*dataset.values(["image_id", f"{BOXES}.{_DIGEST}"]), strict=True))


def write_batch(
    dataset: Any,
    content: Mapping[str, dict[str, Any]],
    digests: Mapping[str, str],
    known: Mapping[str, str],
    fields: Sequence[str],
) -> None:
    """Add or update the samples of these images.

    Args:
        dataset: the FiftyOne data set.
        content: values by field, by image id.
        digests: of what each of these images shows.
        known: sample ids of the images that were there before.
        fields: the label sets' fields.
    """
    fo = import_fiftyone()
    documents = {}
    for key, values in content.items():
        documents[key] = {field: values.pop(field) for field in (BOXES, *fields)}
        documents[key][BOXES][_DIGEST] = digests[
            key
        ]  # with the content: killed in between, it is written again
    new = {key: values for key, values in content.items() if key not in known}
    ids = {key: known[key] for key in content if key in known}
    if new:
        samples = [fo.Sample(image_id=key, **values) for key, values in new.items()]
        added = dataset.add_samples(samples, validate=False, progress=False)  # built here: no check needed
        ids |= dict(zip(new, added, strict=True))
    old = {known[key]: values for key, values in content.items() if key in known}
    for field in next(iter(old.values()), {}):
        by_id = {sample_id: values[field] for sample_id, values in old.items()}
        if dataset.has_field(field) or any(value is not None for value in by_id.values()):
            dataset.set_values(field, by_id, key_field="id", validate=False)
    write_documents(dataset, {ids[key]: values for key, values in documents.items()})


def list_fields(
    dataset: Any,
    label_fields: Sequence[str],
    overlays: Sequence[Overlay],
    keep: bool,
    hidden: Sequence[str] = (),
) -> list[str]:
    """Note which fields are ours: those of this export and, with `keep`, of earlier ones; the others are removed.

    The label sets of `hidden` are removed in any case, and noted (`hidden_fields`).
    """
    endings = [*ENDINGS, *(OVERLAYS[kind] for kind in overlays)]
    fields = [field + ending for field in label_fields for ending in endings]
    before = [field for field in dataset.info[_INFO]["fields"] if field not in fields]
    shut = {field + ending for field in hidden for ending in (*ENDINGS, *OVERLAYS.values())}
    gone = [field for field in before if field in shut] if keep else before
    dataset.delete_sample_fields([field for field in gone if dataset.has_field(field)])
    known = [*fields, *(field for field in before if field not in gone)]
    dataset.info[_INFO] = {**dataset.info[_INFO], "fields": known, "hidden": list(hidden)}
    return known
