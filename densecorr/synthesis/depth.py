"""Depth of photographs by Depth Anything V2 (Yang et al. 2024) through transformers."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, UInt8

from ..errors import FeatureError, SettingsError
from ..features.patches import IMAGENET_MEAN, IMAGENET_STD
from ..features.placement import DTYPES, Precision, place_network, resize_images
from ..hub import load_pretrained

PATCH = 14


class DepthEstimator:
    """Relative inverse depth (greater is nearer; neither unit nor origin) of square images, one at a time."""

    def __init__(self, network: Any, device: str, precision: Precision, side: int) -> None:
        """Take a placed network; `side` is what images are resized to, in pixels."""
        self._network, self._side = network, side
        self._device, self._dtype = torch.device(device), DTYPES[precision]

    @torch.no_grad()
    def __call__(self, image: UInt8[np.ndarray, "S S 3"]) -> Float32[np.ndarray, "S S"]:
        """The estimate at the image's size.

        Raises:
            FeatureError: values that are not finite.
        """
        pixels = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].float() / 255
        pixels = resize_images(pixels, self._side, self._side)
        mean, std = (torch.tensor(values)[:, None, None] for values in (IMAGENET_MEAN, IMAGENET_STD))
        pixels = (pixels - mean) / std
        found = self._network(pixels.to(self._device, self._dtype)).predicted_depth[:, None].float().cpu()
        depth = resize_images(found, *image.shape[:2])[0, 0].numpy()
        if not np.isfinite(depth).all():
            raise FeatureError("finite depths", "NaN or infinity", "Set precision = 'fp32' or 'bf16'.")
        return depth


def load_depth_estimator(
    model: str,
    device: str = "cpu",
    precision: Precision = "fp32",
    side: int = 518,
    offload: bool = False,
) -> DepthEstimator:
    """Depth Anything, or another model of transformers that predicts inverse depth, ready on a device.

    `offload` keeps its weights in main memory until they are used.

    Raises:
        DependencyError: the model cannot be had.
        SettingsError: a side that is no multiple of the patch, or a model that predicts metres.
    """
    from transformers import AutoModelForDepthEstimation

    if side < PATCH or side % PATCH:
        raise SettingsError(
            f"depth_side as a multiple of {PATCH}", str(side), "518 is what it was trained with."
        )
    network = load_pretrained(AutoModelForDepthEstimation, model)
    if getattr(network.config, "depth_estimation_type", "relative") != "relative":
        raise SettingsError(
            "a depth model that predicts relative inverse depth",
            f"{model}, which predicts metres",
            "Use Depth Anything without 'Metric' in its name.",
        )
    return DepthEstimator(place_network(network, device, precision, offload), device, precision, side)
