import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from densecorr.errors import AnnotationError
from densecorr.evaluation.densepose_types import DensePoseDetection, DensePoseTruth
from densecorr.evaluation.point_errors import check_mirror, point_errors
from densecorr.evaluation.point_matching import match_detections

PLACES = np.linspace(-1.0, 1.0, 41)  # a segment, mirrored about its middle
D = np.abs(PLACES[:, None] - PLACES[None]).astype(np.float32)
MIRROR = np.arange(41)[::-1].copy()


def test_distances_are_those_of_the_mesh_and_missing_is_infinite() -> None:
    found = point_errors(D, np.array([0, 0, 40]), np.array([0, 20, -1]), 2.0)
    assert_allclose(found.distance, [0.0, 1.0, np.inf])
    assert found.confused is None


def test_sides() -> None:
    true = np.array([0, 0, 0, 0, 20, 19])
    predicted = np.array([0, 40, -1, 20, 40, 40])
    found = point_errors(D, true, predicted, 2.0, MIRROR)
    assert found.sided is not None
    assert found.confused is not None
    assert_array_equal(found.sided, [True, True, True, True, False, False])  # within 5 % of the middle
    assert_array_equal(
        found.confused, [False, True, True, False, False, False]
    )  # as far from both: not confused


def test_bad_vertices() -> None:
    with pytest.raises(AnnotationError, match=r"annotated vertices in \[0, 41\).*received 41"):
        point_errors(D, np.array([41]), np.array([0]), 2.0)
    with pytest.raises(AnnotationError, match=r"predicted vertices in \[-1, 41\).*received -2"):
        point_errors(D, np.array([0]), np.array([-2]), 2.0)
    for wrong in (MIRROR[:5], MIRROR.astype(float), MIRROR + 1):
        with pytest.raises(AnnotationError, match="the partner of each of the 41 vertices of worm"):
            check_mirror(wrong, 41, "worm")


def truth(number: int, xywh, image: int = 1, category: int = 1) -> DensePoseTruth:
    middle = np.array([[128.0, 128.0]])
    return DensePoseTruth(number, image, category, xywh, 100.0, middle, np.array([0]), "m")


def detection(number: int, xywh, vertex: int, score: float = 0.5, **other) -> DensePoseDetection:
    vertices = np.full((int(xywh[3]), int(xywh[2])), vertex, dtype=np.int32)
    values = {"image_id": 1, "category_id": 1} | other
    return DensePoseDetection(number=number, score=score, xywh=xywh, vertices=vertices, **values)


def test_each_annotation_is_answered_by_the_nearest_box_and_each_box_answers_once() -> None:
    truths = [
        truth(1, (0.0, 0.0, 10.0, 10.0)),
        truth(2, (2.0, 0.0, 10.0, 10.0)),
        truth(3, (50.0, 50.0, 8.0, 8.0)),
    ]
    detections = [
        detection(0, (2.0, 0.0, 10.0, 10.0), 22),
        detection(1, (1.0, 0.0, 10.0, 10.0), 11, score=0.9),
        detection(2, (50.0, 50.0, 8.0, 3.0), 33),  # IoU .375
    ]
    found = match_detections(truths, detections)
    assert {key: value.tolist() for key, value in found.items()} == {1: [11], 2: [22]}


def test_other_images_and_categories_do_not_answer() -> None:
    box = (0.0, 0.0, 10.0, 10.0)
    assert not match_detections([truth(1, box)], [detection(0, box, 1, image_id=2)])
    assert not match_detections([truth(1, box)], [detection(0, box, 1, category_id=2)])
    with pytest.raises(AnnotationError, match="the annotated mesh 'm'; received 'other'"):
        match_detections([truth(1, box)], [detection(0, box, 1, mesh="other")])
