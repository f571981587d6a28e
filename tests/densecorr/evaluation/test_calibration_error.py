import numpy as np
import pytest
from numpy.testing import assert_allclose

from densecorr.errors import AnnotationError, EmptyInstanceError, SettingsError
from densecorr.evaluation.calibration_error import (
    bin_numbers,
    calibration_statistic,
    expected_calibration_error,
    reliability,
)
from densecorr.pseudolabels.calibrate import measure_reliability


def test_by_hand() -> None:
    confidence = np.array([0.9, 0.9, 0.9, 0.9, 0.2])
    correct = np.array([True, True, False, False, False])
    assert_allclose(expected_calibration_error(confidence, correct, 10), (4 * 0.4 + 1 * 0.2) / 5)
    table = reliability(confidence, correct.astype(float), 10)
    assert_allclose(table.largest_gap, 0.4)
    assert_allclose([table.low, table.high], [[0.1, 0.8], [0.2, 0.9]])
    assert table.count.tolist() == [1, 4]


@pytest.mark.parametrize("bins", ["width", "count"])
def test_a_calibrated_forecaster_has_little_error_and_a_shifted_one_its_shift(bins) -> None:
    rng = np.random.default_rng(0)
    p = rng.uniform(0.0, 0.8, 50_000)
    correct = rng.random(len(p)) < p
    assert expected_calibration_error(p, correct, 15, bins) < 0.01
    assert_allclose(expected_calibration_error(p + 0.2, correct, 15, bins), 0.2, atol=0.01)


def test_one_bin_is_the_gap_of_the_means() -> None:
    rng = np.random.default_rng(1)
    p, correct = rng.random(100), rng.random(100) < 0.5
    assert_allclose(expected_calibration_error(p, correct, 1), abs(p.mean() - correct.mean()))


def test_edges_belong_to_the_bin_below_and_zero_to_the_first() -> None:
    assert bin_numbers(np.array([0.0, 0.1, 0.25, 0.26, 1.0]), 4, "width", 1.0).tolist() == [0, 0, 0, 1, 3]
    assert bin_numbers(np.array([0.5, 0.1, 0.9, 0.3]), 2, "count", 1.0).tolist() == [1, 0, 1, 0]


def test_equal_counts_agree_with_the_calibration_of_pseudo_labels() -> None:
    rng = np.random.default_rng(2)
    expected = rng.exponential(0.1, 300)
    true = expected * rng.uniform(0.5, 2.0, 300)
    other = measure_reliability(expected, true, np.arange(300), 10)
    assert_allclose(reliability(expected, true, 10, "count").expected_gap, other.gap)


def test_the_statistic_at_one_draw_each_is_the_figure() -> None:
    rng = np.random.default_rng(3)
    p, correct = rng.random(200), (rng.random(200) < 0.5).astype(float)
    unit = rng.integers(0, 20, 200)
    statistic = calibration_statistic(p, correct, bin_numbers(p, 10, "width", 1.0), unit, 20)
    figures = statistic(np.stack([np.ones(20), np.full(20, 3.0), np.zeros(20)]))[:, 0]
    assert_allclose(figures[:2], reliability(p, correct, 10).expected_gap)
    assert np.isnan(figures[2])


def test_bad_input() -> None:
    one = np.array([0.5])
    with pytest.raises(AnnotationError, match=r"confidences in \[0, 1\]; received 1.5"):
        expected_calibration_error(one + 1.0, np.array([True]))
    with pytest.raises(AnnotationError, match="received nan"):
        expected_calibration_error(one * np.nan, np.array([True]))
    with pytest.raises(AnnotationError, match="NaN or infinity"):
        reliability(one, one * np.nan)
    with pytest.raises(EmptyInstanceError, match="at least one answer"):
        reliability(np.zeros(0), np.zeros(0))
    with pytest.raises(SettingsError, match="at least one bin"):
        reliability(one, one, 0)
