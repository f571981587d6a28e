"""`densecorr data export`: a chosen part of a data set for other programs."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from densecorr.datasets.exports import ShardLimits
from densecorr.datasets.query import Filters

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.dataset as pd

    from densecorr.datasets.exports import Progress, Selection

    from .session import Session

Format = Literal["coco", "densepose", "huggingface", "webdataset"]


@dataclass(frozen=True)
class DataExport:
    """Write a data set, or what filters choose of it, as COCO, COCO-DensePose, Hugging Face or WebDataset files."""

    dataset: Annotated[str, tyro.conf.Positional]
    """The data set: an id, a unique prefix, a tag, or its folder."""
    out: Annotated[Path, tyro.conf.Positional]
    """The folder to write: new or empty."""
    format: Format
    """densepose: the COCO file of the instances that have a label set."""
    labels: tuple[str, ...] = ()
    """These label sets instead of the data set's own: artifacts (`pseudo-label`), folders or Parquet files. With
    --label-source only those of that source are written."""
    images: bool = True
    """Also write the image files."""
    silhouettes: bool = False
    """For coco and densepose: also silhouettes that were made here (GrabCut)."""
    filters: Annotated[Filters, tyro.conf.arg(name="")] = field(default_factory=Filters)
    limits: Annotated[ShardLimits, tyro.conf.arg(name="")] = field(default_factory=ShardLimits)

    def __call__(self, session: "Session") -> None:
        """Write the folder; it appears whole or not at all."""
        from densecorr.datasets.export_coco import labelled_only
        from densecorr.errors import EmptyInstanceError

        from .data_query import dataset_folder
        from .progress import StageProgress
        from .session import say
        from .whole_file import whole_folder

        folder = dataset_folder(session, self.dataset)
        tables = [label_file(session, name) for name in self.labels] or [folder / "labels.parquet"]
        selection = read_selection(folder, self.filters, tables, self.images)
        if self.format == "densepose":
            selection = labelled_only(selection)
        if not len(selection.images):
            raise EmptyInstanceError(
                f"something of {self.dataset} to write",
                "none that has what the filters and the format ask",
                "Loosen them; `densecorr data summary` says what there is.",
            )
        with whole_folder(self.out) as part, StageProgress("export") as progress:
            selection.check_files()
            files = self._write(part, selection, progress)
            n_bytes = sum(file.stat().st_size for file in part.rglob("*") if file.is_file())
        say(
            f"{self.out}: {len(selection.images)} images, {len(selection.instances)} instances, "
            f"{len(selection.labels)} label sets; {files} {self.format} files, {n_bytes / 1e6:.1f} MB"
        )

    def _write(self, part: Path, selection: "Selection", progress: "Progress") -> int:
        """The number of files besides copied images and the card."""
        if self.format == "huggingface":
            from densecorr.datasets.export_huggingface import write_huggingface

            return len(write_huggingface(part, selection, self.limits, progress, self.out.name))
        if self.format == "webdataset":
            from densecorr.datasets.export_webdataset import write_webdataset

            return len(write_webdataset(part, selection, self.limits, progress))
        from densecorr.datasets.export_coco import write_coco_folder

        return len(write_coco_folder(part, selection, self.silhouettes, progress))


def label_file(session: "Session", name: str) -> Path:
    """The table of label sets that a name stands for: itself, in a folder, or in the artifact of that id or tag.

    Raises:
        ArtifactError: none of these.
    """
    path = Path(name)
    if path.is_file():
        return path
    if not (path / "labels.parquet").is_file():
        path = session.store.path(session.store.resolve(name))
    return path / "labels.parquet"


def read_selection(
    folder: Path, filters: Filters, label_tables: Sequence[Path], with_images: bool
) -> "Selection":
    """What filters choose of a data set: instances, their label sets, and the images that hold them.

    Images without instances are kept where no filter asks anything but a split.

    Args:
        folder: of the data set.
        filters: as of `query_instances`; `label_source` also chooses among the label sets.
        label_tables: Parquet files of label sets; those of other instances are passed over.
        with_images: whether to say where the image files are.

    Raises:
        ArtifactError: a table that is not one, or of another version.
        SettingsError, DependencyError: as of `query_instances`.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    from densecorr.datasets.exports import Selection
    from densecorr.datasets.query import query_instances
    from storage.datasets import image_path, read_dataset_info
    from storage.masks import correct_tables
    from storage.tables import read_table

    info = read_dataset_info(folder)
    ids = query_instances(folder, replace(filters, label_source=()))["instance_id"]
    labels = pa.concat_tables(
        [read_table(path, "labels", filters=_among("instance_id", ids)) for path in label_tables]
    )
    if filters.label_source:
        labels = labels.filter(pc.is_in(labels["source"], value_set=pa.array(filters.label_source)))
        ids = labels["instance_id"]
    instances = read_table(folder / "instances.parquet", "instances", filters=_among("instance_id", ids))
    images = read_table(folder / "images.parquet", "images")
    instances = correct_tables(instances, images, labels)
    if replace(filters, split=()) != Filters():
        images = images.filter(pc.is_in(images["image_id"], instances["image_id"].combine_chunks()))
    elif filters.split:
        images = images.filter(pc.is_in(images["split"], pa.array(filters.split)))
    places = None
    if with_images:
        root = info.get("image_root", "")
        places = [image_path(folder, root, uri) for uri in images["uri"].to_pylist()]
    return Selection(images, instances, labels, info, places)


def _among(column: str, values: "pa.ChunkedArray") -> "pd.Expression":
    import pyarrow.dataset as pd

    return pd.field(column).isin(values.combine_chunks())
