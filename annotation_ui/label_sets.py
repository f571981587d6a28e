"""Label sets to show in FiftyOne: their fields, their rows by instance, and the masks that they carry."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from storage.masks import correct_tables
from storage.tables import read_table, table_to_records

TRUTH = "truth"  # the field of the data set's own labels


@dataclass(frozen=True)
class LabelSet:
    """One set of labels to show: the FiftyOne field it goes to, its table, its rows by instance."""

    field: str
    table: pa.Table
    rows: dict[str, list[int]]

    def of(self, instance_ids: Sequence[str]) -> dict[str, list[Any]]:
        """The label records of these instances, by instance id."""
        return group(table_to_records("labels", take(self.table, self.rows, instance_ids)), "instance_id")


def read_label_sets(
    dataset_folder: Path, label_folders: Sequence[Path], with_truth: bool = True
) -> list[LabelSet]:
    """The data set's own labels as `truth`, each other folder's as its commonest source; names are unique."""
    sets: list[LabelSet] = []
    for folder in (dataset_folder, *label_folders):
        if folder == dataset_folder and not with_truth:
            continue
        table = read_table(folder / "labels.parquet", "labels")
        if len(table) == 0:
            continue
        commonest = Counter(table["source"].to_pylist()).most_common(1)[0][0]
        field = TRUTH if folder == dataset_folder else commonest
        if any(labels.field == field for labels in sets):
            field = f"{field}_{folder.name[:8]}".replace("-", "_").replace(".", "_")
        sets.append(LabelSet(field, table, rows_by(table, "instance_id")))
    return sets


def correct_masks(instances: pa.Table, images: pa.Table, sets: Sequence[LabelSet]) -> pa.Table:
    """The table of instances with the masks that reviewed label sets carry: the first named one's that has one.

    The data set's own labels, `truth`, come last: what is reviewed is named.

    Raises:
        AnnotationError: polygons that do not fit the image.
    """
    for labels in sorted(reversed(sets), key=lambda one: one.field != TRUTH):
        instances = correct_tables(instances, images, labels.table)
    return instances


def rows_by(table: pa.Table, column: str) -> dict[str, list[int]]:
    """The rows of each value of a column."""
    rows: dict[str, list[int]] = {}
    for row, key in enumerate(table[column].to_pylist()):
        rows.setdefault(key, []).append(row)
    return rows


def take(table: pa.Table, rows: Mapping[str, list[int]], keys: Iterable[str]) -> pa.Table:
    """The rows of these keys, in their order."""
    return table.take(pa.array([row for key in keys for row in rows.get(key, [])], pa.int64()))


def group(records: Iterable[Any], key: str) -> dict[str, list[Any]]:
    """Records by the value of a field."""
    groups: dict[str, list[Any]] = {}
    for record in records:
        groups.setdefault(getattr(record, key), []).append(record)
    return groups
