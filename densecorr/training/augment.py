"""Batches with random crops, rotations, flips and colour (SHIC Sec. 7.2): a function of examples, seed and step."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from .examples import Examples


@dataclass(frozen=True)
class Augmentation:
    """Ranges; each value is drawn evenly within plus or minus the range.

    Attributes:
        rotation: degrees. scale: of the logarithm of the size. shift: share of the crop's side.
        flip: chance of a horizontal flip; the labels then go to their mirror vertices.
        brightness, color: of the overall gain, and of each channel's offset.
        hint: chance that the network is told the silhouette; without it the network must find it.
    """

    rotation: float = 17.0
    scale: float = 0.2
    shift: float = 0.06
    flip: float = 0.5
    brightness: float = 0.25
    color: float = 0.1
    hint: float = 0.7


@dataclass(frozen=True)
class Batch:
    """B crops; `vertex` is -1 where there is no label.

    `hint` is the silhouette as the network is told it (1 in, -1 out, 0 unknown); `xy` are in [-1, 1] over the crop
    (grid_sample's convention, edges at +-1).
    """

    images: Float[Tensor, "B 3 S S"]
    silhouettes: Float[Tensor, "B S S"]
    known: Bool[Tensor, " B"]
    hint: Float[Tensor, "B S S"]
    xy: Float[Tensor, "B P 2"]
    vertex: Int[Tensor, "B P"]
    weight: Float[Tensor, "B P"]


def sample_batch(
    examples: Examples,
    batch_size: int,
    n_points: int,
    mirror: Int[Tensor, " K"],
    settings: Augmentation,
    generator: torch.Generator,
) -> Batch:
    """Draw crops with repetition, `n_points` of each one's points, and augment them.

    Needs no state but the generator: a run resumed at a step draws what it would have drawn.
    """
    index = torch.randint(len(examples), (batch_size,), generator=generator)
    order = torch.rand(batch_size, examples.vertex.shape[1], generator=generator)
    picked = torch.from_numpy(examples.vertex[index.numpy()]).long()
    order = order + (picked < 0)  # labelled points first
    points = order.argsort(dim=1)[:, :n_points]
    side = examples.images.shape[1]
    xy = torch.from_numpy(examples.xy[index.numpy()]).gather(1, points[..., None].expand(-1, -1, 2))
    batch = Batch(
        torch.from_numpy(examples.images[index.numpy()]).permute(0, 3, 1, 2).float() / 255,
        torch.from_numpy(examples.silhouettes[index.numpy()]).float(),
        torch.from_numpy(examples.known[index.numpy()]),
        torch.zeros(batch_size, side, side),
        (xy + 0.5) * (2 / side) - 1,
        picked.gather(1, points),
        torch.from_numpy(examples.weight[index.numpy()]).gather(1, points),
    )
    return augment(batch, mirror, settings, generator)


def augment(
    batch: Batch, mirror: Int[Tensor, " K"], settings: Augmentation, generator: torch.Generator
) -> Batch:
    """One random similarity, flip and colour change an image; points that leave the crop lose their label.

    Where the hint tells the silhouette, `known` turns False: finding it is then no task.
    """
    n = len(batch.images)

    def even(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator) * 2 - 1

    angle, scale = even(n) * math.radians(settings.rotation), torch.exp(even(n) * settings.scale)
    shift = even(n, 2) * (2 * settings.shift)
    flip = torch.where(torch.rand(n, generator=generator) < settings.flip, -1.0, 1.0)
    gain = 1 + even(n, 1, 1, 1) * settings.brightness
    offset = even(n, 3, 1, 1) * settings.color
    forward = torch.stack(
        [
            torch.stack([angle.cos() * scale * flip, -angle.sin() * scale], dim=1),
            torch.stack([angle.sin() * scale * flip, angle.cos() * scale], dim=1),
        ],
        dim=1,
    )
    inverse = torch.linalg.inv(forward)
    theta = torch.cat([inverse, -(inverse @ shift[..., None])], dim=2)
    grid = affine_grid(theta, list(batch.images.shape), align_corners=False)
    images = (batch.images * gain + offset).clamp(0, 1)
    xy = batch.xy @ forward.transpose(1, 2) + shift[:, None]
    inside = (xy.abs() < 0.99).all(dim=-1)
    vertex = torch.where(
        (flip < 0)[:, None] & (batch.vertex >= 0), mirror[batch.vertex.clamp(min=0)], batch.vertex
    )
    silhouettes = grid_sample(batch.silhouettes[:, None], grid, align_corners=False)[:, 0]
    told = batch.known & (torch.rand(n, generator=generator) < settings.hint)
    return Batch(
        grid_sample(images, grid, padding_mode="reflection", align_corners=False),
        silhouettes,
        batch.known & ~told,
        (silhouettes * 2 - 1) * told[:, None, None],
        xy,
        torch.where(inside, vertex, -1),
        batch.weight,
    )


def flip_batch(batch: Batch) -> Batch:
    """The same crops mirrored left to right, labels left as they are (for the equivariance term)."""
    return Batch(
        batch.images.flip(-1),
        batch.silhouettes.flip(-1),
        batch.known,
        batch.hint.flip(-1),
        batch.xy * torch.tensor([-1.0, 1.0], device=batch.xy.device),
        batch.vertex,
        batch.weight,
    )
