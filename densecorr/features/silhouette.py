"""The offline extractor: no weights, no download. A baseline, and no more than that.

It describes a pixel by where it lies in the object's outline and by the image gradients around it: shape
contexts (Belongie et al. 2002) of the silhouette, position in the silhouette's box, distance to the outline, and
DAISY-like oriented gradients (Tola et al. 2010). Textures mean little to it; outlines mean a lot, so that it
confuses front with back and near with far limbs.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import avg_pool2d, normalize

from ..errors import SettingsError
from .placement import check_device
from .protocol import check_divisible


@dataclass(frozen=True)
class SilhouetteFeatures:
    """Settings of the offline extractor. Each part is L2-normalised and then weighted.

    `radii` are shares of the silhouette's size (the longer side of its box); the outermost ring sees most of
    it.
    """

    kind: Literal["silhouette"] = "silhouette"
    stride: int = 4
    radii: tuple[float, ...] = (0.06, 0.12, 0.22, 0.38, 0.62)
    n_angles: int = 16
    shape_weight: float = 1.0
    position_weight: float = 0.7
    distance_weight: float = 0.25
    gradient_weight: float = 0.2

    def load(self, device: str = "cpu", offload: bool = False) -> "SilhouetteExtractor":
        """The extractor itself; `device` is where the images will be; there is no network to offload.

        Raises:
            SettingsError: an odd stride (areas are summed at half resolution), or a device that is not here.
        """
        if self.stride < 2 or self.stride % 2:
            raise SettingsError("an even stride", str(self.stride), "Correct the extractor's stride.")
        check_device(device)
        return SilhouetteExtractor(self, device)


class SilhouetteExtractor:
    """See the module's docstring; deterministic, each image on its own."""

    def __init__(self, settings: SilhouetteFeatures, device: str) -> None:
        self._settings = settings
        self._device = device
        self.stride = settings.stride

    def __call__(
        self, images: Float[Tensor, "B 3 H W"], silhouettes: Bool[Tensor, "B H W"], keys: list[str]
    ) -> Float[Tensor, "B C h w"]:
        """C = rings x angles + 6 position + 2 distance + 8 gradient channels."""
        check_divisible(images, self.stride)
        return torch.stack(
            [self._describe(image, mask) for image, mask in zip(images, silhouettes, strict=True)]
        )

    def _describe(self, image: Float[Tensor, "3 H W"], mask: Bool[Tensor, "H W"]) -> Float[Tensor, "C h w"]:
        s = self._settings
        box = silhouette_box(mask)
        parts = [
            (s.shape_weight, shape_context(mask, box[2], s.radii, s.n_angles, s.stride)),
            (s.position_weight, relative_position(mask.shape, box, s.stride).to(image.device)),
            (s.distance_weight, distance_inside(mask, box[2], s.stride)),
            (s.gradient_weight, gradient_histograms(image, s.stride)),
        ]
        return torch.cat([weight * normalize(part, dim=0, eps=1e-8) for weight, part in parts if weight > 0])


def silhouette_box(mask: Bool[Tensor, "H W"]) -> tuple[float, float, float]:
    """Middle (x, y) of the mask's box and its longer side, pixels; the whole image when the mask is empty."""
    ys, xs = torch.nonzero(mask, as_tuple=True)
    if len(xs) == 0:
        height, width = mask.shape
        return (width - 1) / 2, (height - 1) / 2, float(max(height, width))
    x0, x1, y0, y1 = (float(v) for v in (xs.min(), xs.max(), ys.min(), ys.max()))
    return (x0 + x1) / 2, (y0 + y1) / 2, max(x1 - x0, y1 - y0) + 1


