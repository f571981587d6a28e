import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from densecorr.errors import EmptyInstanceError
from densecorr.evaluation.gps import GpsAveragePrecision, geodesic_point_similarity, masked_point_similarity
from densecorr.evaluation.scored import Measurement, Omission, score_points


def test_gps_is_one_half_at_the_distance_kappa_was_chosen_for() -> None:
    half = np.array([0.255 * math.sqrt(2 * math.log(2))])
    assert_allclose(half, 0.300, atol=5e-4)
    assert_allclose(geodesic_point_similarity(half), 0.5)


def test_gps_by_hand() -> None:
    errors = np.array([0.0, 0.255, np.inf], dtype=np.float32)
    assert_allclose(geodesic_point_similarity(errors), (1 + math.exp(-0.5)) / 3, rtol=1e-6)


def test_kappa_can_differ_by_point() -> None:
    errors = np.array([0.1, 0.2], dtype=np.float32)
    kappa = np.array([0.1, 0.2], dtype=np.float32)
    assert_allclose(geodesic_point_similarity(errors, kappa), math.exp(-0.5), rtol=1e-6)


def test_gps_never_rises_with_an_error() -> None:
    similarity = [
        geodesic_point_similarity(np.array([e, 0.1], dtype=np.float32)) for e in (0.0, 0.1, 0.5, np.inf)
    ]
    assert similarity == sorted(similarity, reverse=True)


def test_gps_of_nothing_is_refused() -> None:
    with pytest.raises(EmptyInstanceError):
        geodesic_point_similarity(np.zeros(0))


def test_gpsm_is_the_geometric_mean() -> None:
    assert_allclose(masked_point_similarity(0.5, 0.5), 0.5)
    assert masked_point_similarity(0.9, 0.0) == 0.0


def test_a_point_outside_the_predicted_silhouette_adds_nothing(segment, score_one) -> None:
    scored = score_one([0, 10, 20, 30], inside=np.array([True, True, False, False]))
    assert_allclose(GpsAveragePrecision()(scored, segment).columns["gps"], [0.5])


def test_the_truths_own_kappa_is_used(segment, score_one) -> None:
    scored = score_one([0, 0], {"kappa": np.array([0.1, np.nan])}, vertex=[2, 2])
    expected = (math.exp(-0.5) + math.exp(-(0.1**2) / (2 * 0.255**2))) / 2
    assert_allclose(GpsAveragePrecision()(scored, segment).columns["gps"], [expected], rtol=1e-5)


def test_gpsm_needs_a_silhouette_and_gps_a_unit(segment, score_one) -> None:
    assert isinstance(GpsAveragePrecision(similarity="gpsm")(score_one([0]), segment), Omission)
    measured = GpsAveragePrecision(similarity="gpsm")(score_one([0], silhouette_iou=0.25), segment)
    assert_allclose(measured.columns["gpsm"], [0.5])
    assert isinstance(GpsAveragePrecision()(score_one([0]), replace(segment, unit="none")), Omission)


def test_a_missing_prediction_is_a_truth_not_found(segment, make_truth, make_prediction) -> None:
    truths = [make_truth([5], name, image_id="one") for name in "ab"]
    scored = score_points(truths, {"m": [make_prediction(truths[0])]}, segment.rows, segment)["m"]
    measured = GpsAveragePrecision()(scored, segment)
    assert isinstance(measured, Measurement)
    figures = dict(zip(measured.names, measured.statistic(np.ones((1, 2)))[0], strict=True))
    assert_allclose(figures["gps_ar"], 0.5)
    assert_allclose(figures["gps_ap"], 51 / 101)  # precision 1 at the recall points 0.00 to 0.50
