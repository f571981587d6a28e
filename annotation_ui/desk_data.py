"""The tables a desk shows: kept as Arrow, found by row, decoded one instance at a time."""

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from densecorr.records import LabelRecord
from densecorr.templates.stored import Template, read_template
from storage.artifacts import Store
from storage.datasets import DatasetInstance, image_path, read_dataset_info
from storage.tables import read_table, table_to_records

from .desk_errors import DeskError
from .desk_settings import DeskSettings

_STALE = "Reload the panel; decisions of before stay: run densecorr review reconcile to carry them over."


class DeskData:
    """The data set, the labels to judge, the opinion and the template of one desk."""

    def __init__(self, settings: DeskSettings, store: Store) -> None:
        self._folder = store.path(settings.dataset)
        self._root = read_dataset_info(self._folder).get("image_root", "")
        self._images = _Rows(self._folder, "images", "image_id")
        self._instances = _Rows(self._folder, "instances", "instance_id")
        labels = store.path(settings.labels) if settings.labels else self._folder
        self._labels = _Rows(labels, "labels", "instance_id")
        opinion = store.path(settings.opinion) if settings.opinion else None
        self._opinion = None if opinion is None else _Rows(opinion, "labels", "instance_id")
        self.template: Template = read_template(store.path(settings.template))
        self.instance_ids = self._queue(settings.order)
        self._revision = lru_cache(4096)(self._read_revision)
        self._label = lru_cache(512)(self._read_label)

    def _queue(self, order: tuple[str, ...]) -> list[str]:
        """The instances to go through: those named, else all with labels but crowds and ignored ones.

        Where no order is given, those whose labels expect the largest error come first.
        """
        if order:
            return [key for key in order if key in self._instances.rows and key in self._labels.rows]
        table = self._instances.table.select(["instance_id", "iscrowd", "ignore"])
        rows = zip(*(column.to_pylist() for column in table.columns), strict=True)
        kept = [key for key, crowd, out in rows if not crowd and not out and key in self._labels.rows]
        errors = self._labels.table["expected_error"].to_pylist()
        means = {key: float(np.mean(errors[self._labels.rows[key]] or 0.0)) for key in kept}
        return sorted(kept, key=lambda key: -means[key])

    def columns(self) -> list[tuple[str, str]]:
        """Image id and category of the instances to go through."""
        rows = pa.array([self._instances.rows[key] for key in self.instance_ids], pa.int64())
        table = self._instances.table.select(["image_id", "category"]).take(rows)
        return list(zip(table["image_id"].to_pylist(), table["category"].to_pylist(), strict=True))

    def label_ids(self) -> list[str]:
        """The label sets of the instances to go through."""
        rows = pa.array([self._labels.rows[key] for key in self.instance_ids], pa.int64())
        return self._labels.table["label_id"].take(rows).to_pylist()

    def instance(self, instance_id: str) -> DatasetInstance:
        """An instance, its image's record and file.

        Raises:
            DeskError: the data set does not have it (`stale`).
        """
        record = self._instances.record(instance_id)
        if record is None:
            raise DeskError("stale", "an instance of this data set", f"'{instance_id}'", _STALE)
        image = self._images.record(record.image_id)
        if image is None:
            raise DeskError("input", f"image {record.image_id}", "no such row", "Ingest the data set again.")
        return DatasetInstance(record, image, image_path(self._folder, self._root, image.uri))

    def label(self, instance_id: str) -> LabelRecord:
        """The label set to judge.

        Raises:
            DeskError: there is none (`stale`), or it is of another template (`template`).
        """
        label = self._label(instance_id)
        if label.template_id != self.template.template_id:
            raise DeskError(
                "template",
                f"labels of template {self.template.template_id}",
                f"{label.template_id} at '{instance_id}'",
                "Open the review with the template that the labels were made with (--templates).",
            )
        return label

    def label_id(self, instance_id: str) -> str | None:
        """The label set to judge, None if there is none."""
        row = self._labels.rows.get(instance_id)
        return None if row is None else self._labels.table["label_id"][row].as_py()

    def _read_label(self, instance_id: str) -> LabelRecord:
        label = self._labels.record(instance_id)
        if label is None:
            raise DeskError("stale", "an instance with labels", f"'{instance_id}'", _STALE)
        return label

    def opinion(self, instance_id: str) -> LabelRecord | None:
        """The other label set, of the same template, if there is one."""
        found = None if self._opinion is None else self._opinion.record(instance_id)
        return found if found is not None and found.template_id == self.template.template_id else None

    def revision(self, instance_id: str) -> str:
        """A digest of the label set's id and content: what the panel saw."""
        return self._revision(instance_id)

    def _read_revision(self, instance_id: str) -> str:
        return label_digest(self._label(instance_id))

    def check_seen(self, instance_id: str, label_id: str, revision: str) -> LabelRecord:
        """The label set, if it is the one the panel saw.

        Raises:
            DeskError: the instance or its labels are gone or others (`stale`), or of another template.
        """
        label = self.label(instance_id)
        if (label.label_id, self.revision(instance_id)) != (label_id, revision):
            received = f"an act on {label_id} ({revision}) for '{instance_id}'"
            raise DeskError("stale", f"label set {label.label_id} as it is now", received, _STALE)
        return label


class _Rows:
    """A table and the row of each key; of several rows with one key the last counts."""

    def __init__(self, folder: Path, name: str, key: str) -> None:
        self._name = name
        self.table = read_table(folder / f"{name}.parquet", name).combine_chunks()
        self.rows = {text: row for row, text in enumerate(self.table[key].to_pylist())}

    def record(self, key: str) -> Any:
        """The record of a key, None if there is no such row."""
        row = self.rows.get(key)
        read: Any = table_to_records  # overloaded by literal names
        return None if row is None else read(self._name, self.table.slice(row, 1))[0]


def label_digest(label: LabelRecord) -> str:
    """16 digits that change with the label set's id, template or points."""
    digest = hashlib.sha256(f"{label.label_id}\0{label.template_id}\0".encode())
    ids = np.arange(len(label.x)) if label.point_ids is None else label.point_ids
    for array in (
        ids.astype("<i8"),
        label.x.astype("<f4"),
        label.y.astype("<f4"),
        label.vertex.astype("<i8"),
    ):
        digest.update(array.tobytes())
    if label.visible is not None:
        digest.update(label.visible.astype("u1").tobytes())
    return digest.hexdigest()[:16]
