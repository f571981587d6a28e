from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal

from densecorr.errors import DependencyError, FeatureError, SettingsError
from densecorr.synthesis import ControlNetGenerator
from densecorr.synthesis.depth import DepthEstimator, load_depth_estimator
from tests import tiny_synthesis


def picture(side: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


def test_depth_anything_gives_a_depth_a_pixel_of_any_size(tiny: ControlNetGenerator) -> None:
    estimate = load_depth_estimator(tiny.depth_model, side=56)
    for side in (40, 56, 100):
        depth = estimate(picture(side))
        assert depth.shape == (side, side)
        assert depth.std() > 0
    assert_array_equal(estimate(picture(40)), estimate(picture(40)))
    assert (estimate(picture(40)) != estimate(picture(40, seed=1))).any()


def test_images_are_normalised_and_resized_before_the_network() -> None:
    seen = []

    class Network:
        def __call__(self, pixels: torch.Tensor):
            seen.append(pixels)
            return type("Output", (), {"predicted_depth": pixels.mean(dim=1)})

    image = np.full((30, 30, 3), [124, 116, 104], dtype=np.uint8)  # about the mean of the training images
    depth = DepthEstimator(Network(), "cpu", "fp32", 28)(image)
    assert seen[0].shape == (1, 3, 28, 28)
    assert seen[0].abs().max() < 0.02
    assert depth.shape == (30, 30)


def test_values_that_are_not_finite_are_an_error() -> None:
    class Network:
        def __call__(self, pixels: torch.Tensor):
            return type("Output", (), {"predicted_depth": pixels[:, 0] * torch.nan})

    with pytest.raises(FeatureError, match="fp32"):
        DepthEstimator(Network(), "cpu", "fp32", 28)(picture(28))


def test_a_model_of_metres_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="metres"):
        load_depth_estimator(str(tiny_synthesis.write_depth_model(tmp_path, "metric")), side=56)


def test_a_side_that_fits_no_patches_and_a_damaged_model_are_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="multiple of 14"):
        load_depth_estimator("unused", side=100)
    with pytest.raises(DependencyError, match=str(tmp_path)):
        load_depth_estimator(str(tmp_path), side=56)
