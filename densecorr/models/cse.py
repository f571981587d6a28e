"""Continuous surface embeddings: pixels and vertices in one space (CSE, Neverova et al. 2020; SHIC eq. 3)."""

from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import normalize

from ..errors import SettingsError
from .decoder import DecoderBackbone
from .unet import UNetBackbone

Backbone = UNetBackbone | DecoderBackbone  # to add one: a file, a name here, a test


@dataclass(frozen=True)
class CseModelSettings:
    """The dense model.

    Attributes:
        embedding: D, the dimension shared by pixels and vertices (16 in CSE and SHIC).
        n_eigenfunctions: Q of E = U C (SHIC 64, CSE 256).
        unit: unit vectors ('detectron2' preset) or plain inner products ('shic-paper').
        temperature: scores are <pixel, vertex> / temperature; SHIC uses 1 with plain products.
        crop_size: side of the square input, pixels. padding: margin around the box, share of its longer side. With a
            decoder both are those of the encoded images.
    """

    embedding: int = 16
    n_eigenfunctions: int = 64
    unit: Literal["none", "both"] = "none"
    temperature: float = 1.0
    crop_size: int = 96
    padding: float = 0.1
    backbone: Backbone = field(default_factory=UNetBackbone)


class CseModel(nn.Module):
    """Images to pixel embeddings and foreground logits; vertex embeddings E = U C on the template's eigenbasis."""

    basis: Tensor  # a buffer: (K, Q)

    def __init__(
        self, settings: CseModelSettings, basis: Float[Tensor, "K M"], channels: int | None = None
    ) -> None:
        """`basis` holds the eigenfunctions at K vertices (the training level); its first Q columns are used.

        `channels` are those of the encoder's grids; a network that looks at pictures needs none.

        Raises:
            SettingsError: a crop size that the backbone's levels do not divide.
        """
        super().__init__()
        self.settings = settings
        self.reads_grids = isinstance(settings.backbone, DecoderBackbone)
        if self.reads_grids and channels is None:
            raise SettingsError(
                "encoded images for a decoder",
                "none",
                "Run `densecorr encode` and name its artifact as `encoded`, or use the unet.",
            )
        self.backbone = settings.backbone.build(channels if self.reads_grids and channels else 4)
        if settings.crop_size % self.backbone.multiple:
            raise SettingsError(
                f"a crop_size that is a multiple of {self.backbone.multiple}",
                str(settings.crop_size),
                "Change it, or the number of the backbone's widths.",
            )
        self.head = nn.Conv2d(self.backbone.out_channels, settings.embedding + 1, 1)
        scale = basis.square().mean().sqrt()  # eigenfunctions of unit mass norm grow as the surface shrinks
        self.register_buffer("basis", basis[:, : settings.n_eigenfunctions] / scale)
        n_used = self.basis.shape[1]
        # never zero: with E = 0 neither side would get a gradient
        self.C = nn.Parameter(torch.randn(n_used, settings.embedding) / n_used**0.5)

    def forward(
        self, images: Float[Tensor, "B C H W"], hint: Float[Tensor, "B H2 W2"] | None = None
    ) -> tuple[Float[Tensor, "B E h w"], Float[Tensor, "B h w"]]:
        """Pixel embeddings and foreground logits on the output grid.

        `images` are RGB in [0, 1], for a decoder the encoder's grids instead. `hint` is what is known of the
        silhouette: 1 inside, -1 outside, 0 unknown (the default everywhere); a decoder takes none.
        """
        if not self.reads_grids:
            known = torch.zeros_like(images[:, :1]) if hint is None else hint[:, None]
            images = torch.cat([(images - 0.5) * 4.0, known * 2.0], dim=1)
        out = self.head(self.backbone(images))
        pixel = out[:, :-1]
        return (normalize(pixel, dim=1) if self.settings.unit == "both" else pixel), out[:, -1]

    def vertex_embedding(self, basis: Float[Tensor, "K M"] | None = None) -> Float[Tensor, "K E"]:
        """E = U C, on the training level or on any other rows of the same (scaled) eigenbasis."""
        E = (self.basis if basis is None else basis) @ self.C
        return normalize(E, dim=1) if self.settings.unit == "both" else E
