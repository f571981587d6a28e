"""Random crops, rotations, flips and colour of training crops (SHIC Sec. 7.2): drawn from a seed, then applied.

What is drawn is kept apart from what is done, so that crops which are encoded beforehand (`encoded.py`) and crops which
the network sees directly get the same changes, and so that several processes draw one batch and each makes its part.
"""

import math
from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample


@dataclass(frozen=True)
class Augmentation:
    """Ranges; each value is drawn evenly within plus or minus the range.

    Attributes:
        rotation: degrees. scale: of the logarithm of the size. shift: share of the crop's side.
        flip: chance of a horizontal flip; the labels then go to their mirror vertices.
        brightness, color: of the overall gain, and of each channel's offset.
        hint: chance that the network is told the silhouette; without it the network must find it. A decoder is
            never told.
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

    `images` are RGB or an encoder's grids; of grids, `mirrored` are those of the mirrored crops. `hint` is the
    silhouette as the network is told it (1 in, -1 out, 0 unknown); `xy` are in [-1, 1] over the crop (grid_sample's
    convention, edges at +-1).
    """

    images: Float[Tensor, "B C H W"]
    silhouettes: Float[Tensor, "B S S"]
    known: Bool[Tensor, " B"]
    hint: Float[Tensor, "B S S"]
    xy: Float[Tensor, "B P 2"]
    vertex: Int[Tensor, "B P"]
    weight: Float[Tensor, "B P"]
    mirrored: Float[Tensor, "B C H W"] | None = None


@dataclass(frozen=True)
class Change:
    """What is done to each of B crops: positions in [-1, 1] go to `forward @ xy + shift`, colours to gain x + offset.

    A flip comes before that; `told` says whether the network gets the silhouette as a hint.
    """

    forward: Float[Tensor, "B 2 2"]
    shift: Float[Tensor, "B 2"]
    flip: Bool[Tensor, " B"]
    gain: Float[Tensor, "B 1 1 1"]
    offset: Float[Tensor, "B 3 1 1"]
    told: Bool[Tensor, " B"]

    def __getitem__(self, part: slice) -> "Change":
        """The changes of some of the crops."""
        return Change(**{f.name: getattr(self, f.name)[part] for f in fields(self)})


def draw_change(n: int, settings: Augmentation, generator: torch.Generator) -> Change:
    """Draw a change for each of n crops."""

    def even(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator) * 2 - 1

    angle, scale = even(n) * math.radians(settings.rotation), torch.exp(even(n) * settings.scale)
    shift = even(n, 2) * (2 * settings.shift)
    flip = torch.rand(n, generator=generator) < settings.flip
    gain = 1 + even(n, 1, 1, 1) * settings.brightness
    offset = even(n, 3, 1, 1) * settings.color
    told = torch.rand(n, generator=generator) < settings.hint
    cos, sin = angle.cos() * scale, angle.sin() * scale
    forward = torch.stack([torch.stack([cos, -sin], dim=1), torch.stack([sin, cos], dim=1)], dim=1)
    return Change(forward, shift, flip, gain, offset, told)


def change_pixels(
    images: Float[Tensor, "B 3 S S"], silhouettes: Float[Tensor, "B S S"], change: Change
) -> tuple[Float[Tensor, "B 3 S S"], Float[Tensor, "B S S"]]:
    """The crops and their silhouettes after a change; what comes in from beyond the border mirrors it."""
    forward = with_flip(change)
    inverse = torch.linalg.inv(forward)
    theta = torch.cat([inverse, -(inverse @ change.shift[..., None])], dim=2)
    grid = affine_grid(theta, list(images.shape), align_corners=False)
    colored = (images * change.gain + change.offset).clamp(0, 1)
    return (
        grid_sample(colored, grid, padding_mode="reflection", align_corners=False),
        grid_sample(silhouettes[:, None], grid, align_corners=False)[:, 0],
    )


def with_flip(change: Change) -> Float[Tensor, "B 2 2"]:
    """`forward` behind the flip."""
    sign = 1.0 - 2.0 * change.flip.float()
    return change.forward * torch.stack([sign, torch.ones_like(sign)], dim=1)[:, None]


def apply_change(batch: Batch, mirror: Int[Tensor, " K"], change: Change) -> Batch:
    """The batch after a change; where the hint tells the silhouette, `known` turns False: finding it is no task."""
    images, silhouettes = change_pixels(batch.images, batch.silhouettes, change)
    xy = batch.xy @ with_flip(change).transpose(1, 2) + change.shift[:, None]
    told = batch.known & change.told
    return Batch(
        images,
        silhouettes,
        batch.known & ~told,
        (silhouettes * 2 - 1) * told[:, None, None],
        xy,
        moved_labels(batch.vertex, xy, change.flip, mirror),
        batch.weight,
    )


def moved_labels(
    vertex: Int[Tensor, "B P"],
    xy: Float[Tensor, "B P 2"],
    flip: Bool[Tensor, " B"],
    mirror: Int[Tensor, " K"],
) -> Int[Tensor, "B P"]:
    """Labels of changed crops: mirror vertices where a crop was flipped, none where a point is not inside any more."""
    flipped = torch.where(flip[:, None] & (vertex >= 0), mirror[vertex.clamp(min=0)], vertex)
    return torch.where((xy.abs() < 0.99).all(dim=-1), flipped, -1)


def flip_batch(batch: Batch) -> Batch:
    """The same crops mirrored left to right, labels left as they are (for the equivariance term)."""
    return Batch(
        batch.images.flip(-1) if batch.mirrored is None else batch.mirrored,
        batch.silhouettes.flip(-1),
        batch.known,
        batch.hint.flip(-1),
        batch.xy * torch.tensor([-1.0, 1.0], device=batch.xy.device),
        batch.vertex,
        batch.weight,
        None if batch.mirrored is None else batch.images,
    )
