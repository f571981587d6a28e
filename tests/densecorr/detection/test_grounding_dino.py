"""The adapter on a tiny network with random weights, and its conventions on answers that are known."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from densecorr.detection.grounding_dino import GroundingDino, check_image, load_grounding_dino
from densecorr.errors import DependencyError, FeatureError, ImageError, SettingsError


class Answer:
    """A network that answers the same boxes whatever it sees: relative centres and sizes, and word scores."""

    def __init__(self, boxes: list[list[float]], scores: list[float]) -> None:
        self.boxes = torch.tensor([boxes])
        self.logits = torch.full((1, len(boxes), 32), -torch.inf)
        self.logits[0, :, 2] = torch.logit(torch.tensor(scores))  # the word after "a"

    def __call__(self, **inputs: torch.Tensor) -> SimpleNamespace:
        self.seen = inputs
        return SimpleNamespace(pred_boxes=self.boxes, logits=self.logits.clone())


def told(detector: GroundingDino, boxes: list[list[float]], scores: list[float]) -> GroundingDino:
    return GroundingDino(Answer(boxes, scores), detector._processor, torch.float32, torch.device("cpu"))


def test_relative_boxes_become_coco_boxes_best_first(detector: GroundingDino, image: np.ndarray) -> None:
    known = told(
        detector, [[0.5, 0.5, 1.0, 1.0], [0.25, 0.5, 0.5, 0.25], [0.1, 0.1, 0.1, 0.1]], [0.6, 0.9, 0.2]
    )
    found = known(image, "a horse.", 0.3, 0.3)
    assert_allclose(found.xywh, [[0, 18, 30, 12], [0, 0, 60, 48]], atol=1e-4)  # the image is 60 x 48
    assert_allclose(found.score, [0.9, 0.6], atol=1e-6)
    assert found.best == pytest.approx(0.9)
    assert len(known(image, "a horse.", 0.95, 0.3).score) == 0
    assert len(known(image, "a horse.", 0.3, 0.95).score) == 0  # no word is sure enough


@pytest.mark.parametrize("where", ["boxes", "logits"])
def test_an_answer_that_is_no_number_is_refused(
    detector: GroundingDino, image: np.ndarray, where: str
) -> None:
    known = told(detector, [[0.5, 0.5, 1.0, 1.0]], [0.6])
    getattr(known._network, where)[0, 0, 2] = torch.nan
    with pytest.raises(FeatureError, match=r"NaN.*'a horse\.'"):
        known(image, "a horse.", 0.3, 0.3)


def test_the_tiny_network_answers_the_same_every_time(detector: GroundingDino, image: np.ndarray) -> None:
    first, second = (detector(image, "a horse.", 0.0, 0.0) for _ in range(2))
    assert first.xywh.shape == (5, 4)
    assert_array_equal(first.xywh, second.xywh)
    assert_array_equal(first.score, second.score)
    assert ((first.score > 0) & (first.score <= 1)).all()
    other = detector(image, "a cow.", 0.0, 0.0)
    assert not np.array_equal(other.score, first.score)  # it reads the prompt


def test_half_precision_is_close(detector_folder: Path, detector: GroundingDino, image: np.ndarray) -> None:
    half = load_grounding_dino(str(detector_folder), "bf16", "cpu")(image, "a horse.", 0.0, 0.0)
    assert_allclose(half.best, detector(image, "a horse.", 0.0, 0.0).best, atol=0.05)
    assert half.xywh.shape == (5, 4)
    with pytest.raises(SettingsError, match="fp16"):
        load_grounding_dino(str(detector_folder), "fp16", "cpu")


@pytest.mark.parametrize("size", [(1, 1), (7, 90), (8, 500)])
def test_too_small_or_thin_images_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ImageError, match=f"{size[1]} x {size[0]}"):
        check_image(np.zeros((*size, 3), dtype=np.uint8))


@pytest.mark.parametrize("size", [(8, 8), (3, 3), (8, 400)])
def test_the_smallest_and_thinnest_images_go_through(detector: GroundingDino, size: tuple[int, int]) -> None:
    found = told(detector, [[0.5, 0.5, 1.0, 1.0]], [0.6])(
        np.zeros((*size, 3), dtype=np.uint8), "a horse.", 0.3, 0.3
    )
    assert_allclose(found.xywh, [[0, 0, size[1], size[0]]])


def test_a_folder_without_a_whole_model_is_named(tmp_path: Path, segmenter_folder: Path) -> None:
    with pytest.raises(DependencyError, match=str(tmp_path)):
        load_grounding_dino(str(tmp_path), "fp32", "cpu")
