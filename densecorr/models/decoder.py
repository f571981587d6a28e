"""SHIC's backbone: a frozen encoder's feature grid in, a finer feature map out of a small CNN (Sec. 3.4)."""

import math
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate

from ..errors import SettingsError
from ..features import Features, SilhouetteFeatures


@dataclass(frozen=True)
class DecoderBackbone:
    """Settings of the decoder, and the encoder whose grids it reads.

    Attributes:
        encoder: None while it is that of the encoded images a model is trained on; a trained model names it.
        widths: channels of the 3x3 convolutions, one a layer.
        upsample: how many times finer the output is than the encoder's grid: 1, 2, 4 or 8. The paper decodes to the
            image's resolution; here the embeddings between cells are interpolated.
    """

    kind: Literal["decoder"] = "decoder"
    encoder: Features | None = field(default=None)
    widths: tuple[int, ...] = (192, 128, 96, 64, 64)
    upsample: int = 4

    def build(self, channels: int) -> "Decoder":
        """A network with random weights (from torch's global seed) for grids of so many channels.

        Raises:
            SettingsError: no layer, or an `upsample` that is no power of two or needs more layers.
        """
        doublings = int(math.log2(max(self.upsample, 1)))
        if not self.widths or 2**doublings != self.upsample or doublings >= len(self.widths):
            raise SettingsError(
                "an upsample of 1, 2, 4 or 8, and more layers than doublings",
                f"upsample = {self.upsample}, widths = {list(self.widths)}",
                "Correct the decoder's settings.",
            )
        return Decoder(self, channels, doublings)


class Decoder(nn.Module):
    """(B, channels, h, w) to (B, widths[-1], upsample h, upsample w)."""

    multiple = 1  # any crop will do that the encoder accepts

    def __init__(self, settings: DecoderBackbone, channels: int, doublings: int) -> None:
        super().__init__()
        n_layers = len(settings.widths)
        self.out_channels = settings.widths[-1]
        # doublings are spread over the layers, late rather than early: coarse layers are the cheap ones
        self._doubles = {math.ceil((k + 1) * n_layers / (doublings + 1)) for k in range(doublings)}
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Conv2d(a, b, 3, padding=1, bias=False), nn.BatchNorm2d(b), nn.ReLU())
            for a, b in zip((channels, *settings.widths[:-1]), settings.widths, strict=True)
        )

    def forward(self, x: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C2 h2 w2"]:
        """The last layer's features."""
        for index, layer in enumerate(self.layers):
            if index in self._doubles:
                x = interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
            x = layer(x)
        return x


def needs_silhouettes(encoder: Any) -> bool:
    """Whether an extractor, or a part of it, describes the silhouette and so must be given one."""
    if isinstance(encoder, SilhouetteFeatures):
        return True
    if isinstance(encoder, tuple | list):
        return any(needs_silhouettes(part) for part in encoder)
    if not is_dataclass(encoder) or isinstance(encoder, type):
        return False
    return any(needs_silhouettes(getattr(encoder, f.name)) for f in fields(encoder))


def runnable_on(encoder: Any, device: torch.device) -> Any:
    """An extractor's settings for use on a device: on a CPU with fp32 in place of fp16, in its parts too."""
    if device.type != "cpu":
        return encoder
    changed: dict[str, Any] = {}
    for f in fields(encoder):
        value = getattr(encoder, f.name)
        if f.name == "precision" and value == "fp16":
            changed[f.name] = "fp32"
        elif is_dataclass(value):
            changed[f.name] = runnable_on(value, device)
    return replace(encoder, **changed)
