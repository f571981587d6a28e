"""A chosen part of a data set on its way out: nested per image, divided into shards, images read one at a time."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote, urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int

from ..errors import DatasetNotFoundError, SettingsError
from ..image_headers import image_errors
from ..image_uris import is_remote, is_uri, local_image

Progress = Callable[[int, int, str], object]
RENAMED = {"xywh": "bbox", "silhouette": "segmentation"}  # columns of instances, as others call them


@dataclass(frozen=True)
class ShardLimits:
    """How large a file of a sharded export gets; an image larger than the limit has a file of its own."""

    shard_images: int = 10_000
    """At most so many images a file."""
    shard_mb: float = 500.0
    """At most so many megabytes of images a file."""

    def __post_init__(self) -> None:
        """Check both numbers."""
        if self.shard_images < 1 or not self.shard_mb > 0:
            raise SettingsError(
                "shard_images of at least 1 and shard_mb above 0",
                f"{self.shard_images} and {self.shard_mb:g}",
                "Correct the numbers.",
            )


SHARDS = ShardLimits()


@dataclass(frozen=True)
class Selection:
    """Tables that hold nothing but what is to be written (columns of `arrow.IMAGES`, `INSTANCES`, `LABELS`).

    `info` is the content of `dataset.json`; `places` says where the file of each image is, in the order of the table,
    and is None for an export without images.
    """

    images: pa.Table
    instances: pa.Table
    labels: pa.Table
    info: dict[str, Any] = field(default_factory=dict)
    places: Sequence[Path | str] | None = None

    def image_file(self, row: int) -> Path:
        """The local file of an image, fetched if need be; only for a selection with images.

        Raises:
            DatasetNotFoundError: there is no such file.
            DependencyError, ImageError: as of `image_uris.local_image`.
        """
        assert self.places is not None  # exports without images do not ask
        path = local_image(self.places[row])
        if not path.is_file():
            raise _no_file(str(path), 1)
        return path

    def image_suffix(self, row: int) -> str:
        """The suffix of an image in small letters, from its uri, or, where that tells none, from its content.

        Raises:
            DatasetNotFoundError, DependencyError, ImageError: as `image_file`; or no image in it.
        """
        from PIL import Image

        uri = self.images["uri"][row].as_py()
        suffix = PurePosixPath(urlsplit(uri).path if is_uri(uri) else uri).suffix.lower()
        if suffix in Image.registered_extensions():
            return suffix
        file = self.image_file(row)
        with image_errors(file), Image.open(file) as image:
            return f".{(image.format or 'img').lower()}"

    def check_files(self) -> None:
        """See that the image files on this machine are there; what is at an address is left for later.

        Raises:
            DatasetNotFoundError: the message names the first file that is not.
        """
        local = [local_image(place) for place in self.places or () if not is_remote(place)]
        missing = [str(path) for path in local if not path.is_file()]
        if missing:
            raise _no_file(missing[0], len(missing))


def escape_key(text: str) -> str:
    """A text as one file name without `/` and `.`; different texts differ, and `urllib.parse.unquote` undoes it."""
    return quote(text, safe="").replace(".", "%2E")


def rows_of_splits(images: pa.Table) -> dict[str, list[int]]:
    """The rows of each split, in the table's order; images without one are `train` where none has one, else `unsplit`.

    Raises:
        SettingsError: a name that cannot be part of a file's name: other than letters, digits and `_`.
    """
    names = [name or None for name in images["split"].to_pylist()]
    without = "unsplit" if any(names) else "train"
    rows: dict[str, list[int]] = {}
    for row, name in enumerate(names):
        rows.setdefault(name or without, []).append(row)
    for name in rows:
        if not name.replace("_", "a").isalnum():
            raise SettingsError(
                "names of splits of letters, digits and _",
                repr(name),
                "Choose others with --split, or make new ones by `densecorr split`.",
            )
    return rows


def plan_shards(selection: Selection, rows: Sequence[int], limits: ShardLimits) -> Iterator[list[int]]:
    """The rows of one shard after another; sizes are those of the image files, fetched as their turn comes."""
    shard: list[int] = []
    n_bytes = 0
    for row in rows:
        size = 0 if selection.places is None else selection.image_file(row).stat().st_size
        if shard and (len(shard) >= limits.shard_images or n_bytes + size > limits.shard_mb * 1e6):
            yield shard
            shard, n_bytes = [], 0
        shard.append(row)
        n_bytes += size
    if shard:
        yield shard


class Nesting:
    """A selection's images with their instances as a list `objects`, and label sets as a list `labels` in those.

    The order of instances and of label sets is that of the tables. What belongs together is found once; `take` then
    copies only what is asked.
    """

    def __init__(self, selection: Selection) -> None:
        self._images = selection.images
        self._instances = selection.instances.combine_chunks()  # take is slow over many chunks
        self._labels = selection.labels.combine_chunks()
        self._of_image = _Groups(self._instances["image_id"], self._images["image_id"])
        self._of_instance = _Groups(self._labels["instance_id"], self._instances["instance_id"])

    def take(self, rows: Sequence[int]) -> pa.Table:
        """Some images: the columns of the images table and `objects`.

        An object has the columns of the instances table, with `bbox` (x, y, w, h) for `xywh` and `segmentation` for
        `silhouette`; a label set has those of the labels table. All in full-image pixels, as in the tables.
        """
        instance_rows, of_image = self._of_image.find(np.asarray(rows, dtype=np.int64))
        label_rows, of_instance = self._of_instance.find(instance_rows)
        labels = _structs(self._labels.take(label_rows).drop_columns("instance_id"))
        instances = self._instances.take(instance_rows).drop_columns("image_id")
        instances = instances.append_column("labels", pa.ListArray.from_arrays(of_instance, labels))
        names = [RENAMED.get(name, name) for name in instances.column_names]
        objects = pa.ListArray.from_arrays(of_image, _structs(instances.rename_columns(names)))
        images = self._images.take(pa.array(rows, pa.int64()))
        return pa.table(images.columns, names=images.column_names).append_column("objects", objects)


class _Groups:
    """The rows of one table that belong to each row of another, by a key."""

    def __init__(self, keys: pa.ChunkedArray, owners: pa.ChunkedArray) -> None:
        position = pc.index_in(keys, value_set=owners.combine_chunks()).to_numpy()
        self._order = np.argsort(position, kind="stable")
        self._ends = np.concatenate([[0], np.cumsum(np.bincount(position, minlength=len(owners)))])

    def find(self, owners: Int[np.ndarray, " n"]) -> tuple[Int[np.ndarray, " m"], pa.Array]:
        """The rows of some owners, one owner's after the other's, and where each begins and ends among them."""
        starts, ends = self._ends[owners], self._ends[owners + 1]
        found = [self._order[start:end] for start, end in zip(starts, ends, strict=True)]
        offsets = np.concatenate([[0], np.cumsum(ends - starts)])
        return np.concatenate([np.zeros(0, np.int64), *found]), pa.array(offsets, pa.int32())


def _structs(table: pa.Table) -> pa.StructArray:
    """The rows of a table as values; lists of a fixed size become plain ones, which more programs read."""
    columns = [
        column.combine_chunks().cast(pa.list_(column.type.value_type))
        if pa.types.is_fixed_size_list(column.type)
        else column.combine_chunks()
        for column in table.columns
    ]
    return pa.StructArray.from_arrays(columns, names=table.column_names)


def _no_file(name: str, count: int) -> DatasetNotFoundError:
    others = f" (and {count - 1} others)" if count > 1 else ""
    return DatasetNotFoundError(
        "the image files of the chosen part of the data set",
        f"no file {name}{others}",
        "Bring them back to where they were at ingest, or export with --no-images.",
    )
