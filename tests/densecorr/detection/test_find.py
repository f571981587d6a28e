"""From an image's instances and a detector's boxes to rows."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from densecorr.detection import SilhouetteSettings
from densecorr.detection.find import DETECTED, FILLED, SilhouetteFinder, load_finder
from densecorr.detection.grounding_dino import Detections
from densecorr.errors import ImageError
from densecorr.images import box_of_silhouette, decode_silhouette
from densecorr.records import ImageRecord, InstanceRecord

IMAGE = ImageRecord("mine/7", "7.png", 60, 48)


def whole_box(image: np.ndarray, xywh: np.ndarray) -> Iterator[tuple[np.ndarray, float]]:
    """Everything in the box is the object."""
    for x, y, w, h in np.rint(xywh).astype(int):
        silhouette = np.zeros(image.shape[:2], dtype=bool)
        silhouette[y : y + h, x : x + w] = True
        yield silhouette, 0.9


def sees(*boxes: tuple[float, ...]) -> object:
    """A detector that always sees these boxes, the last number being the score."""
    array = np.array(boxes, dtype=np.float64).reshape(-1, 5)

    def detect(image: np.ndarray, prompt: str, box_threshold: float, text_threshold: float) -> Detections:
        return Detections(array[:, :4], array[:, 4], 0.9)

    return detect


def known(xywh: tuple[float, ...], **changed: object) -> InstanceRecord:
    return InstanceRecord(f"mine/{xywh}", "mine/7", "horse", xywh, **changed)


def finder(detect: object = None, **settings: object) -> SilhouetteFinder:
    return SilhouetteFinder(SilhouetteSettings(**settings), whole_box, detect)


def test_what_is_detected_becomes_an_ordinary_instance(image: np.ndarray) -> None:
    found = finder(sees((10, 10, 20, 20, 0.9), (35, 5, 20, 30, 0.5)))(image, IMAGE, (), "horse", first=3)
    one, two = found.records
    assert (one.instance_id, two.instance_id) == ("mine/sam/7/3", "mine/sam/7/4")
    assert (one.category, one.image_id, one.score, one.silhouette_source) == (
        "horse",
        "mine/7",
        0.9,
        DETECTED,
    )
    assert one.area == 400
    silhouette = decode_silhouette(one.silhouette, 48, 60)
    assert box_of_silhouette(silhouette) == one.xywh == (10, 10, 20, 20)
    assert found.best_score == 0.9


def test_a_box_over_the_border_is_cut_and_one_beside_the_image_dropped(image: np.ndarray) -> None:
    found = finder(sees((-10, -10, 30, 30, 0.9), (70, 0, 20, 20, 0.8)))(image, IMAGE, (), "horse")
    assert [record.xywh for record in found.records] == [(0, 0, 20, 20)]
    assert found.dropped["box not in the image"] == 1


def test_repetitions_are_dropped(image: np.ndarray) -> None:
    box = (10.0, 10.0, 20.0, 20.0)
    detect = sees((*box, 0.9), (11, 10, 20, 20, 0.8), (32, 5, 20, 30, 0.7))
    found = finder(detect)(image, IMAGE, (), "horse")
    assert [record.score for record in found.records] == [0.9, 0.7]
    assert found.dropped["overlaps a better box"] == 1
    rle = found.records[0].silhouette
    again = finder(detect)(image, IMAGE, (known(box, silhouette=rle),), "horse")
    assert [record.score for record in again.records] == [0.7]
    assert again.dropped["is a known instance"] == 1
    crowd = known((0.0, 0.0, 60.0, 48.0), iscrowd=True)  # whose silhouette is not asked for
    assert finder(detect)(image, IMAGE, (crowd,), "horse").records == []


def test_small_and_empty_silhouettes_are_dropped(image: np.ndarray) -> None:
    detect = sees((10, 10, 5, 5, 0.9))
    assert finder(detect)(image, IMAGE, (), "horse").dropped["silhouette below min_area"] == 1
    (kept,) = finder(detect, min_area=25.0)(image, IMAGE, (), "horse").records
    assert kept.area == 25

    def empty(image: np.ndarray, xywh: np.ndarray) -> Iterator[tuple[np.ndarray, float]]:
        yield from ((np.zeros(image.shape[:2], dtype=bool), 0.1) for _ in xywh)

    nothing = SilhouetteFinder(SilhouetteSettings(min_area=0.0), empty, detect)
    assert nothing(image, IMAGE, (), "horse").records == []


@pytest.mark.parametrize("detect", [None, sees()])
def test_absent_silhouettes_are_filled_and_nothing_else_changes(image: np.ndarray, detect: object) -> None:
    lacking = known((10.0, 10.0, 20.0, 20.0), area=400.0, extra={"name": "Tam"})
    has = known((30.0, 10.0, 20.0, 20.0), silhouette={"size": [48, 60], "counts": "x"})
    beside = known((90.0, 10.0, 20.0, 20.0))
    broken = known((np.nan, 10.0, 20.0, 20.0))
    crowd = known((0.0, 0.0, 60.0, 48.0), iscrowd=True)
    found = finder(detect)(image, IMAGE, (lacking, has, beside, broken, crowd), "horse")
    (filled,) = found.records
    assert filled.silhouette_source == FILLED
    assert decode_silhouette(filled.silhouette, 48, 60).sum() == 400
    assert (filled.instance_id, filled.xywh, filled.area, filled.score, filled.extra) == (
        lacking.instance_id, lacking.xywh, 400.0, None, {"name": "Tam"},
    )  # fmt: skip
    assert found.dropped["box not in the image"] == 2


def test_an_image_of_one_pixel_is_refused() -> None:
    with pytest.raises(ImageError, match="1 x 1"):
        finder(sees())(np.zeros((1, 1, 3), dtype=np.uint8), IMAGE, (), "horse")


def test_an_image_of_another_size_than_its_row_says_is_refused() -> None:
    with pytest.raises(ImageError, match="60 x 48; received 48 x 60"):
        finder(sees())(np.zeros((60, 48, 3), dtype=np.uint8), IMAGE, (), "horse")


def test_filling_alone_needs_no_detector(segmenter_folder: Path, image: np.ndarray) -> None:
    settings = SilhouetteSettings(
        mode="missing", detector="no/such", segmenter=str(segmenter_folder), min_area=0.0
    )
    found = load_finder(settings)(image, IMAGE, (known((5.0, 5.0, 40.0, 40.0)),), "horse")
    assert found.best_score is None
    assert all(record.silhouette_source == FILLED for record in found.records)


def test_the_tiny_networks_work_together(
    detector_folder: Path, segmenter_folder: Path, image: np.ndarray
) -> None:
    settings = SilhouetteSettings(
        detector=str(detector_folder), segmenter=str(segmenter_folder), box_threshold=0.1, min_area=0.0
    )
    found = load_finder(settings)(image, IMAGE, (), "horse")
    assert len(found.records) + found.dropped.total() == 5
    for record in found.records:
        assert decode_silhouette(record.silhouette, 48, 60).any()
        assert 0.1 < record.score <= 1
