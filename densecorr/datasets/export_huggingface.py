"""A chosen part of a data set as a folder that `datasets.load_dataset` opens: Parquet shards and a data set card.

Written with pyarrow: for writing alone, `datasets` (with aiohttp, dill, multiprocess, ...) is too much to depend on.
The conventions are those of its versions 2 to 4: the schema's metadata `huggingface` holds the features as JSON, lists
in the form `[feature]`, which all of them read; an image is a struct of bytes and path.
"""

import json
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from .dataset_card import SplitSize, dataset_card
from .exports import SHARDS, Nesting, Progress, Selection, ShardLimits, plan_shards, rows_of_splits

ROW_GROUP = ShardLimits(shard_images=100, shard_mb=64.0)  # read at once by whoever streams
IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
_DTYPES = {"double": "float64", "float": "float32"}  # Arrow's names to those of `datasets`


def write_huggingface(
    folder: Path,
    selection: Selection,
    limits: ShardLimits = SHARDS,
    progress: Progress = lambda done, total, text: None,
    name: str = "densecorr data set",
) -> list[Path]:
    """Write `data/<split>-00000-of-0000N.parquet` and README.md.

    A row is an image: `image` (the original bytes), the columns of the images table and `objects`, as
    `exports.Nesting.take` gives them, with `category` a class label. At most `ROW_GROUP` is in memory at once.

    Args:
        folder: an empty folder.
        selection: what to write; without `places` there is no column `image`.
        limits: when the next file begins.
        progress: called with the images done, their number and the split.
        name: the title of the card.

    Returns:
        The Parquet files, split by split.

    Raises:
        SettingsError: a split whose name cannot be part of a file's.
        DatasetNotFoundError, DependencyError, ImageError: an image that cannot be read.
    """
    categories = _category_names(selection)
    numbers = pc.index_in(selection.instances["category"], value_set=pa.array(categories, pa.string()))
    place = selection.instances.column_names.index("category")
    instances = selection.instances.set_column(place, "category", numbers.cast(pa.int64()))
    nesting = Nesting(Selection(selection.images, instances, selection.labels))
    schema = _schema(nesting.take([]).schema, categories, selection.places is not None)
    (folder / "data").mkdir()
    written, sizes, done = list[Path](), dict[str, SplitSize](), 0
    for split, split_rows in rows_of_splits(selection.images).items():
        parts, n_bytes = list[Path](), 0
        for shard in plan_shards(selection, split_rows, limits):
            parts.append(folder / "data" / f"{split}-{len(parts):05d}.parquet")
            with pq.ParquetWriter(parts[-1], schema) as writer:
                for rows in plan_shards(selection, shard, ROW_GROUP):
                    table = _with_images(nesting.take(rows), selection, rows).cast(schema)
                    writer.write_table(table, row_group_size=len(table))
                    n_bytes += table.nbytes
                    done += len(rows)
                    progress(done, len(selection.images), split)
        named = [path.with_name(f"{path.stem}-of-{len(parts):05d}.parquet") for path in parts]
        written += [path.rename(final) for path, final in zip(parts, named, strict=True)]
        n_stored = sum(path.stat().st_size for path in named)
        sizes[split] = SplitSize(len(split_rows), n_bytes, n_stored)
    (folder / "README.md").write_text(dataset_card(name, selection, sizes), encoding="utf-8")
    return written


def features_of(kind: pa.DataType) -> Any:
    """A type as the JSON of a feature of `datasets`."""
    if pa.types.is_struct(kind):
        return {field.name: features_of(field.type) for field in kind}
    if pa.types.is_list(kind):
        return [features_of(kind.value_type)]
    return {"dtype": _DTYPES.get(str(kind), str(kind)), "_type": "Value"}


def _schema(nested: pa.Schema, categories: list[str], has_images: bool) -> pa.Schema:
    features = {field.name: features_of(field.type) for field in nested}
    features["objects"][0]["category"] = {"names": categories, "_type": "ClassLabel"}
    fields = [pa.field(field.name, field.type) for field in nested]
    if has_images:
        features = {"image": {"_type": "Image"}, **features}
        fields = [pa.field("image", IMAGE), *fields]
    return pa.schema(fields, metadata={"huggingface": json.dumps({"info": {"features": features}})})


def _with_images(table: pa.Table, selection: Selection, rows: Sequence[int]) -> pa.Table:
    if selection.places is None:
        return table
    contents = pa.array([selection.image_file(row).read_bytes() for row in rows], pa.binary())
    names = pa.array([PurePosixPath(uri).name for uri in table["uri"].to_pylist()], pa.string())
    return table.add_column(0, "image", pa.StructArray.from_arrays([contents, names], fields=list(IMAGE)))


def _category_names(selection: Selection) -> list[str]:
    """In the order of the source file, then those that came since."""
    known = [category["name"] for category in selection.info.get("categories", ())]
    found = pc.unique(selection.instances["category"]).to_pylist()
    return list(dict.fromkeys([*known, *sorted(found)]))
