"""Batches as a function of examples, seed and step alone: a killed run draws what it would have drawn."""

from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..errors import TrainingError
from .augment import Augmentation, Batch, apply_change, draw_change, moved_labels
from .examples import EncodedExamples, Examples

WHOLE = slice(None)


def indices_at(n: int, batch_size: int, step: int, seed: int) -> Int[Tensor, " B"]:
    """Which of n examples make up the batch of a step.

    The steps walk through one endless row of shuffled passes, so each example comes once in every pass.
    """
    at = np.arange(step * batch_size, (step + 1) * batch_size)
    return torch.from_numpy(np.stack([_shuffled(n, int(k // n), seed)[k % n] for k in at]))


@lru_cache(maxsize=8)
def _shuffled(n: int, number: int, seed: int) -> Int[np.ndarray, " n"]:
    return np.random.default_rng([seed, number]).permutation(n)


def sample_batch(
    examples: Examples | EncodedExamples,
    index: Int[Tensor, " B"],
    n_points: int,
    mirror: Int[Tensor, " K"],
    settings: Augmentation,
    generator: torch.Generator,
    part: slice = WHOLE,
    mirrored: bool = False,
) -> Batch:
    """The examples `index` with `n_points` of each one's points, labelled ones first, augmented.

    Args:
        examples: crops, or encoded crops.
        index: which of them.
        n_points: points an example.
        mirror: partner of each vertex of the training level.
        settings: of the augmentation; of encoded crops only `flip` is left to do.
        generator: what is drawn; for the whole batch, whatever part is made.
        part: the part of the batch to make.
        mirrored: also read the mirrored crops' grids, for the equivariance term.

    Raises:
        TrainingError: encoded features that are not finite; names the instance.
    """
    order = torch.rand(len(index), examples.vertex.shape[1], generator=generator)
    change = draw_change(len(index), settings, generator)
    variant = torch.randint(2**31, (len(index),), generator=generator)
    index, order, change, variant = index[part], order[part], change[part], variant[part]
    rows = index.numpy()
    vertex = torch.from_numpy(examples.vertex[rows]).long()
    points = (order + (vertex < 0)).argsort(dim=1)[:, :n_points]
    xy = torch.from_numpy(examples.xy[rows]).gather(1, points[..., None].expand(-1, -1, 2))
    vertex, weight = vertex.gather(1, points), torch.from_numpy(examples.weight[rows]).gather(1, points)
    if isinstance(examples, EncodedExamples):
        return _encoded(examples, rows, variant, xy, vertex, weight, change.flip, mirror, mirrored)
    side = examples.images.shape[1]
    batch = Batch(
        torch.from_numpy(examples.images[rows]).permute(0, 3, 1, 2).float() / 255,
        torch.from_numpy(examples.silhouettes[rows]).float(),
        torch.from_numpy(examples.known[rows]),
        torch.zeros(len(rows), side, side),
        (xy + 0.5) * (2 / side) - 1,
        vertex,
        weight,
    )
    return apply_change(batch, mirror, change)


def _encoded(
    examples: EncodedExamples,
    rows: Int[np.ndarray, " B"],
    variant: Int[Tensor, " B"],
    xy: Float[Tensor, "B P 2"],
    vertex: Int[Tensor, "B P"],
    weight: Float[Tensor, "B P"],
    flip: Tensor,
    mirror: Int[Tensor, " K"],
    mirrored: bool,
) -> Batch:
    encoding = examples.encoding
    variant = variant % encoding.settings.variants
    read = [encoding.read(int(examples.row[i]), int(v)) for i, v in zip(rows, variant, strict=True)]
    first, *second = (
        torch.stack([one[0][int(f) ^ k] for one, f in zip(read, flip, strict=True)]).float()
        for k in ((0, 1) if mirrored else (0,))
    )
    check_features(first, [encoding.ids[int(examples.row[i])] for i in rows])
    affine = torch.stack([one[1] for one in read]).float()
    share = torch.stack([one[2] for one in read]).float() / 255
    share = torch.where(flip[:, None, None], share.flip(-1), share)
    at = xy @ affine[:, :, :2].transpose(1, 2) + affine[:, None, :, 2]
    at = (at + 0.5) * (2 / encoding.settings.crop_size) - 1
    at = torch.where(flip[:, None, None], at * torch.tensor([-1.0, 1.0]), at)
    return Batch(
        first,
        share,
        torch.tensor([one[3] for one in read]),
        torch.zeros_like(share),
        at,
        moved_labels(vertex, at, flip, mirror),
        weight,
        *second,
    )


def check_features(grids: Float[Tensor, "B C h w"], ids: list[str]) -> None:
    """Raise a TrainingError that names the first instance whose features are not finite."""
    finite = grids.flatten(1).sum(dim=1).isfinite()  # of float16 numbers, a sum in float32 stays finite
    if not bool(finite.all()):
        raise TrainingError(
            "finite encoded features",
            f"NaN or infinity for '{ids[int(finite.int().argmin())]}'",
            "The encoding is damaged: `densecorr store verify`, or run `encode` again.",
        )
