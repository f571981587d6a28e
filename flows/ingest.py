"""`densecorr ingest`: a COCO, LVIS or DensePose file as a data set."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from densecorr.datasets import CocoSettings, Dataset

from .progress import Progress
from .session import say
from .stage import SourceFolder, SourcePath, Stage, StageInputs

BYTES_PER_JSON_BYTE = 0.5  # tables compressed, the untouched fields kept beside them; measured


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


def image_root(inputs: StageInputs) -> str:
    """Images inside an artifact: their folder relative to this one's, so that the store can move; "" for a folder."""
    (found,) = inputs.resolved["images"]
    return f"../{found.artifact_id}/{found.inside}" if found.artifact_id else ""


def write(out: Path, inputs: StageInputs, command: Ingest, progress: Progress) -> None:
    """Fill the folder `out`: images, instances, labels and cameras tables, dataset.json; bad rows in quarantine."""
    import pyarrow.parquet as pq

    from densecorr.datasets.coco import read_coco
    from storage.tables import write_tables

    tables = read_coco(
        inputs.path("annotations"), inputs.path("images"), command.source, command.settings, progress
    )
    write_tables(
        out,
        {
            "images": tables.images,
            "instances": tables.instances,
            "labels": tables.labels,
            "cameras": tables.cameras,
        },
    )
    info = tables.info | {"image_root": image_root(inputs) or tables.info["image_root"]}
    (out / "dataset.json").write_text(json.dumps(info, indent=1) + "\n", encoding="utf-8")
    say(
        f"{command.source}: {len(tables.images)} images, {len(tables.instances)} instances, "
        f"{len(tables.labels)} label sets"
    )
    if len(tables.quarantine):
        pq.write_table(tables.quarantine, out / "quarantine.parquet", compression="zstd")
        say(f"{command.source}: {len(tables.quarantine)} bad rows set aside in quarantine.parquet")


def estimate_bytes(command: Ingest, inputs: StageInputs) -> int:
    """Disk the data set will need; the images are not copied."""
    return int(inputs.path("annotations").stat().st_size * BYTES_PER_JSON_BYTE)


STAGE = Stage("ingest", Ingest, version=1, write=write, estimate_bytes=estimate_bytes)
