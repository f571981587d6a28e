from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from densecorr.errors import ArtifactError, EmptyInstanceError
from densecorr.pseudolabels.calibrate import (
    SIGNALS,
    cross_fitted,
    expected_error,
    fit_calibration,
    label_signals,
    measure_reliability,
    read_calibration,
    with_expected_error,
    write_calibration,
)
from densecorr.records import LabelRecord

WORSE = np.array([-1, -1, 1, -1, -1, 1, -1])  # the direction in which each signal is worse


def sample(rng: np.random.Generator, n_instances: int = 60, n_points: int = 40):
    """Points whose error grows with what their signals say, instance by instance, and noise."""
    bad = rng.uniform(0, 1, n_instances).repeat(n_points)
    own = rng.uniform(0, 1, len(bad))
    signals = np.stack([-own, -own + rng.normal(0, 0.3, len(bad)), bad + own, -bad, -bad, bad, -bad], axis=1)
    error = np.clip(0.3 * bad**2 + 0.2 * own + rng.normal(0, 0.05, len(bad)), 0, 1)
    return signals, error, np.arange(n_instances).repeat(n_points)


def test_expected_errors_are_right_on_average_on_other_instances() -> None:
    signals, error, instance = sample(np.random.default_rng(0))
    out_of_fold = cross_fitted(signals, error, instance)
    reliability = measure_reliability(out_of_fold, error, instance)
    assert reliability.gap < 0.015
    assert reliability.gap < 0.2 * reliability.constant_gap
    assert reliability.rank_correlation > 0.7
    assert ((reliability.low <= reliability.true) & (reliability.true <= reliability.high)).all()
    inside = (reliability.low <= reliability.expected) & (reliability.expected <= reliability.high)
    assert inside.sum() >= 7  # of ten 95 % intervals


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_a_worse_signal_never_lowers_the_error(seed: int) -> None:
    rng = np.random.default_rng(seed)
    signals, error, _ = sample(rng, 12, 10)
    calibration = fit_calibration(signals, error)
    assert min(calibration.weights) >= 0
    worse = signals + WORSE * rng.uniform(0, 0.5, signals.shape)
    assert (expected_error(calibration, worse) >= expected_error(calibration, signals) - 1e-12).all()


def test_errors_stay_within_those_that_were_seen() -> None:
    signals, error, _ = sample(np.random.default_rng(1))
    calibration = fit_calibration(signals, error)
    far = np.concatenate([signals + 100 * WORSE, signals - 100 * WORSE])
    found = expected_error(calibration, far)
    assert error.min() <= found.min() < found.max() <= error.max()


def test_useless_signals_give_the_mean() -> None:
    rng = np.random.default_rng(2)
    signals, error = rng.normal(size=(4000, 7)), rng.uniform(0, 0.4, 4000)
    found = expected_error(fit_calibration(signals, error), rng.normal(size=(500, 7)))
    assert abs(found.mean() - 0.2) < 0.01
    assert found.std() < 0.03


def test_the_gap_of_a_perfect_forecast_is_zero_and_of_a_shifted_one_the_shift() -> None:
    true = np.random.default_rng(3).uniform(0, 1, 1000)
    instance = np.arange(1000) // 10
    assert measure_reliability(true, true, instance).gap == pytest.approx(0, abs=1e-12)
    assert measure_reliability(true + 0.07, true, instance).gap == pytest.approx(0.07)
    constant = measure_reliability(np.full(1000, 0.5), true, instance)
    assert constant.rank_correlation == 0.0


def test_bins_hold_equally_many_points() -> None:
    _, error, instance = sample(np.random.default_rng(4), 10, 13)
    reliability = measure_reliability(error, error, instance)
    assert reliability.count.sum() == 130
    assert np.ptp(reliability.count) <= 1


def record(**changed) -> LabelRecord:
    values = {
        "label_id": "a", "instance_id": "a", "template_id": "t", "source": "zero_shot", "producer": "p",
        "x": np.zeros(3), "y": np.zeros(3), "vertex": np.arange(3),
        "score": np.array([0.9, 0.7, 0.5], dtype=np.float32),
        "margin": np.array([0.2, 0.1, 0.0], dtype=np.float32),
        "cycle_px": np.array([0.0, 10.0, 20.0], dtype=np.float32),
    }  # fmt: skip
    return LabelRecord(**(values | changed))


def test_signals_are_the_point_s_own_and_its_instance_s() -> None:
    signals = label_signals(record(extra={"view_lead": 0.02}), side=100.0)
    assert signals.shape == (3, len(SIGNALS))
    np.testing.assert_allclose(signals[1], [0.7, 0.1, 0.1, 0.7, 0.1, 0.1, 0.02], atol=1e-6)
    np.testing.assert_allclose(signals[:, 2], [0.0, 0.1, 0.2], atol=1e-6)  # shares of the box
    assert label_signals(record(score=np.empty(0), margin=np.empty(0), cycle_px=np.empty(0)), 1.0).shape == (
        0,
        7,
    )


def test_a_calibration_comes_back_from_its_file(tmp_path: Path) -> None:
    signals, error, _ = sample(np.random.default_rng(5))
    calibration = fit_calibration(signals, error)
    write_calibration(tmp_path, calibration)
    assert read_calibration(tmp_path) == calibration
    filled = with_expected_error(record(), 100.0, calibration)
    assert filled.expected_error.dtype == np.float32
    assert (np.diff(filled.expected_error) >= 0).all()  # each point is worse than the one before
    with pytest.raises(ArtifactError, match="calibration"):
        read_calibration(tmp_path / "none")


def test_too_little_to_fit_on_is_an_error() -> None:
    with pytest.raises(EmptyInstanceError, match="20"):
        fit_calibration(np.zeros((5, 7)), np.zeros(5))
    with pytest.raises(EmptyInstanceError, match="two"):
        cross_fitted(np.zeros((50, 7)), np.zeros(50), np.zeros(50, dtype=int))
