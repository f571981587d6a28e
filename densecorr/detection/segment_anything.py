"""Segment Anything (Kirillov et al. 2023) through transformers: the silhouette inside a box."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8

from ..errors import FeatureError
from ..features.placement import DTYPES, Precision, check_device, place_network
from ..hub import load_pretrained

PIXELS_AT_ONCE = 2**25  # of the masks decoded together, which are float32 at the image's size


class SegmentAnything:
    """The network with what prepares its input: an image is encoded once, its boxes are decoded in blocks.

    `dtype` is that of the image encoder, nearly all of the work; boxes and masks stay float32, since a box's corners in
    bfloat16 are off by some pixels.
    """

    def __init__(self, network: Any, processor: Any, dtype: torch.dtype, device: torch.device) -> None:
        self._network, self._processor = network, processor
        self._dtype, self._device = dtype, device

    @torch.no_grad()
    def __call__(
        self, image: UInt8[np.ndarray, "H W 3"], xywh: Float[np.ndarray, "N 4"]
    ) -> Iterator[tuple[Bool[np.ndarray, "H W"], float]]:
        """For each COCO box, in order: the silhouette and the overlap with the truth that the network expects.

        Boxes go in as edges, as the authors' code puts them in; SAM's own half pixel is at its 1,024-pixel scale.

        Raises:
            FeatureError: the network's answer is not a number.
        """
        corners = np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1)
        at_once = max(1, PIXELS_AT_ONCE // (image.shape[0] * image.shape[1]))
        encoded = None
        for start in range(0, len(corners), at_once):
            boxes = corners[start : start + at_once].tolist()
            inputs = self._processor(
                images=image, input_boxes=[boxes], return_tensors="pt", input_data_format="channels_last"
            )
            if encoded is None:
                pixels = inputs["pixel_values"].to(self._device, self._dtype)
                encoded = self._network.get_image_embeddings(pixels).float()
            outputs = self._network(
                image_embeddings=encoded,
                input_boxes=inputs["input_boxes"].float().to(self._device),
                multimask_output=False,  # a box says which object is meant
            )
            logits, expected = outputs.pred_masks.cpu(), outputs.iou_scores.cpu()
            if not bool(logits.isfinite().all()) or not bool(expected.isfinite().all()):
                raise FeatureError(
                    "finite silhouettes",
                    "NaN or infinity from the segmenter",
                    "Use precision = 'fp32', or fetch the model anew.",
                )
            (masks,) = self._processor.post_process_masks(
                logits, inputs["original_sizes"], inputs["reshaped_input_sizes"]
            )
            yield from zip(masks[:, 0].numpy(), expected[0, :, 0].tolist(), strict=True)


def load_segment_anything(reference: str, precision: Precision, device: str) -> SegmentAnything:
    """The model by reference; images are prepared by transformers' PIL back end, which needs no torchvision.

    Raises:
        DependencyError: the model cannot be had; the message says why.
        SettingsError: no such device, or it cannot compute in that precision.
    """
    from transformers import SamImageProcessorPil, SamModel, SamProcessor

    processor = SamProcessor(load_pretrained(SamImageProcessorPil, reference))
    target = check_device(device, precision)
    network: Any = place_network(load_pretrained(SamModel, reference), device, "fp32")
    network.vision_encoder.to(DTYPES[precision])
    return SegmentAnything(network, processor, DTYPES[precision], target)
