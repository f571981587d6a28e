"""Labelled crops: what a training run reads, kept as memory-mapped arrays so that any number fits."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from ..errors import TrainingError
from ..images import crop_frame, crop_image, crop_mask, to_crop
from .encoded import Encoding

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


@dataclass(frozen=True)
class LabelledPoints:
    """The labels of one instance: LabelledInstance without its image."""

    instance_id: str
    xy: Float[np.ndarray, "P 2"]
    vertex: Int[np.ndarray, " P"]
    weight: Float[np.ndarray, " P"]


@dataclass(frozen=True)
class EncodedExamples:
    """N instances of an encoding, in its `row`s, with up to P points each; `xy` in full-image pixels."""

    encoding: Encoding
    row: Int[np.ndarray, " N"]
    xy: np.ndarray  # (N, P, 2) float32
    vertex: np.ndarray  # (N, P) int32
    weight: np.ndarray  # (N, P) float32

    def __len__(self) -> int:
        """Number of instances."""
        return len(self.row)


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
    arrays = _arrays(
        folder,
        count,
        n_points,
        {
            "images": ((size, size, 3), np.uint8),
            "silhouettes": ((size, size), np.bool_),
            "known": ((), np.bool_),
        },
    )
    for index, instance in enumerate(instances):
        frame = crop_frame(instance.xywh, size, padding)
        arrays["images"][index] = crop_image(instance.image, frame)
        if instance.silhouette is not None:
            arrays["silhouettes"][index] = crop_mask(instance.silhouette, frame)
            arrays["known"][index] = True
        _fill(arrays, index, to_crop(instance.xy, frame), instance.vertex, instance.weight, seed)
    _finish(folder, arrays, {"count": count, "size": size})
    return read_examples(folder)


def write_encoded_examples(
    folder: Path, encoding: Encoding, labels: Iterable[LabelledPoints], count: int, n_points: int, seed: int
) -> EncodedExamples:
    """As `write_examples`, for instances whose crops are encoded already: only their labels are written.

    Raises:
        TrainingError: no instance has a label, or one with labels is not in the encoding.
    """
    if (folder / "examples.json").exists():
        return read_encoded_examples(folder)
    arrays = _arrays(folder, count, n_points, {"row": ((), np.int64)})
    for index, label in enumerate(labels):
        if label.instance_id not in encoding.row:
            raise TrainingError(
                f"every labelled instance among the {len(encoding.ids)} encoded ones",
                f"'{label.instance_id}', which is not",
                "Run `densecorr encode` on the same data set and split.",
            )
        arrays["row"][index] = encoding.row[label.instance_id]
        _fill(arrays, index, label.xy, label.vertex, label.weight, seed)
    _finish(folder, arrays, {"count": count, "encoding": str(encoding.folder.absolute())})
    return read_encoded_examples(folder)


def read_examples(folder: Path) -> Examples:
    """The arrays of a finished folder, memory-mapped."""
    return Examples(**{name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in _ARRAYS})


def read_encoded_examples(folder: Path) -> EncodedExamples:
    """The arrays of a finished folder of labels, memory-mapped, and the encoding that they belong to."""
    encoding = Encoding(Path(json.loads((folder / "examples.json").read_text())["encoding"]))
    arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("row", *_ARRAYS[3:])}
    return EncodedExamples(encoding, **arrays)


def open_examples(folder: Path) -> Examples | EncodedExamples:
    """Whichever of the two a finished folder holds."""
    return read_encoded_examples(folder) if (folder / "row.npy").exists() else read_examples(folder)


def _arrays(
    folder: Path, count: int, n_points: int, more: Mapping[str, tuple[tuple[int, ...], type]]
) -> dict[str, np.ndarray]:
    """Files for `count` examples with up to `n_points` points."""
    if count == 0:
        raise TrainingError(
            "labelled instances to train on", "none", "Loosen the label filters, or check the split."
        )
    folder.mkdir(parents=True, exist_ok=True)
    shapes = {
        **more,
        "xy": ((n_points, 2), np.float32),
        "vertex": ((n_points,), np.int32),
        "weight": ((n_points,), np.float32),
    }
    arrays: dict[str, np.ndarray] = {
        name: np.lib.format.open_memmap(folder / f"{name}.npy", mode="w+", dtype=dtype, shape=(count, *shape))
        for name, (shape, dtype) in shapes.items()
    }
    arrays["vertex"][:] = -1
    return arrays


def _fill(
    arrays: Mapping[str, np.ndarray],
    index: int,
    xy: Float[np.ndarray, "P 2"],
    vertex: Int[np.ndarray, " P"],
    weight: Float[np.ndarray, " P"],
    seed: int,
) -> None:
    room = arrays["vertex"].shape[1]
    # in random order, so that any first n points are a fair sample of the instance
    kept = np.random.default_rng([seed, index]).permutation(len(vertex))[:room]
    arrays["xy"][index, : len(kept)] = xy[kept]
    arrays["vertex"][index, : len(kept)] = vertex[kept]
    arrays["weight"][index, : len(kept)] = weight[kept]


def _finish(folder: Path, arrays: Mapping[str, np.ndarray], facts: dict[str, object]) -> None:
    for array in arrays.values():
        array.flush()  # pyright: ignore[reportAttributeAccessIssue] they are memory maps
    (folder / "examples.json").write_text(json.dumps(facts))
