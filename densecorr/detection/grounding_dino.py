"""GroundingDINO (Liu et al. 2023) through transformers: boxes of what a few words name."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8

from ..errors import FeatureError, ImageError
from ..features.placement import DTYPES, Precision, check_device, place_network
from ..hub import load_pretrained

MIN_SIDE = 8  # pixels
MAX_ASPECT = 50  # longer by shorter side: a thinner image is scaled to no pixel at all


@dataclass(frozen=True)
class Detections:
    """Boxes (COCO xywh, not clipped to the image) with scores, best first; `best` is the best score of any box."""

    xywh: Float[np.ndarray, "N 4"]
    score: Float[np.ndarray, " N"]
    best: float


class GroundingDino:
    """The network with what prepares its input; one image at a time, so that none depends on another."""

    def __init__(self, network: Any, processor: Any, dtype: torch.dtype, device: torch.device) -> None:
        self._network, self._processor = network, processor
        self._dtype, self._device = dtype, device

    @torch.no_grad()
    def __call__(
        self, image: UInt8[np.ndarray, "H W 3"], prompt: str, box_threshold: float, text_threshold: float
    ) -> Detections:
        """The boxes that score above `box_threshold`, and some word of the prompt above `text_threshold`.

        Raises:
            FeatureError: the network's answer is not a number.
        """
        inputs = self._processor(
            images=image, text=prompt, return_tensors="pt", input_data_format="channels_last"
        ).to(self._device)
        # half precision for the products alone: boxes of bfloat16 are off by up to 1/500 of the image
        with torch.autocast(self._device.type, self._dtype, enabled=self._dtype != torch.float32):
            outputs = self._network(**inputs)
        # words that the prompt does not have are -inf, which is no score
        if not bool(outputs.pred_boxes.isfinite().all()) or bool(outputs.logits.isnan().any()):
            raise FeatureError(
                "finite boxes and scores",
                f"NaN or infinity from the detector for '{prompt}'",
                "Use precision = 'fp32', or fetch the model anew.",
            )
        outputs.logits, outputs.pred_boxes = outputs.logits.float(), outputs.pred_boxes.float()
        (found,) = self._processor.post_process_grounded_object_detection(
            outputs,
            inputs["input_ids"],
            threshold=box_threshold,
            text_threshold=text_threshold,
            target_sizes=[image.shape[:2]],
        )
        # relative centre and size were scaled by the image's sides: corners are edges, as COCO's are
        corners = found["boxes"].double().cpu().numpy().reshape(-1, 4)
        score = found["scores"].double().cpu().numpy()
        named = np.array([bool(words.strip()) for words in found["text_labels"]], dtype=bool)
        order = np.argsort(-score, kind="stable")
        order = order[named[order]]
        xywh = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)
        return Detections(xywh[order], score[order], float(outputs.logits.sigmoid().max()))


def check_image(image: UInt8[np.ndarray, "H W 3"]) -> None:
    """Refuse an image that is too small or too thin to look for anything in it.

    Raises:
        ImageError: it is.
    """
    short, long = sorted(image.shape[:2])
    if short < MIN_SIDE or long > MAX_ASPECT * short:
        raise ImageError(
            f"an image of at least {MIN_SIDE} x {MIN_SIDE} pixels, at most {MAX_ASPECT} times as long as wide",
            f"{image.shape[1]} x {image.shape[0]}",
            "Leave it out.",
        )


def load_grounding_dino(reference: str, precision: Precision, device: str) -> GroundingDino:
    """The model by reference; images are prepared by transformers' PIL back end, which needs no torchvision.

    Raises:
        DependencyError: the model cannot be had; the message says why.
        SettingsError: no such device, or it cannot compute in that precision.
    """
    from transformers import (
        AutoTokenizer,
        GroundingDinoForObjectDetection,
        GroundingDinoImageProcessorPil,
        GroundingDinoProcessor,
    )

    images = load_pretrained(GroundingDinoImageProcessorPil, reference)
    processor = GroundingDinoProcessor(images, load_pretrained(AutoTokenizer, reference))
    network = load_pretrained(GroundingDinoForObjectDetection, reference)
    target = check_device(device, precision)
    return GroundingDino(place_network(network, device, "fp32"), processor, DTYPES[precision], target)
