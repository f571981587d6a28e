"""Where a network runs and in which precision, and the resizing that extractors share."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate

from ..config import check_least
from ..errors import SettingsError

Precision = Literal["fp32", "fp16", "bf16"]
DTYPES: dict[Precision, torch.dtype] = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class RunOn:
    """Where and how an extractor runs; no result depends on it but for rounding.

    Attributes:
        device: cpu, cuda, cuda:1 ...
        batch: images at once; 0 takes 1 on a CPU and what fits the free memory on a GPU.
        offload: keep weights in main memory and bring each layer to the GPU when it is used: slower, for small GPUs.
    """

    device: str = "cpu"
    batch: int = 0
    offload: bool = False

    def __post_init__(self) -> None:
        """Raise a SettingsError for a batch below 0."""
        check_least(self, {"batch": 0})


def check_device(device: str, precision: Precision = "fp32") -> torch.device:
    """The device by name.

    Raises:
        SettingsError: it is not here, or cannot compute in that precision.
    """
    try:
        found = torch.device(device)
    except RuntimeError as error:
        raise SettingsError("a device such as cpu, cuda or cuda:1", repr(device), "Correct it.") from error
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        raise SettingsError(
            f"the device {device}",
            f"{torch.cuda.device_count()} CUDA devices",
            "Use device = 'cpu', or install a CUDA build of torch.",
        )
    if found.type not in ("cpu", "cuda") and not torch.get_device_module(found).is_available():
        raise SettingsError(f"the device {device}", "none here", "Use device = 'cpu' or 'cuda'.")
    if found.type == "cpu" and precision == "fp16":
        raise SettingsError("fp32 or bf16 on a CPU", "fp16", "Correct `precision`, or run it on a GPU.")
    return found


def place_network(network: nn.Module, device: str, precision: Precision, offload: bool = False) -> nn.Module:
    """The network ready for inference on a device.

    `offload` keeps its weights in main memory and brings each layer to the device when it is used (accelerate):
    slower, but a model larger than the GPU's memory runs.
    """
    target = check_device(device, precision)
    network = network.eval().requires_grad_(False).to(DTYPES[precision])
    if offload and target.type != "cpu":
        from accelerate import cpu_offload

        cpu_offload(network, execution_device=target)
        return network
    return network.to(target)


def resize_images(images: Float[Tensor, "B C H W"], height: int, width: int) -> Float[Tensor, "B C h w"]:
    """Bilinear, averaging where it shrinks; the corners of the images stay corners, so that positions scale."""
    if images.shape[-2:] == (height, width):
        return images
    return interpolate(images, size=(height, width), mode="bilinear", align_corners=False, antialias=True)
