"""`densecorr silhouettes`: objects of a category and their silhouettes, by name, where a data set has none."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from densecorr.detection import SilhouetteSettings

from .progress import Progress
from .stage import ArtifactRef, NotInRecipe, Stage, StageInputs, on_gpu

IMAGES_A_SHARD = 16


@dataclass(frozen=True)
class Silhouettes:
    """Find the objects of a category in a data set's images and cut them out: the same data set with more instances."""

    dataset: ArtifactRef
    """The data set, from `densecorr ingest`; images without any annotation will do."""
    category: str
    """What to look for; its name is the detector's prompt."""
    settings: SilhouetteSettings = field(default_factory=SilhouetteSettings)
    device: Annotated[str, NotInRecipe] = "cpu"
    """Where the networks run: cpu, cuda, cuda:1."""


def write(out: Path, inputs: StageInputs, command: Silhouettes, progress: Progress) -> None:
    """Fill the folder `out`: the data set's tables, overlays.png and summary.json; shards of the work until then."""
    from densecorr.detection.find import load_finder
    from storage.shards import finished_shards, write_shard

    from .silhouette_work import finish_silhouettes, images_to_search, write_found

    work = images_to_search(inputs.path("dataset"), command.category, command.settings.mode)
    batches = [work[start : start + IMAGES_A_SHARD] for start in range(0, len(work), IMAGES_A_SHARD)]
    shards, done = out / "shards", finished_shards(out / "shards")
    finder = load_finder(command.settings, command.device) if len(done) < len(batches) else None
    for index, batch in enumerate(batches):

        def step(k: int, start: int = index * IMAGES_A_SHARD) -> None:
            progress(start + k, len(work), "silhouettes")

        if index not in done and finder is not None:
            write_shard(
                shards,
                index,
                lambda path, batch=batch, step=step: write_found(path, batch, finder, command.category, step),
                suffix="",
            )
    finish_silhouettes(out, shards, inputs.path("dataset"), inputs.id("dataset"), command)


STAGE = Stage("silhouettes", Silhouettes, version=2, write=write, shards=True, uses_gpu=on_gpu)
