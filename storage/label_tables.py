"""Every table of label sets in a store, and label sets found by their ids."""

from collections.abc import Iterator
from pathlib import Path

from densecorr.errors import ArtifactError
from densecorr.records import LabelRecord

from .artifacts import Store
from .rows import table_to_records
from .tables import read_table


def label_tables(store: Store, first: set[str]) -> Iterator[tuple[str, Path]]:
    """Artifacts with labels and their tables: those of `first`, then all others; the newest come first."""
    manifests = sorted(store.list(), key=lambda one: one.created, reverse=True)
    ours = [one for one in manifests if any(file.path == "labels.parquet" for file in one.files)]
    for manifest in sorted(ours, key=lambda one: one.artifact_id not in first):
        try:
            path = store.path(manifest.artifact_id) / "labels.parquet"
        except ArtifactError:
            continue  # damaged: `store verify` says so
        yield manifest.artifact_id, path


def read_label_sets(path: Path, label_ids: set[str]) -> list[LabelRecord]:
    """The label sets of these ids in one table."""
    if not label_ids:
        return []
    table = read_table(path, "labels", filters=[("label_id", "in", sorted(label_ids))])
    return table_to_records("labels", table)
