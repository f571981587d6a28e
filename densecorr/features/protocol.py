"""What a feature extractor is."""

from typing import Protocol, runtime_checkable

from jaxtyping import Bool, Float
from torch import Tensor

from ..errors import ImageError


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
    if images.shape[-1] % stride or images.shape[-2] % stride:
        raise ImageError(
            f"image sides divisible by {stride}", f"{tuple(images.shape[-2:])}", "Choose another crop size."
        )
