"""The adapter on a tiny network with random weights, and its geometry on masks that are known."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal

from densecorr.detection import segment_anything
from densecorr.detection.segment_anything import SegmentAnything, load_segment_anything
from densecorr.errors import FeatureError
from densecorr.images import box_of_silhouette

CELLS = 32  # of the masks, for 64 pixels


class FillsBoxes:
    """A network whose mask is the box it is given, on its grid; it counts the images it encodes."""

    def __init__(self) -> None:
        self.n_encoded = 0

    def get_image_embeddings(self, pixels: torch.Tensor) -> torch.Tensor:
        self.n_encoded += 1
        return pixels

    def __call__(
        self, image_embeddings: torch.Tensor, input_boxes: torch.Tensor, multimask_output: bool
    ) -> SimpleNamespace:
        assert not multimask_output
        x0, y0, x1, y1 = (input_boxes[0, :, i, None, None] * CELLS / 64 for i in range(4))
        at = torch.arange(CELLS) + 0.5
        xs, ys = at[None, None, :], at[None, :, None]
        # positive inside, zero on the edges
        inside = torch.minimum(torch.minimum(xs - x0, x1 - xs), torch.minimum(ys - y0, y1 - ys))
        return SimpleNamespace(
            pred_masks=inside[None, :, None], iou_scores=torch.full((1, len(inside), 1), 0.75)
        )


@pytest.fixture
def known(segmenter: SegmentAnything) -> SegmentAnything:
    return SegmentAnything(FillsBoxes(), segmenter._processor, torch.float32, torch.device("cpu"))


def test_a_box_comes_back_where_it_was(known: SegmentAnything) -> None:
    image = np.zeros((100, 128, 3), dtype=np.uint8)  # half a SAM pixel a pixel, and padding below
    boxes = np.array([[16.0, 12.0, 40.0, 60.0], [64.0, 40.0, 64.0, 60.0], [0.0, 0.0, 128.0, 100.0]])
    found = list(known(image, boxes))
    for (silhouette, score), box in zip(found, boxes, strict=True):
        assert silhouette.shape == (100, 128)
        assert score == 0.75
        off = np.array(box_of_silhouette(silhouette)) - box
        assert np.abs(off).max() <= 1.0  # pixels; a cell is 4
        assert silhouette.sum() > 0.95 * box[2] * box[3]


def test_an_image_is_encoded_once_for_all_its_boxes(
    known: SegmentAnything, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = np.zeros((32, 64, 3), dtype=np.uint8)
    boxes = np.array([[4.0 * i, 4.0, 16.0, 16.0] for i in range(7)])
    together = list(known(image, boxes))
    monkeypatch.setattr(segment_anything, "PIXELS_AT_ONCE", 3 * 32 * 64)
    in_blocks = list(known(image, boxes))
    assert known._network.n_encoded == 2
    for (one, _), (other, _) in zip(together, in_blocks, strict=True):
        assert_array_equal(one, other)
    assert list(known(image, np.zeros((0, 4)))) == []


def test_an_answer_that_is_no_number_is_refused(known: SegmentAnything) -> None:
    with pytest.raises(FeatureError, match="segmenter"):
        list(known(np.zeros((32, 64, 3), dtype=np.uint8), np.array([[np.nan, 0.0, 5.0, 5.0]])))


@pytest.mark.parametrize("size", [(1, 1), (1, 3), (48, 60), (300, 7)])
def test_the_tiny_network_answers_masks_of_the_image_s_size(
    segmenter: SegmentAnything, size: tuple[int, int]
) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    box = np.array([[0.0, 0.0, float(size[1]), float(size[0])]])
    ((mask, score),), ((again, _),) = list(segmenter(image, box)), list(segmenter(image, box))
    assert mask.shape == size
    assert mask.dtype == np.bool_
    assert np.isfinite(score)
    assert_array_equal(mask, again)


def test_half_precision_is_close(
    segmenter_folder: Path, segmenter: SegmentAnything, image: np.ndarray
) -> None:
    half = load_segment_anything(str(segmenter_folder), "bf16", "cpu")
    box = np.array([[10.0, 10.0, 30.0, 30.0]])
    ((mask, score),), ((exact, exact_score),) = list(half(image, box)), list(segmenter(image, box))
    assert (mask == exact).mean() > 0.9
    assert abs(score - exact_score) < 0.05
