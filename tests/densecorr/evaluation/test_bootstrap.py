import numpy as np
from numpy.testing import assert_allclose

from densecorr.evaluation.bootstrap import (
    BootstrapSettings,
    Interval,
    RatioOfSums,
    bootstrap_intervals,
    mean_interval,
    paired_difference,
    resample_counts,
)


def test_every_resample_draws_each_members_worth() -> None:
    members = np.array([True, False, True, True])
    counts = np.concatenate(list(resample_counts(members, BootstrapSettings(n_resamples=200))))
    assert counts.shape == (200, 4)
    assert (counts[:, 1] == 0).all()
    assert (counts.sum(axis=1) == 3).all()
    assert_allclose(counts.mean(axis=0), [1, 0, 1, 1], atol=0.2)


def test_blocks_do_not_change_the_draws() -> None:
    settings = BootstrapSettings(n_resamples=50, seed=3)
    few = np.concatenate(list(resample_counts(np.ones(5, dtype=bool), settings)))
    members = np.zeros(200_000, dtype=bool)  # ten rows a block
    members[:5] = True
    blocks = list(resample_counts(members, settings))
    assert len(blocks) > 1
    assert_allclose(np.concatenate(blocks)[:, :5], few)


def test_same_seed_same_interval() -> None:
    values = np.random.default_rng(0).normal(size=40)
    assert mean_interval(values, BootstrapSettings(seed=1)) == mean_interval(
        values, BootstrapSettings(seed=1)
    )
    assert mean_interval(values, BootstrapSettings(seed=1)) != mean_interval(
        values, BootstrapSettings(seed=2)
    )


def test_the_interval_of_a_mean_covers_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    settings = BootstrapSettings(n_resamples=300)
    covered = 0
    for _ in range(300):
        interval = mean_interval(rng.exponential(1.0, 80), settings)
        covered += interval.low <= 1.0 <= interval.high
    assert 0.88 <= covered / 300 <= 0.98  # 95% nominal


def test_the_width_is_that_of_a_standard_error() -> None:
    values = np.random.default_rng(0).normal(size=400)
    interval = mean_interval(values, BootstrapSettings(n_resamples=4000))
    assert_allclose(interval.high - interval.low, 2 * 1.96 * values.std() / 20, rtol=0.06)


def test_constant_values_have_no_width() -> None:
    assert mean_interval(np.full(5, 2.0), BootstrapSettings()) == Interval(2.0, 2.0, 2.0)


def test_one_instance_has_no_interval_and_none_no_value() -> None:
    assert mean_interval(np.array([2.0]), BootstrapSettings()) == Interval(2.0)
    assert mean_interval(np.array([np.nan]), BootstrapSettings()) == Interval(None)


def test_pairing_removes_what_instances_share() -> None:
    rng = np.random.default_rng(0)
    hard = rng.normal(0.0, 10.0, 200)
    a, b = hard + rng.normal(0.0, 0.1, 200), hard + 1.0
    paired = paired_difference(a, b, BootstrapSettings())
    assert paired.high < 0.0
    assert_allclose(paired.value, -1.0, atol=0.05)
    assert paired.high - paired.low < 0.1  # unpaired it would be several units wide


def test_undefined_resamples_are_left_out() -> None:
    ratio = RatioOfSums(np.array([[1.0], [0.0]]), np.array([[1.0], [0.0]]))
    assert bootstrap_intervals([ratio], np.ones(2, dtype=bool), BootstrapSettings())[0][0] == Interval(
        1.0, 1.0, 1.0
    )
