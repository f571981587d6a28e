"""`densecorr ingest-images`: images of a folder, a list or videos as a data set without annotations."""

import json
import posixpath
from dataclasses import dataclass, field
from pathlib import Path

from densecorr.datasets.image_sets import ImageSetSettings

from .ingest import image_root
from .progress import Progress
from .session import say
from .stage import SourceFolder, Stage, StageInputs


@dataclass(frozen=True)
class IngestImages:
    """Make a data set of images without annotations, for `silhouettes` and all that follows.

    Images stay where they are, and those at addresses (s3://, https://, ...) are fetched when they are first used;
    frames of videos are written into the data set.
    """

    images: SourceFolder
    """A folder, a list of files and addresses (.txt), or a video; a folder's videos are read, too."""
    source: str = "images"
    """The data set's name; ids become SOURCE/FILE."""
    settings: ImageSetSettings = field(default_factory=ImageSetSettings)


def write(out: Path, inputs: StageInputs, command: IngestImages, progress: Progress) -> None:
    """Fill the folder `out` as `ingest` does, with no instances; and frames/, duplicates.parquet."""
    import pyarrow.parquet as pq

    from densecorr.datasets.image_sets import read_image_set
    from storage.tables import write_tables

    place, root = inputs.path("images"), image_root(inputs)
    if root and not place.is_dir():
        root = posixpath.dirname(root)
    found = read_image_set(place, out, command.source, command.settings, root, progress)
    tables = found.tables
    write_tables(
        out,
        {
            "images": tables.images,
            "instances": tables.instances,
            "labels": tables.labels,
            "cameras": tables.cameras,
        },
    )
    (out / "dataset.json").write_text(json.dumps(tables.info, indent=1) + "\n", encoding="utf-8")
    pq.write_table(found.duplicates, out / "duplicates.parquet", compression="zstd")
    frames = sum(video["frames"] for video in tables.info["videos"])
    say(
        f"{command.source}: {len(tables.images)} images"
        + (f", {frames} of them frames of {len(tables.info['videos'])} videos" if frames else "")
        + (f"; {found.n_left_out} files that are neither left out" if found.n_left_out else "")
    )
    if found.groups:
        spare = sum(len(group) - 1 for group in found.groups)
        say(
            f"{command.source}: {spare} duplicates in {len(found.groups)} groups (duplicates.parquet); "
            "`densecorr split` keeps a group on one side"
        )
    if len(tables.quarantine):
        pq.write_table(tables.quarantine, out / "quarantine.parquet", compression="zstd")
        say(f"{command.source}: {len(tables.quarantine)} bad files set aside in quarantine.parquet")


STAGE = Stage("ingest-images", IngestImages, version=1, write=write)
