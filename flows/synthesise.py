"""`densecorr synthesise`: images of a template with exact labels, as a data set (SHIC Sec. 3.5)."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from densecorr.errors import SettingsError
from densecorr.synthesis import ControlNetGenerator, GeneratedImage, Generator, ProceduralGenerator

from .progress import Progress
from .stage import ArtifactRef, NotInRecipe, SourcePath, Stage, StageInputs

IMAGES_A_SHARD = 16
GIVE_UP_AFTER = 64  # images, if not one of them is kept
BYTES_PER_PIXEL = 2.4  # PNG of a noisy picture and its share of the tables, measured


@dataclass(frozen=True)
class Synthesise:
    """Make images of a template with exact labels: procedural ones, or by a ControlNet with `generator.kind`."""

    template: ArtifactRef
    """The category's template, from `densecorr template`."""
    category: str
    """What the template shows; also fills the prompt."""
    backgrounds: SourcePath | None = None
    """A folder of photographs to take backgrounds from; without it they are drawn."""
    images: int = 150
    """Images to make; those the gate drops count."""
    points: int = 300
    """Labels an image."""
    seed: int = 0
    generator: Generator = field(default_factory=ProceduralGenerator)
    device: Annotated[str, NotInRecipe] = "cpu"
    """Where models run: cpu, cuda, cuda:1."""
    offload: Annotated[bool, NotInRecipe] = False
    """Keep each network in main memory until it is its turn on the GPU."""


def write(out: Path, inputs: StageInputs, command: Synthesise, progress: Progress) -> None:
    """Fill the folder `out`: a data set, samples.png, attempts.parquet, summary.json; shards of the work until then."""
    from densecorr.synthesis import make_subject
    from densecorr.templates.template import read_template
    from storage.shards import finished_shards, write_shard

    from .synthetic_images import check_some_kept, finish_dataset, write_images

    check(command)
    template = read_template(inputs.path("template"))
    subject = make_subject(command.category, template.V, template.F)
    backgrounds = inputs.path("backgrounds") if command.backgrounds else None
    shards, done, generate = out / "shards", finished_shards(out / "shards"), None
    for number, start in enumerate(range(0, command.images, IMAGES_A_SHARD)):
        stop = min(start + IMAGES_A_SHARD, command.images)
        if number not in done:
            generate = generate or command.generator.load(command.device, backgrounds, command.offload)
            made: list[GeneratedImage] = []
            for first in range(start, stop, generate.batch_size):
                progress(first, command.images, "making images")
                made += generate(subject, command.seed, range(first, min(first + generate.batch_size, stop)))

            def fill(path: Path, made: list[GeneratedImage] = made) -> None:
                write_images(path, made, command, template.template_id, inputs.artifact_id)

            write_shard(shards, number, fill, suffix="")
        if start < min(GIVE_UP_AFTER, command.images) <= stop:
            check_some_kept(shards)
    finish_dataset(out, shards, template, command)


def check(command: Synthesise) -> None:
    """Raise a SettingsError for what cannot be made."""
    for name in ("images", "points"):
        if getattr(command, name) < 1:
            raise SettingsError(f"{name} of at least 1", str(getattr(command, name)), "Correct it.")
    if not command.category.strip():
        raise SettingsError("the name of what the template shows", "an empty category", "Set `category`.")


def estimate_bytes(command: Synthesise, inputs: StageInputs) -> int:
    """Disk the data set will need."""
    return int(command.images * command.generator.size**2 * BYTES_PER_PIXEL)


def uses_gpu(command: Synthesise) -> bool:
    """Whether the run must not share a GPU with another stage; the procedural generator has no use for one."""
    return isinstance(command.generator, ControlNetGenerator) and command.device.startswith("cuda")


STAGE = Stage(
    "synthesise",
    Synthesise,
    version=1,
    write=write,
    shards=True,
    estimate_bytes=estimate_bytes,
    uses_gpu=uses_gpu,
)
