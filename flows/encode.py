"""`densecorr encode`: the frozen encoder's features of a category's augmented crops, computed once and kept."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from densecorr.features import RunOn
from densecorr.training.encoded import EncodeSettings

from .progress import Progress
from .stage import ArtifactRef, NotInRecipe, Stage, StageInputs, on_gpu

if TYPE_CHECKING:
    from storage.datasets import DatasetInstance

INSTANCES_A_SHARD = 16
BYTES_PER_CELL = (
    2 * 768
)  # of float16 features; of dinov2-base, whose size is the estimate's for every encoder


@dataclass(frozen=True)
class Encode:
    """Encode random crops of one category's instances, so that a decoder trains on them without the encoder."""

    dataset: ArtifactRef
    """The data set: from `densecorr ingest`, or of synthetic images."""
    category: str
    """Category of the data set to encode."""
    split: str | None = None
    """Encode this split only."""
    settings: EncodeSettings = field(default_factory=EncodeSettings)
    run: Annotated[RunOn, NotInRecipe] = field(default_factory=RunOn)
    """Device and batch size."""


def write(out: Path, inputs: StageInputs, command: Encode, progress: Progress) -> None:
    """Fill the folder `out`: encode.json and shards of features; finished shards are kept over a kill."""
    from safetensors.torch import save_file

    from densecorr.images import read_image
    from densecorr.training.encoded import check_stride, crop_variants, encode_shard, write_info
    from storage.shards import finished_shards, write_shard

    settings, run = command.settings, command.run
    items = encodable(command, inputs)
    extractor = settings.features.load(run.device, run.offload)
    check_stride(extractor, settings)
    shards, done = out / "shards", finished_shards(out / "shards")
    for index, start in enumerate(range(0, len(items), INSTANCES_A_SHARD)):
        if index in done:
            continue
        crops = (
            crop_variants(
                read_image(item.path),
                item.silhouette(),
                item.instance.xywh,
                item.instance.instance_id,
                settings,
                extractor.stride,
            )
            for item in reporting(items[start : start + INSTANCES_A_SHARD], start, len(items), progress)
        )
        tensors = encode_shard(crops, extractor, settings, run.batch, run.device)
        write_shard(
            shards, index, lambda path, tensors=tensors: save_file(tensors, path), suffix=".safetensors"
        )
    ids = [item.instance.instance_id for item in items]
    write_info(out, settings, ids, INSTANCES_A_SHARD, extractor.stride)


def reporting(
    items: "list[DatasetInstance]", start: int, total: int, progress: Progress
) -> "Iterator[DatasetInstance]":
    """The items, with a report before each."""
    for number, item in enumerate(items):
        progress(start + number, total, "encoding")
        yield item


def encodable(command: Encode, inputs: StageInputs) -> "list[DatasetInstance]":
    """The instances to encode; those without a silhouette are left out where the encoder describes it.

    Raises:
        EmptyInstanceError: none is left.
    """
    from densecorr.errors import EmptyInstanceError
    from densecorr.models.decoder import needs_silhouettes
    from storage.datasets import read_instances

    items = read_instances(inputs.path("dataset"), command.category, command.split)
    if not needs_silhouettes(command.settings.features):
        return items
    kept = [item for item in items if item.instance.silhouette is not None]
    if not kept:
        raise EmptyInstanceError(
            "instances with a silhouette, which this encoder describes",
            f"none of {len(items)}",
            "Choose another encoder, or add silhouettes (`densecorr silhouettes`).",
        )
    return kept


def estimate_bytes(command: Encode, inputs: StageInputs) -> int:
    """Disk the features will need, if the encoder has the stride and width of dinov2-base."""
    cells = (command.settings.crop_size // 14) ** 2
    return len(encodable(command, inputs)) * command.settings.variants * 2 * cells * BYTES_PER_CELL


STAGE = Stage(
    "encode", Encode, version=2, write=write, shards=True, estimate_bytes=estimate_bytes, uses_gpu=on_gpu
)
