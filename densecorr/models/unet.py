"""A compact residual U-Net for CPUs: RGB and a silhouette hint in, a feature map at half resolution out."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate


@dataclass(frozen=True)
class UNetBackbone:
    """Settings: channels a level, from half resolution downwards; each level halves the one above."""

    kind: Literal["unet"] = "unet"
    widths: tuple[int, ...] = (32, 48, 64, 96, 128)
    dropout: float = 0.0

    def build(self, channels: int = 4) -> "UNet":
        """A network with random weights (from torch's global seed); RGB and the hint are 4 channels."""
        return UNet(self, channels)


class UNet(nn.Module):
    """(B, 4, H, W), scaled RGB and hint, to (B, widths[0], H/2, W/2).

    H and W are multiples of 2^len(widths).
    """

    def __init__(self, settings: UNetBackbone, channels: int = 4) -> None:
        super().__init__()
        widths = settings.widths
        self.out_channels = widths[0]
        self.stride = 2
        self.multiple = 2 ** len(widths)
        self.stem = nn.Sequential(
            nn.Conv2d(channels, widths[0], 5, stride=2, padding=2, bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(),
        )
        self.down = nn.ModuleList(
            [Residual(widths[0], widths[0], 1)] + [Residual(a, b, 2) for a, b in pairwise(widths)]
        )
        self.middle = nn.Sequential(Residual(widths[-1], widths[-1], 1), nn.Dropout2d(settings.dropout))
        self.lateral = nn.ModuleList([nn.Conv2d(b, a, 1) for a, b in pairwise(widths)])
        self.up = nn.ModuleList([Residual(a, a, 1) for a in widths[:-1]])

    def forward(self, x: Float[Tensor, "B 4 H W"]) -> Float[Tensor, "B C h w"]:
        """The finest level's features."""
        x = self.stem(x)
        skips = []
        for block in self.down:
            x = block(x)
            skips.append(x)
        x = self.middle(x)
        for level in reversed(range(len(self.up))):
            x = interpolate(self.lateral[level](x), scale_factor=2.0, mode="bilinear", align_corners=False)
            x = self.up[level](x + skips[level])
        return x


class Residual(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(n_in, n_out, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(n_out),
            nn.ReLU(),
            nn.Conv2d(n_out, n_out, 3, padding=1, bias=False),
            nn.BatchNorm2d(n_out),
        )
        same = n_in == n_out and stride == 1
        self.shortcut = nn.Identity() if same else nn.Conv2d(n_in, n_out, 1, stride=stride, bias=False)

    def forward(self, x: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C2 h2 w2"]:
        """The block's output."""
        return torch.relu(self.body(x) + self.shortcut(x))
