"""Vision transformers and other backbones of `transformers` as extractors: normalise, run, lay tokens out as a grid."""

import inspect
import json
import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ..errors import FeatureError
from ..hub import load_pretrained, model_folder
from .placement import DTYPES, Precision, place_network
from .protocol import check_divisible

MAX_PREFIX = 16  # class and register tokens before the patches
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class PatchExtractor:
    """A backbone with a patch grid; each image on its own."""

    def __init__(
        self,
        network: nn.Module,
        stride: int,
        name: str,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
        device: str = "cpu",
        precision: Precision = "fp32",
    ) -> None:
        """Take a network that is placed already; `name` is for messages."""
        self.stride = stride
        self._network, self._name = network, name
        self._mean, self._std = torch.tensor(mean)[:, None, None], torch.tensor(std)[:, None, None]
        self._device, self._dtype = torch.device(device), DTYPES[precision]
        known = inspect.signature(network.forward).parameters
        self._options = {"interpolate_pos_encoding": True} if "interpolate_pos_encoding" in known else {}

    @torch.no_grad()
    def __call__(
        self, images: Float[Tensor, "B 3 H W"], silhouettes: Bool[Tensor, "B H W"], keys: list[str]
    ) -> Float[Tensor, "B C h w"]:
        """The last layer's patch tokens, float32 on the extractor's device."""
        check_divisible(images, self.stride)
        scaled = (images.float().cpu() - self._mean) / self._std
        out = self._network(scaled.to(self._device, self._dtype), **self._options).last_hidden_state
        height, width = (side // self.stride for side in images.shape[-2:])
        return tokens_to_grid(out.float(), height, width, self._name)


def tokens_to_grid(
    tokens: Float[Tensor, "B N C"] | Float[Tensor, "B C h w"], height: int, width: int, name: str
) -> Float[Tensor, "B C h w"]:
    """Patch tokens, row by row behind any class and register tokens, as a grid; a map stays as it is.

    Raises:
        FeatureError: the numbers do not fit.
    """
    if tokens.ndim == 4:
        if tokens.shape[-2:] == (height, width):
            return tokens
        found = f"a map of {tuple(tokens.shape[-2:])}"
    else:
        n_prefix = tokens.shape[1] - height * width
        if 0 <= n_prefix <= MAX_PREFIX:
            return tokens[:, n_prefix:].transpose(1, 2).unflatten(2, (height, width)).contiguous()
        found = f"{tokens.shape[1]} tokens"
    raise FeatureError(
        f"a {height}x{width} patch grid from {name}", found, "Choose another crop size, or another model."
    )


def load_patch_extractor(
    model: str, precision: Precision, device: str, offload: bool, stride: int | None = None
) -> PatchExtractor:
    """A backbone by reference; its stride is `stride`, or found by a trial.

    Raises:
        DependencyError: the model cannot be had.
        FeatureError: it gives no patch grid.
    """
    from transformers import AutoModel

    network = load_pretrained(AutoModel, model)
    network = getattr(network, "vision_model", network)  # of a model of images and text, the part that sees
    size = getattr(network.config, "image_size", None) or 224
    size = int(max(size)) if isinstance(size, list | tuple) else int(size)
    network = place_network(network, device, precision, offload)
    mean, std = read_normalisation(model)
    if stride is None:
        trial = PatchExtractor(network, 1, model, mean, std, device, precision)
        stride = find_stride(trial, size, model)
    return PatchExtractor(network, stride, model, mean, std, device, precision)


@torch.no_grad()
def find_stride(extractor: PatchExtractor, size: int, name: str) -> int:
    """Pixels a cell, from what the network makes of a square image of `size` pixels."""
    blank = torch.zeros(1, 3, size, size, device=extractor._device, dtype=extractor._dtype)
    try:
        out = extractor._network(blank, **extractor._options).last_hidden_state
    except (ValueError, TypeError, AttributeError, RuntimeError) as error:
        raise FeatureError(
            f"a vision backbone that takes images: {name}",
            f"{type(error).__name__}: {error}",
            "Choose another model.",
        ) from error
    side = out.shape[-1] if out.ndim == 4 else math.isqrt(out.shape[1])
    n_prefix = 0 if out.ndim == 4 else out.shape[1] - side**2
    if size % side or n_prefix > MAX_PREFIX:
        raise FeatureError(
            f"a patch grid that divides {size} pixels from {name}",
            f"an output of {tuple(out.shape)}",
            "Choose a backbone that keeps one token a patch.",
        )
    return size // side


def read_normalisation(model: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of the channels in [0, 1], from the model's preprocessor file; ImageNet's without one."""
    file = model_folder(model) / "preprocessor_config.json"
    found = json.loads(file.read_text()) if file.is_file() else {}
    return tuple(found.get("image_mean", IMAGENET_MEAN)), tuple(found.get("image_std", IMAGENET_STD))
