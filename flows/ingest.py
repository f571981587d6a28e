"""`densecorr ingest`: a COCO, LVIS or DensePose file as a data set."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from densecorr.datasets import CocoSettings, Dataset
from densecorr.errors import SettingsError

from .progress import Progress
from .session import say
from .stage import ArtifactRef, SourceFolder, SourcePath, Stage, StageInputs

if TYPE_CHECKING:
    import pyarrow as pa

    from densecorr.datasets.changes import Changes
    from densecorr.datasets.coco import CocoReader
    from densecorr.datasets.coco_image_files import FileMemory, KnownFiles

IMAGE_FILES = "image_files.parquet"
SHARDS = "shards"  # of image files that were read, until the data set is whole
COMPARED = {"images": "image_id", "instances": "instance_id", "labels": "label_id"}  # tables and their keys
BYTES_PER_JSON_BYTE = 0.6  # tables compressed, the untouched fields kept beside them; measured


@dataclass(frozen=True)
class Ingest:
    """Read a COCO, LVIS or DensePose file, check every row, and keep it as tables; images stay where they are."""

    annotations: SourcePath
    """The JSON file."""
    images: SourceFolder
    """The folder that its file names start in."""
    source: str = "coco"
    """The data set's name; ids become SOURCE/ORIGINAL ID."""
    settings: Dataset = field(default_factory=CocoSettings)
    image_list: SourcePath | None = None
    """Keep only these images: a text file with an id or file name a line, a JSON list, or a COCO file."""
    previous: ArtifactRef | None = None
    """An earlier data set of the same source: image files that did not change since are not read again, and
    changes.json says what is new, changed or gone."""


def image_root(inputs: StageInputs) -> str:
    """Images inside an artifact: their folder relative to this one's, so that the store can move; "" for a folder."""
    (found,) = inputs.resolved["images"]
    return f"../{found.artifact_id}/{found.inside}" if found.artifact_id else ""


