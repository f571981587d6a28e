"""What a feature extractor is."""

from typing import Protocol, runtime_checkable

from jaxtyping import Bool, Float
from torch import Tensor

from ..errors import FeatureError, ImageError


@runtime_checkable
class FeatureExtractor(Protocol):
    """Images to a feature grid; column j is centred on x = (j + 0.5) * stride - 0.5.

    An image's features never depend on its batch mates.
    """

    stride: int  # pixels per cell

    def __call__(
        self, images: Float[Tensor, "B 3 H W"], silhouettes: Bool[Tensor, "B H W"], keys: list[str]
    ) -> Float[Tensor, "B C h w"]:
        """`images` are RGB in [0, 1]; H and W are multiples of `stride`; `keys` seed noise, one an image."""
        ...


def check_divisible(images: Float[Tensor, "B 3 H W"], stride: int) -> None:
    """Raise an ImageError unless both sides are multiples of the stride."""
    height, width = images.shape[-2:]
    if height % stride or width % stride:
        near = max(stride, round(width / stride) * stride)
        raise ImageError(
            f"image sides divisible by {stride}, the pixels of one cell",
            f"{height}x{width}",
            f"Choose another size for crops and views, such as {near} (settings.crop_size, rig.size).",
        )


def check_finite(grid: Float[Tensor, "B C h w"], keys: list[str]) -> None:
    """Raise a FeatureError that names the images whose features hold NaN or infinity."""
    bad = [key for key, one in zip(keys, grid, strict=True) if not bool(one.isfinite().all())]
    if bad:
        raise FeatureError(
            "finite features",
            f"NaN or infinity for {', '.join(bad[:5])}" + (f" and {len(bad) - 5} more" if bad[5:] else ""),
            "Use precision = 'fp32' or 'bf16'; else look for damaged files: `densecorr models check`.",
        )
