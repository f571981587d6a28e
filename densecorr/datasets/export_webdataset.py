"""A chosen part of a data set as WebDataset shards: tar files with an image and a JSON file a sample.

Written with the standard library: the format is a tar file whose members of one sample share a name up to the first
dot, and the `webdataset` package, made for reading, would add nothing but a dependency.
"""

import io
import tarfile
from pathlib import Path
from typing import Any

import msgspec

from .exports import (
    SHARDS,
    Nesting,
    Progress,
    Selection,
    ShardLimits,
    escape_key,
    plan_shards,
    rows_of_splits,
)

BATCH = 16  # images whose annotations are Python objects at once


def write_webdataset(
    folder: Path,
    selection: Selection,
    limits: ShardLimits = SHARDS,
    progress: Progress = lambda done, total, text: None,
) -> list[Path]:
    """Write `<split>-000000.tar` and so on; the same selection gives the same bytes.

    A sample is KEY.jpg (or the suffix that it has; the original bytes) and KEY.json with `image`, a row of the images
    table, and `annotations`, its objects as `exports.Nesting.take` gives them. KEY is `escape_key` of the image id.

    Args:
        folder: an empty folder.
        selection: what to write; without `places` there are no images.
        limits: when the next file begins.
        progress: called with the images done, their number and the split.

    Returns:
        The files, split by split.

    Raises:
        SettingsError: a split whose name cannot be part of a file's.
        DatasetNotFoundError, DependencyError, ImageError: an image that cannot be read.
    """
    nesting, written, done = Nesting(selection), list[Path](), 0
    for split, split_rows in rows_of_splits(selection.images).items():
        for number, shard in enumerate(plan_shards(selection, split_rows, limits)):
            path = folder / f"{split}-{number:06d}.tar"
            with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
                for start in range(0, len(shard), BATCH):
                    rows = shard[start : start + BATCH]
                    for row, sample in zip(rows, nesting.take(rows).to_pylist(), strict=True):
                        _add_sample(tar, selection, row, sample)
                        done += 1
                        progress(done, len(selection.images), split)
            written.append(path)
    return written


def _add_sample(tar: tarfile.TarFile, selection: Selection, row: int, sample: dict[str, Any]) -> None:
    key = escape_key(sample["image_id"])
    if selection.places is not None:
        file = selection.image_file(row)
        member = tarfile.TarInfo(f"{key}{selection.image_suffix(row)}")  # no time, no owner
        with file.open("rb") as content:
            member.size = file.stat().st_size
            tar.addfile(member, content)
    annotations = sample.pop("objects")
    text = msgspec.json.encode({"image": sample, "annotations": annotations})
    member = tarfile.TarInfo(f"{key}.json")
    member.size = len(text)
    tar.addfile(member, io.BytesIO(text))
