"""`densecorr split`: the same data set, its images assigned to splits by groups that must not be torn apart."""

import json
import posixpath
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from densecorr.datasets.splits import SplitSettings

from .progress import Progress
from .session import say
from .stage import ArtifactRef, Stage, StageInputs

if TYPE_CHECKING:
    from densecorr.records import ImageRecord


@dataclass(frozen=True)
class Split:
    """Assign a data set's images to splits, what belongs together (a video, a subject, duplicates) on one side."""

    dataset: ArtifactRef
    """The data set, from `ingest`, `ingest-images`, `silhouettes` or another stage that makes one."""
    settings: SplitSettings = field(default_factory=SplitSettings)


def write(out: Path, inputs: StageInputs, command: Split, progress: Progress) -> None:
    """Fill the folder `out`: the data set's files, `split` of its images set; splits.json with what was achieved."""
    import pyarrow as pa

    from densecorr.datasets.splits import achieved_shares, assign_splits, join_groups
    from storage.datasets import moved_root, read_dataset_info
    from storage.rows import table_to_records
    from storage.tables import read_table, write_table

    folder, settings = inputs.path("dataset"), command.settings
    info = read_dataset_info(folder)
    table = read_table(folder / "images.parquet", "images")
    records = table_to_records("images", table)
    by_image: dict[str, list[str]] = {record.image_id: [] for record in records}
    instances = read_table(folder / "instances.parquet", "instances", columns=["image_id", "category"])
    for row in instances.to_pylist():
        by_image[row["image_id"]].append(row["category"])
    categories = list(by_image.values())
    columns = [_keys(name, folder, records, settings, progress) for name in settings.group_by]
    groups = join_groups(*columns)
    splits = assign_splits(list(by_image), groups, categories, settings)
    for path in sorted(folder.glob("*.parquet")):
        if path.name != "images.parquet":
            shutil.copyfile(path, out / path.name)
    index = table.schema.get_field_index("split")
    table = table.set_column(index, table.schema.field(index), pa.array(splits, pa.string()))
    write_table(out / "images.parquet", "images", table)
    info |= {"image_root": moved_root(info.get("image_root", ""), inputs.id("dataset")), "split": None}
    (out / "dataset.json").write_text(json.dumps(info, indent=1) + "\n", encoding="utf-8")
    achieved = achieved_shares(splits, categories)
    summary = {"images": len(splits), "groups": len(set(groups.tolist())), "achieved": achieved}
    (out / "splits.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    wanted = settings.wanted
    said = ", ".join(
        f"{name} {100 * achieved['images'][name]:.1f}% (of {100 * wanted[name]:g}%)" for name in wanted
    )
    say(f"{len(splits)} images in {summary['groups']} groups: {said}")


def _keys(
    name: str, folder: Path, records: "list[ImageRecord]", settings: SplitSettings, progress: Progress
) -> list[Any]:
    """The key of each image by one criterion; None: it belongs with no other."""
    if name == "video":
        return [record.extra.get("video", record.extra.get("video_id")) for record in records]
    if name == "folder":
        return [posixpath.dirname(record.uri) for record in records]
    if name == "subject":
        return [_subject(record, settings.subject or "") for record in records]
    if name == "duplicates":
        return _duplicates(folder, records, settings.duplicate_threshold, progress)
    return [None] * len(records)


def _subject(record: "ImageRecord", key: str) -> str:
    """The value at a dotted key of an image's `extra`, as JSON: 1 and "1" are two subjects."""
    from densecorr.errors import AnnotationError

    value: Any = record.extra
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if value is None:
        raise AnnotationError(
            f"'{key}' in the extra of every image",
            f"{record.image_id} with {', '.join(record.extra) or 'nothing'}",
            "Correct settings.subject, or group by something else.",
        )
    return json.dumps(value, sort_keys=True)


def _duplicates(folder: Path, records: "list[ImageRecord]", threshold: int, progress: Progress) -> list[int]:
    """The group of duplicates of each image; hashes that `ingest-images` kept are not computed again."""
    import pyarrow.parquet as pq

    from densecorr.datasets.duplicates import duplicate_labels, fingerprint
    from storage.datasets import image_path, read_dataset_info

    known: dict[str, str | None] = {}
    if (folder / "duplicates.parquet").exists():
        rows = pq.read_table(folder / "duplicates.parquet", columns=["image_id", "phash"]).to_pylist()
        known = {row["image_id"]: row["phash"] for row in rows}
    root = read_dataset_info(folder).get("image_root", "")
    digests, hashes = [], []
    for index, record in enumerate(records):
        digest, text = record.sha256, known.get(record.image_id)
        phash = None if text is None else int(text, 16)
        if digest is None or phash is None:
            digest, phash = fingerprint(image_path(folder, root, record.uri))
        digests.append(digest)
        hashes.append(phash)
        progress(index + 1, len(records), "duplicates")
    return duplicate_labels(digests, hashes, threshold).tolist()


STAGE = Stage("split", Split, version=1, write=write)
