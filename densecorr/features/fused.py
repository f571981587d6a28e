"""SD-DINO (Zhang et al. 2023): a backbone's and Stable Diffusion's features side by side, as SHIC matches with."""

from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import normalize

from ..errors import SettingsError
from .dinov2 import DinoV2Features
from .dinov3 import DinoV3Features
from .hub_backbone import HubBackboneFeatures
from .placement import resize_images
from .protocol import FeatureExtractor, check_divisible
from .stable_diffusion import StableDiffusionFeatures


@dataclass(frozen=True)
class FusedFeatures:
    """Settings: both parts, each L2-normalised, then weighted; the grid is the backbone's.

    Attributes:
        backbone: 840 pixels give 60x60 cells with DINOv2.
        diffusion: sees the image enlarged so that its cells are the backbone's (960 pixels then).
        backbone_weight: factor of the normalised backbone features.
        diffusion_weight: factor of the normalised diffusion features.
    """

    kind: Literal["fused"] = "fused"
    backbone: DinoV2Features | DinoV3Features | HubBackboneFeatures = field(default_factory=DinoV2Features)
    diffusion: StableDiffusionFeatures = field(default_factory=StableDiffusionFeatures)
    backbone_weight: float = 0.5
    diffusion_weight: float = 0.5

    def load(self, device: str = "cpu", offload: bool = False) -> "FusedExtractor":
        """Both extractors as one.

        Raises:
            DependencyError: a model cannot be had.
            SettingsError: a weight that is not positive.
        """
        weights = (self.backbone_weight, self.diffusion_weight)
        if min(weights) <= 0:
            raise SettingsError("positive weights", str(weights), "Use the other extractor alone instead.")
        parts = (self.backbone.load(device, offload), self.diffusion.load(device, offload))
        return FusedExtractor(parts, weights)


class FusedExtractor:
    """Several extractors on one grid, that of the first."""

    def __init__(self, parts: tuple[FeatureExtractor, ...], weights: tuple[float, ...]) -> None:
        self._parts, self._weights = parts, weights
        self.stride = parts[0].stride

    def __call__(
        self, images: Float[Tensor, "B 3 H W"], silhouettes: Bool[Tensor, "B H W"], keys: list[str]
    ) -> Float[Tensor, "B C h w"]:
        """The parts' channels one after another.

        Each part sees the images at the size at which its own cells are those of the grid, so that column j of every
        part is centred on x = (j + 0.5) * stride - 0.5 of the images.
        """
        check_divisible(images, self.stride)
        height, width = (side // self.stride for side in images.shape[-2:])
        out = []
        for part, weight in zip(self._parts, self._weights, strict=True):
            shape = height * part.stride, width * part.stride
            masks = resize_images(silhouettes[:, None].float(), *shape)[:, 0] >= 0.5
            grid = part(resize_images(images, *shape), masks, keys)
            out.append(weight * normalize(grid, dim=1))
        return torch.cat(out, dim=1)