def write(out: Path, inputs: StageInputs, command: Ingest, progress: Progress) -> None:
    """Fill the folder `out`: images, instances, labels and cameras tables, dataset.json and more.

    Until then it has shards of the image files that were read, which are not read again after a kill.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from densecorr.datasets.arrow import CAMERAS
    from densecorr.image_uris import is_uri
    from storage.filesystem import remove_folder
    from storage.lookup import write_lookup
    from storage.shards import remove_shards
    from storage.tables import TableWriter, write_tables

    for leftover in out.iterdir():  # of a killed run; which tables there will be is not yet known
        if leftover.name != SHARDS:
            remove_folder(leftover)
    counts, image_ids = Counter[str](), list["pa.Array"]()
    with (
        TableWriter(out / "instances.parquet", "instances") as to_instances,
        TableWriter(out / "labels.parquet", "labels") as to_labels,
    ):
        reader, batches = _read(out, inputs, command, progress)
        for instances, labels in batches:
            to_instances.write(instances)
            to_labels.write(labels)
            image_ids.extend(instances["image_id"].chunks)
            counts.update(instances=len(instances), labels=len(labels))
    write_lookup(out, pa.chunked_array(image_ids, pa.string()))
    write_tables(out, {"images": reader.images, "cameras": CAMERAS.empty_table()})
    if len(reader.image_files):
        pq.write_table(reader.image_files, out / IMAGE_FILES, compression="zstd")
    info = reader.info | {"image_root": image_root(inputs) or reader.info["image_root"]}
    (out / "dataset.json").write_text(json.dumps(info, indent=1) + "\n", encoding="utf-8")
    say(
        f"{command.source}: {len(reader.images)} images, {counts['instances']} instances, "
        f"{counts['labels']} label sets"
    )
    if reader.n_panoptic:
        say(
            f"{command.source}: {reader.n_panoptic} panoptic annotations left out (segments_info, no category_id); "
            "their masks are in PNG files, not in the JSON"
        )
    n_addresses = sum(is_uri(uri) for uri in reader.images["uri"].to_pylist())
    if n_addresses:
        say(
            f"{command.source}: {n_addresses} images at addresses, not checked; each is fetched when it is first read"
        )
    if len(reader.quarantine):
        pq.write_table(reader.quarantine, out / "quarantine.parquet", compression="zstd")
        say(f"{command.source}: {len(reader.quarantine)} bad rows set aside in quarantine.parquet")
    if command.previous is not None:
        _report_changes(out, inputs.path("previous"), command.source, reader)
    remove_shards(out / SHARDS)


def _read(
    out: Path, inputs: StageInputs, command: Ingest, progress: Progress
) -> "tuple[CocoReader, Iterable[tuple[pa.Table, pa.Table]]]":
    """What is read, and its instances and labels: batch by batch, or all at once where silhouettes are made."""
    from densecorr.datasets.coco import CocoReader
    from densecorr.datasets.image_lists import images_in_list

    reader = CocoReader(
        inputs.path("annotations"),
        inputs.path("images"),
        command.source,
        command.settings,
        progress,
        listed=None if command.image_list is None else images_in_list(inputs.path("image_list")),
        memory=_memory(out / SHARDS, {} if command.previous is None else _known_files(inputs, command)),
    )
    return reader, reader.batches() if command.settings.missing_silhouettes == "none" else [reader.read()]


def _memory(shards: Path, earlier: "KnownFiles") -> "FileMemory":
    """What a killed run of the same recipe has read, and a note in another shard of all that is read now."""
    import pyarrow.parquet as pq

    from densecorr.datasets.coco_image_files import FileMemory, image_file_table, known_files
    from storage.shards import finished_shards, write_shard

    done = finished_shards(shards)
    finished = {
        name: file for path in done.values() for name, file in known_files(path, earlier=False).items()
    }
    numbers = count(max(done, default=-1) + 1)
    if finished:
        say(f"going on after {len(finished)} image files that were checked before")
    return FileMemory(
        earlier,
        finished,
        lambda files: write_shard(
            shards, next(numbers), lambda path: pq.write_table(image_file_table(files), path)
        ),
    )


def _known_files(inputs: StageInputs, command: Ingest) -> "KnownFiles":
    """The image files that the previous data set has read, if they are in the folder that is read now.

    Raises:
        DatasetNotFoundError: the previous artifact is not a data set.
        SettingsError: it is one of another source, so that no id could be found again.
    """
    from densecorr.datasets.coco_image_files import known_files
    from storage.datasets import read_dataset_info

    folder = inputs.path("previous")
    info = read_dataset_info(folder)
    if info.get("source") != command.source:
        raise SettingsError(
            f"a previous data set of the source '{command.source}'",
            f"one of '{info.get('source')}'",
            f"Give --source {info.get('source')}, or leave --previous out.",
        )
    here = image_root(inputs) or str(inputs.path("images").absolute())
    if info.get("image_root") != here or not (folder / IMAGE_FILES).exists():
        say(f"{command.source}: the previous data set has not read this image folder; every file is read")
        return {}
    return known_files(folder / IMAGE_FILES)


def _report_changes(out: Path, previous: Path, source: str, reader: "CocoReader") -> None:
    """Write changes.json and say what is in it."""
    from densecorr.datasets.changes import compare_tables

    file_names = {table: f"{table}.parquet" for table in COMPARED}
    changes = {t: compare_tables(previous / name, out / name, COMPARED[t]) for t, name in file_names.items()}
    report: dict[str, object] = {table: found.as_json() for table, found in changes.items()}
    report["image_files"] = {
        "unread": reader.n_unread_files,
        "read": len(reader.image_files) - reader.n_unread_files,
    }
    (out / "changes.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    names = {"images": "images", "instances": "annotations", "labels": "label sets"}
    parts = [f"{names[table]} {_in_words(found)}" for table, found in changes.items()]
    say(f"{source}: {'; '.join(parts)}; {reader.n_unread_files} image files unchanged and not read again")


def _in_words(changes: "Changes") -> str:
    """Counts, and after each the first ids."""
    words = []
    for kind in ("added", "changed", "removed"):
        n, first = getattr(changes, kind), getattr(changes, f"first_{kind}")
        more = ", ..." if n > len(first) else ""
        words.append(f"{n} {kind}" + (f" ({', '.join(first)}{more})" if first else ""))
    return ", ".join([*words, f"{changes.unchanged} unchanged"])


def estimate_bytes(command: Ingest, inputs: StageInputs) -> int:
    """Disk the data set will need; the images are not copied."""
    return int(inputs.path("annotations").stat().st_size * BYTES_PER_JSON_BYTE)


STAGE = Stage("ingest", Ingest, version=3, write=write, shards=True, estimate_bytes=estimate_bytes)
