"""`densecorr export`: a data set back as one COCO file, with its own labels or others in their place."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

if TYPE_CHECKING:
    from .session import Session


@dataclass(frozen=True)
class Export:
    """Write a data set as a COCO/DensePose JSON file; what was imported comes back equal, field by field."""

    dataset: Annotated[str, tyro.conf.Positional]
    """The data set: an id, a unique prefix or a tag."""
    out: Annotated[Path, tyro.conf.Positional]
    """The JSON file to write."""
    labels: str | None = None
    """Write these label sets (a `pseudo-label` artifact) instead of the data set's own."""
    silhouettes: bool = False
    """Also write silhouettes that were made here (GrabCut) for instances without a segmentation."""

    def __call__(self, session: "Session") -> None:
        """Write the file."""
        import pyarrow as pa

        from densecorr.datasets.arrow import DatasetTables
        from densecorr.datasets.export import write_coco
        from storage.datasets import read_dataset_info
        from storage.masks import correct_tables
        from storage.tables import read_table

        store = session.store
        folder = store.path(store.resolve(self.dataset))
        info = read_dataset_info(folder)
        images, instances, labels = (
            read_table(folder / f"{name}.parquet", name) for name in ("images", "instances", "labels")
        )
        other = None
        if self.labels is not None:
            other = read_table(store.path(store.resolve(self.labels)) / "labels.parquet", "labels")
            instances = correct_tables(instances, images, other)
        tables = DatasetTables(images, instances, labels, pa.table({}), info=info)
        write_coco(self.out, tables, labels=other, made_silhouettes=self.silhouettes)
        n_labels = len(labels if other is None else other)
        print(f"{self.out}: {len(images)} images, {len(instances)} annotations, {n_labels} label sets")
