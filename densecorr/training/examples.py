"""Labelled crops: what a training run reads, kept as memory-mapped arrays so that any number fits."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from ..errors import TrainingError
from ..images import crop_frame, crop_image, crop_mask, to_crop

_ARRAYS = ("images", "silhouettes", "known", "xy", "vertex", "weight")


@dataclass(frozen=True)
class LabelledInstance:
    """One instance with its labels; `vertex` are indices of the training level, `xy` full-image pixels."""

    image: UInt8[np.ndarray, "H W 3"]
    silhouette: Bool[np.ndarray, "H W"] | None
    xywh: tuple[float, float, float, float]
    xy: Float[np.ndarray, "P 2"]
    vertex: Int[np.ndarray, " P"]
    weight: Float[np.ndarray, " P"]


@dataclass(frozen=True)
class Examples:
    """N crops of side S with up to P points each; `vertex` is -1 where there is none, `xy` in crop pixels."""

    images: UInt8[np.ndarray, "N S S 3"]
    silhouettes: Bool[np.ndarray, "N S S"]
    known: Bool[np.ndarray, " N"]
    xy: np.ndarray  # (N, P, 2) float32
    vertex: np.ndarray  # (N, P) int32
    weight: np.ndarray  # (N, P) float32

    def __len__(self) -> int:
        """Number of crops."""
        return len(self.images)


def write_examples(
    folder: Path,
    instances: Iterable[LabelledInstance],
    count: int,
    size: int,
    padding: float,
    n_points: int,
    seed: int,
) -> Examples:
    """Crop every instance into arrays under `folder`; of over `n_points` points, a seeded sample is kept.

    An `examples.json` written last marks the folder as whole: a killed run starts it again, a finished one is
    reused.

    Raises:
        TrainingError: no instance has a label.
    """
    if (folder / "examples.json").exists():
        return read_examples(folder)
    if count == 0:
        raise TrainingError(
            "labelled instances to train on", "none", "Loosen the label filters, or check the split."
        )
    folder.mkdir(parents=True, exist_ok=True)
    shapes = {
        "images": ((count, size, size, 3), np.uint8),
        "silhouettes": ((count, size, size), np.bool_),
        "known": ((count,), np.bool_),
        "xy": ((count, n_points, 2), np.float32),
        "vertex": ((count, n_points), np.int32),
        "weight": ((count, n_points), np.float32),
    }
    arrays = {
        name: np.lib.format.open_memmap(folder / f"{name}.npy", mode="w+", dtype=dtype, shape=shape)
        for name, (shape, dtype) in shapes.items()
    }
    arrays["vertex"][:] = -1
    for index, instance in enumerate(instances):
        _fill(arrays, index, instance, size, padding, np.random.default_rng([seed, index]))
    for array in arrays.values():
        array.flush()
    (folder / "examples.json").write_text(json.dumps({"count": count, "size": size}))
    return read_examples(folder)


def read_examples(folder: Path) -> Examples:
    """The arrays of a finished folder, memory-mapped."""
    return Examples(**{name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in _ARRAYS})


def _fill(
    arrays: Mapping[str, np.ndarray],
    index: int,
    instance: LabelledInstance,
    size: int,
    padding: float,
    rng: np.random.Generator,
) -> None:
    frame = crop_frame(instance.xywh, size, padding)
    arrays["images"][index] = crop_image(instance.image, frame)
    if instance.silhouette is not None:
        arrays["silhouettes"][index] = crop_mask(instance.silhouette, frame)
        arrays["known"][index] = True
    room = arrays["vertex"].shape[1]
    # in random order, so that any first n points are a fair sample of the instance
    kept = rng.permutation(len(instance.vertex))[:room]
    arrays["xy"][index, : len(kept)] = to_crop(instance.xy[kept], frame)
    arrays["vertex"][index, : len(kept)] = instance.vertex[kept]
    arrays["weight"][index, : len(kept)] = instance.weight[kept]
