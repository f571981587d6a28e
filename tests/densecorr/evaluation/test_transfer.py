"""Transfer between photos of a globe whose every place is known, and the figures by hand."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from densecorr.errors import EmptyInstanceError, SettingsError
from densecorr.evaluation.bootstrap import BootstrapSettings
from densecorr.evaluation.pck import pck
from densecorr.evaluation.transfer import (
    MEAN,
    TransferMethod,
    TransferredPair,
    TransferRule,
    score_transfer,
    transfer_points,
)
from densecorr.models import Predictor
from tests.globe import globe_predictor, photo_pair

METHODS: tuple[TransferMethod, ...] = ("vertex", "soft", "embedding")


@cache
def globe() -> Predictor:
    return globe_predictor()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_point_seen_in_both_images_is_carried_to_within_a_pixel(method: TransferMethod, seed: int) -> None:
    a, b, xy_a, xy_b = photo_pair(seed)
    assert len(xy_a) > 20
    found = transfer_points(globe(), a.image(), a.xywh, xy_a, b.image(), b.xywh, method)
    assert np.linalg.norm(found - xy_b, axis=1).max() < 1.0
    assert np.median(np.linalg.norm(xy_a - xy_b, axis=1)) > 4.0  # staying put would not do


@pytest.mark.parametrize("method", METHODS)
def test_an_image_to_itself_is_all_correct(method: TransferMethod) -> None:
    a, _, xy, _ = photo_pair()
    found = transfer_points(globe(), a.image(), a.xywh, xy, a.image(), a.xywh, method)
    assert pck(found, xy, 0.05, max(a.xywh[2:])) == 1.0


@pytest.mark.parametrize("method", METHODS)
def test_the_answer_lies_in_the_silhouette_that_is_told(method: TransferMethod) -> None:
    a, b, xy_a, _ = photo_pair()
    silhouette = np.zeros((b.height, b.width), dtype=bool)
    silhouette[20:50, 60:] = True  # a part of the object only
    found = transfer_points(
        globe(), a.image(), a.xywh, xy_a, b.image(), b.xywh, method, silhouette_b=silhouette
    )
    cell = 0.8
    assert (found >= np.array([60, 20]) - 0.5 - cell).all()
    assert (found[:, 1] <= 50 - 0.5 + cell).all()


def test_the_soft_answer_lies_between_cells() -> None:
    a, b, xy_a, xy_b = photo_pair()
    error = {
        method: np.linalg.norm(
            transfer_points(globe(), a.image(), a.xywh, xy_a, b.image(), b.xywh, method) - xy_b, axis=1
        ).mean()
        for method in METHODS
    }
    assert error["soft"] < 0.7 * min(error["vertex"], error["embedding"])


def moved(category: str, errors: list[float], length: float) -> TransferredPair:
    true = np.zeros((len(errors), 2))
    return TransferredPair(category, true + np.array(errors)[:, None] * [0.6, 0.8], true, length)


def test_figures_by_hand() -> None:
    pairs = [
        moved("horse", [0, 4, 6, 20], 100.0),  # .05: 2 of 4; .1: 3 of 4
        moved("horse", [30.0], 200.0),  # .05: 0; .1: 0; .15: on the threshold
        moved("cow", [0, np.nan], 10.0),  # 1 of 2
    ]
    scores = score_transfer(pairs, TransferRule(reference="bbox"))
    horse, cow, mean = (scores["figures"][name] for name in ("horse", "cow", MEAN))
    assert (horse["pairs"], horse["points"], mean["pairs"], mean["points"]) == (2, 5, 3, 7)
    assert_allclose([horse["per_point"][a]["value"] for a in ("0.1", "0.05", "0.15")], [3 / 5, 2 / 5, 4 / 5])
    assert_allclose([horse["per_pair"][a]["value"] for a in ("0.1", "0.05", "0.15")], [3 / 8, 2 / 8, 7 / 8])
    assert cow["per_pair"]["0.1"]["value"] == 0.5
    assert_allclose(mean["per_point"]["0.1"]["value"], (3 / 5 + 1 / 2) / 2)
    low, high = horse["per_pair"]["0.1"]["low"], horse["per_pair"]["0.1"]["high"]
    assert low <= 3 / 8 <= high
    assert "box in image B" in scores["rule"]
    assert "image B;" in score_transfer(pairs, TransferRule())["rule"]


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 1000))
def test_never_falls_as_alpha_grows(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pairs = [
        TransferredPair(f"c{i % 2}", rng.normal(0, 20, (n, 2)), rng.normal(0, 20, (n, 2)), 80.0)
        for i, n in enumerate(rng.integers(1, 9, 6))
    ]
    alphas = (0.05, 0.1, 0.15, 0.5)
    figures = score_transfer(pairs, TransferRule(alphas, bootstrap=BootstrapSettings(n_resamples=5)))[
        "figures"
    ]
    for row in figures.values():
        for kind in ("per_point", "per_pair"):
            assert (np.diff([row[kind][f"{alpha:g}"]["value"] for alpha in alphas]) >= 0).all()


def test_nothing_to_score_and_no_threshold_are_refused() -> None:
    with pytest.raises(EmptyInstanceError):
        score_transfer([], TransferRule())
    for alphas in ((), (0.1, 0.0)):
        with pytest.raises(SettingsError, match="alphas"):
            TransferRule(alphas)
