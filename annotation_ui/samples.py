"""Tables to FiftyOne: a sample an image, its boxes with silhouettes, a field of coloured points a label set.

FiftyOne is a view of the tables that can be rebuilt at any time: exporting again under the same name updates
the samples in place by `image_id`, removes those that are gone, and keeps what a user added (tags, saved
views, other fields).
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import UInt8

from densecorr.errors import SettingsError
from storage.datasets import read_dataset_info
from storage.tables import read_table, table_to_records

from .app import import_fiftyone
from .appearance import set_appearance
from .conversion import image_path
from .digests import content_digest, digest_of_look
from .fields import BOXES, ENDINGS, OVERLAYS, Overlay, declare_boxes, image_fields
from .points import declare_points, write_documents

_DIGEST = "densecorr_digest"  # of what a sample shows: one that is the same is not written again
_INFO = "densecorr"  # our key in the FiftyOne data set's `info`: marks it as ours and lists our fields


@dataclass(frozen=True)
class ExportSummary:
    """What an export left in FiftyOne: totals, and what it did to reach them."""

    name: str
    n_images: int
    n_instances: int
    n_points: dict[str, int]  # by label-set field
    n_added: int
    n_updated: int
    n_removed: int
    n_missing_files: int
    n_strange_labels: int  # of instances that the data set does not have
    uncolored_templates: tuple[str, ...]

    def __str__(self) -> str:
        """A few readable lines."""
        points = ", ".join(f"{field} {n}" for field, n in self.n_points.items()) or "none"
        done = f"{self.n_added} added, {self.n_updated} updated, {self.n_removed} removed"
        lines = [
            f"FiftyOne data set '{self.name}': {self.n_images} images ({done}), "
            f"{self.n_instances} instances; points: {points}."
        ]
        if self.n_missing_files:
            lines.append(f"{self.n_missing_files} image files are missing: their tiles are empty.")
        if self.n_strange_labels:
            lines.append(f"{self.n_strange_labels} label sets are of instances that this data set lacks.")
        if self.uncolored_templates:
            lines.append(
                f"Grey, their template's colours being unknown: {', '.join(self.uncolored_templates)}."
            )
        return "\n".join(lines)


@dataclass(frozen=True)
class LabelSet:
    """One set of labels to show: the FiftyOne field it goes to, its table, its rows by instance."""

    field: str
    table: pa.Table
    rows: dict[str, list[int]]

    def of(self, instance_ids: Sequence[str]) -> dict[str, list[Any]]:
        """The label records of these instances, by instance id."""
        records = table_to_records("labels", _take(self.table, self.rows, instance_ids))
        return _group(records, "instance_id")


def export_dataset(
    dataset_folder: Path,
    label_folders: Sequence[Path],
    templates: Mapping[str, UInt8[np.ndarray, "V 3"]],
    name: str,
    *,
    overlays: Sequence[Overlay] = (),
    batch_size: int = 256,
    progress: Callable[[int, int], None] | None = None,
    keep_fields: bool = False,
) -> ExportSummary:
    """Make, or bring up to date, the FiftyOne data set `name` from a data set artifact and label artifacts.

    Args:
        dataset_folder: a data set artifact; its own labels become the field `truth`.
        label_folders: label artifacts; the field of each is its labels' source (`zero_shot`, `model`, ...).
        templates: colours in [0, 255] of each template's vertices, by template id; others are grey.
        name: name of the FiftyOne data set.
        overlays: also paint each silhouette like its nearest labelled point: `colors` (`<field>_dense`), `iuv`
            (`<field>_iuv`), `error` (`<field>_error`).
        batch_size: images written at once.
        progress: called with (images done, images in all) after each batch.
        keep_fields: leave the label sets that an earlier export showed: others may look at them now.

    Raises:
        DependencyError: no MongoDB.
        SettingsError: a FiftyOne data set of this name exists and did not come from here.
        AnnotationError: a label names a vertex its template does not have.
    """
    images = read_table(dataset_folder / "images.parquet", "images")
    instances = read_table(dataset_folder / "instances.parquet", "instances")
    rows = _rows_by(instances, "image_id")
    sets = read_label_sets(dataset_folder, label_folders)
    root = image_root(dataset_folder)
    dataset = _open_dataset(name)
    known = dict(zip(*dataset.values(["image_id", "id"]), strict=True))
    declare_boxes(dataset)
    if not dataset.has_field(_DIGEST):
        dataset.add_sample_field(_DIGEST, import_fiftyone().StringField)
    for labels in sets:
        declare_points(dataset, labels.field)
    digests = _known_digests(dataset)
    look = digest_of_look(templates, overlays, [labels.field for labels in sets])
    n_missing, n_shown, n_updated = 0, 0, 0
    for start in range(0, len(images), batch_size):
        batch = table_to_records("images", images.slice(start, batch_size))
        found = table_to_records("instances", _take(instances, rows, [image.image_id for image in batch]))
        by_image = _group(found, "image_id")
        labels_by_field = {labels.field: labels.of([one.instance_id for one in found]) for labels in sets}
        n_shown += sum(len(records) for labels in labels_by_field.values() for records in labels.values())
        content = {}
        for image in batch:
            ours = by_image.get(image.image_id, [])
            path = image_path(image.uri, root)
            n_missing += not Path(path).is_file()
            digest = content_digest(look, path, image, ours, labels_by_field)
            if digests.get(image.image_id) == digest:
                continue
            n_updated += image.image_id in known
            values = image_fields(image, ours, labels_by_field, templates, overlays)
            content[image.image_id] = values | {"filepath": path, _DIGEST: digest}
        if content:
            _write_batch(dataset, content, known, [labels.field for labels in sets])
        if progress is not None:
            progress(start + len(batch), len(images))
    image_ids = set(images["image_id"].to_pylist())
    stale = [known[image_id] for image_id in known.keys() - image_ids]
    dataset.delete_samples(stale)
    palettes = {labels.field: set(dataset.distinct(f"{labels.field}.keypoints.color")) for labels in sets}
    shown = _list_fields(dataset, palettes, overlays, keep_fields)
    kept = [field for field in shown if f"{field}_points" in shown and field not in palettes]
    others = {field: set(dataset.distinct(f"{field}.keypoints.color")) for field in kept}
    set_appearance(dataset, instances["category"].unique().to_pylist(), others | palettes)
    dataset.save()
    used = {one for labels in sets for one in labels.table["template_id"].unique().to_pylist()}
    return ExportSummary(
        name=name,
        n_images=len(dataset),
        n_instances=dataset.count(f"{BOXES}.detections"),
        n_points={field: int(dataset.sum(f"{field}_points")) for field in palettes},
        n_added=len(image_ids - known.keys()),
        n_updated=n_updated,
        n_removed=len(stale),
        n_missing_files=n_missing,
        n_strange_labels=sum(len(labels.table) for labels in sets) - n_shown,
        uncolored_templates=tuple(sorted(used - templates.keys())),
    )


def _known_digests(dataset: Any) -> dict[str, str]:
    return dict(zip(*dataset.values(["image_id", _DIGEST]), strict=True))


def remove_dataset(name: str) -> None:
    """Delete an exported FiftyOne data set; the tables it shows are not touched.

    Raises:
        DependencyError: no MongoDB.
        SettingsError: there is none of this name, or it did not come from here.
    """
    fo = import_fiftyone()
    if not fo.dataset_exists(name):
        raise SettingsError(f"one of {fo.list_datasets()}", f"'{name}'", "Correct the name.")
    _open_dataset(name).delete()


def read_label_sets(dataset_folder: Path, label_folders: Sequence[Path]) -> list[LabelSet]:
    """The data set's own labels as `truth`, each other folder's as its commonest source; names are unique."""
    sets: list[LabelSet] = []
    for folder in (dataset_folder, *label_folders):
        table = read_table(folder / "labels.parquet", "labels")
        if len(table) == 0:
            continue
        commonest = Counter(table["source"].to_pylist()).most_common(1)[0][0]
        field = "truth" if folder == dataset_folder else commonest
        if any(labels.field == field for labels in sets):
            field = f"{field}_{folder.name[:8]}".replace("-", "_").replace(".", "_")
        sets.append(LabelSet(field, table, _rows_by(table, "instance_id")))
    return sets


def image_root(dataset_folder: Path) -> Path:
    """The absolute folder that the data set's image names are relative to.

    Raises:
        DatasetNotFoundError: the folder is not a data set.
    """
    return (dataset_folder / read_dataset_info(dataset_folder).get("image_root", "")).absolute()


def _rows_by(table: pa.Table, column: str) -> dict[str, list[int]]:
    rows: dict[str, list[int]] = {}
    for row, key in enumerate(table[column].to_pylist()):
        rows.setdefault(key, []).append(row)
    return rows


def _take(table: pa.Table, rows: Mapping[str, list[int]], keys: Iterable[str]) -> pa.Table:
    return table.take(pa.array([row for key in keys for row in rows.get(key, [])], pa.int64()))


def _group(records: Iterable[Any], key: str) -> dict[str, list[Any]]:
    groups: dict[str, list[Any]] = {}
    for record in records:
        groups.setdefault(getattr(record, key), []).append(record)
    return groups


def _open_dataset(name: str) -> Any:
    fo = import_fiftyone()
    if fo.dataset_exists(name):
        dataset = fo.load_dataset(name)
        if _INFO not in dataset.info:
            raise SettingsError(
                "a new FiftyOne data set, or one exported from here",
                f"'{name}', which came from elsewhere",
                "Choose another --name.",
            )
        return dataset
    dataset = fo.Dataset(name)
    dataset.add_sample_field("image_id", fo.StringField)
    dataset.create_index("image_id", unique=True)  # the database itself refuses a duplicate
    dataset.info[_INFO] = {"fields": []}
    dataset.save()
    dataset.persistent = True  # last: killed before this, it would be a stranger, and FiftyOne removes it
    return dataset


def _write_batch(
    dataset: Any, content: dict[str, dict[str, Any]], known: dict[str, str], fields: Sequence[str]
) -> None:
    """Add or update the samples of these images; `fields` are the label sets' fields, known what was there before."""
    fo = import_fiftyone()
    stored = (
        BOXES,
        *fields,
        _DIGEST,
    )  # the digest goes with the content: killed in between, it is written again
    documents = {key: {field: values.pop(field) for field in stored} for key, values in content.items()}
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


def _list_fields(
    dataset: Any, palettes: Mapping[str, set[str]], overlays: Sequence[Overlay], keep: bool
) -> list[str]:
    """Note which fields are ours: those of this export and, with `keep`, of earlier ones, else these are removed."""
    endings = [*ENDINGS, *(OVERLAYS[kind] for kind in overlays)]
    fields = [field + ending for field in palettes for ending in endings]
    before = [field for field in dataset.info[_INFO]["fields"] if field not in fields]
    if not keep:
        dataset.delete_sample_fields([field for field in before if dataset.has_field(field)])
    dataset.info[_INFO] = {"fields": [*fields, *before] if keep else fields}
    return dataset.info[_INFO]["fields"]
