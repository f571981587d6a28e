"""`densecorr world`: render a data set of people or quadrupeds with exact ground truth."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from densecorr.datasets.world_settings import WorldSettings

from .progress import Progress
from .stage import NotInRecipe, Stage, StageInputs

BYTES_PER_PIXEL = 2.2  # PNG of a noisy photograph plus its share of maps and annotations, measured


@dataclass(frozen=True)
class World:
    """Render a data set with exact ground truth: COCO annotations with CSE points, and PNG images."""

    settings: WorldSettings = field(default_factory=WorldSettings)
    workers: Annotated[int, NotInRecipe] = 2
    """Worker processes; the images do not depend on it."""


def write(out: Path, inputs: StageInputs, command: World, progress: Progress) -> None:
    """Fill the folder `out`."""
    from densecorr.datasets.rendered import write_world

    write_world(out, command.settings, progress, command.workers)


def estimate_bytes(command: World, inputs: StageInputs) -> int:
    """Disk the data set will need."""
    settings = command.settings
    return int((settings.n_train + settings.n_val) * settings.image_size**2 * BYTES_PER_PIXEL)


STAGE = Stage("world", World, version=1, write=write, estimate_bytes=estimate_bytes)