def shape_context(
    mask: Bool[Tensor, "H W"], size: float, radii: tuple[float, ...], n_angles: int, stride: int
) -> Float[Tensor, "C h w"]:
    """Share of each log-polar bin around the cell's centre that the silhouette covers, ring by ring."""
    height, width = mask.shape
    grid = avg_pool2d(mask[None, None].float(), 2)[0, 0]  # half resolution is plenty for areas
    spectrum, shape = _bin_spectra(
        (grid.shape[0], grid.shape[1]),
        tuple(round(r * size / 2, 1) for r in radii),
        n_angles,
        mask.device.type,
    )
    covered = torch.fft.irfft2(torch.fft.rfft2(grid, s=shape) * spectrum, s=shape)
    inside = covered[None, :, : height // 2, : width // 2]
    return avg_pool2d(inside, stride // 2)[0].clamp(0, 1)


@lru_cache(maxsize=64)
def _bin_spectra(
    shape: tuple[int, int], radii: tuple[float, ...], n_angles: int, device: str
) -> tuple[Tensor, tuple[int, int]]:
    """Transforms of the normalised bin indicators, flipped so that a product correlates."""
    reach = math.ceil(radii[-1]) + 1
    padded = (2 ** math.ceil(math.log2(shape[0] + reach)), 2 ** math.ceil(math.log2(shape[1] + reach)))
    y = torch.fft.fftfreq(padded[0], 1 / padded[0])[:, None]
    x = torch.fft.fftfreq(padded[1], 1 / padded[1])[None, :]
    radius, angle = torch.hypot(x, y), torch.atan2(y, x)
    sector = ((angle / (2 * math.pi) * n_angles + 0.5).floor().long()) % n_angles
    bins, inner = [], 0.0
    for outer in radii:
        ring = (radius >= inner) & (radius < max(outer, inner + 1.0))
        for k in range(n_angles):
            member = (ring & (sector == k)).float()
            bins.append(member / member.sum().clamp(min=1.0))
        inner = outer
    return torch.fft.rfft2(torch.stack(bins)).conj().to(device), padded


def relative_position(
    shape: torch.Size | tuple[int, int], box: tuple[float, float, float], stride: int
) -> Float[Tensor, "6 h w"]:
    """Where the cell's centre lies in the silhouette's box: sines and cosines of x and y, sines of 2x and 2y."""
    # -0.5 .. 0.5 inside the box
    x = ((torch.arange(shape[1] // stride) + 0.5) * stride - 0.5 - box[0]) / box[2]
    y = ((torch.arange(shape[0] // stride) + 0.5) * stride - 0.5 - box[1]) / box[2]
    y, x = torch.meshgrid(y * math.pi / 2, x * math.pi / 2, indexing="ij")
    return torch.stack([x.sin(), x.cos(), y.sin(), y.cos(), (2 * x).sin(), (2 * y).sin()])


def distance_inside(mask: Bool[Tensor, "H W"], size: float, stride: int) -> Float[Tensor, "2 h w"]:
    """Distance to the outline as a share of the silhouette's size, as a point on the unit circle."""
    import cv2

    inside = cv2.distanceTransform(mask.cpu().numpy().astype(np.uint8), cv2.DIST_L2, 5)
    angle = torch.from_numpy(inside).to(mask.device) / size * 6.0  # a torso's middle is about 0.1-0.2 deep
    angle = avg_pool2d(angle[None, None].clamp(max=math.pi / 2), stride)[0, 0]
    return torch.stack([angle.cos(), angle.sin()])


def gradient_histograms(image: Float[Tensor, "3 H W"], stride: int) -> Float[Tensor, "8 h w"]:
    """Gradient energy in eight directions around each cell, pooled over three cells (DAISY's inner ring)."""
    grey = image.mean(dim=0)
    gy, gx = torch.gradient(grey)
    directions = torch.arange(8, device=image.device) * math.pi / 4
    energy = (gx * directions.cos()[:, None, None] + gy * directions.sin()[:, None, None]).clamp(min=0)
    cells = avg_pool2d(energy[None], stride)
    return avg_pool2d(cells, 3, stride=1, padding=1)[0] + 1e-3  # the constant keeps flat regions comparable
