import numpy as np
import pytest
from numpy.testing import assert_array_equal

from densecorr.datasets.appearance import animal_colors, person_colors
from densecorr.datasets.textures import LATTICE, fractal_noise, noise, pattern, random_color, smoothstep
from densecorr.templates.body import load_body
from densecorr.templates.quadruped import load_quadruped


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_noise_is_smooth_periodic_and_within_bounds(dimensions: int) -> None:
    X = rng().uniform(-5, 5, (4000, dimensions))
    values = noise(X, 0.5, rng(1))
    assert values.min() >= 0
    assert values.max() <= 1
    assert np.ptp(values) > 0.7
    near = noise(X + 1e-4, 0.5, rng(1))
    assert np.abs(near - values).max() < 2e-3  # at most 1.5 a cell and axis
    np.testing.assert_allclose(noise(X + 0.5 * LATTICE, 0.5, rng(1)), values, atol=1e-5)


def test_more_octaves_add_detail_but_keep_the_range() -> None:
    X = rng().uniform(0, 8, (5000, 3))
    coarse, fine = fractal_noise(X, 1.0, rng(2), 1), fractal_noise(X, 1.0, rng(2), 4)
    assert 0 <= fine.min() <= fine.max() <= 1
    step = np.array([0.06, 0.0, 0.0])
    change = [np.abs(fractal_noise(X + step, 1.0, rng(2), n) - v).mean() for n, v in ((1, coarse), (4, fine))]
    assert change[1] > change[0]


def test_smoothstep_is_flat_outside_and_one_half_in_the_middle() -> None:
    assert_array_equal(smoothstep(np.array([-1.0, 2.0, 3.0, 4.0, 9.0]), 2.0, 4.0), [0, 0, 0.5, 1, 1])


def test_patterns_and_colours_vary_and_cannot_be_negative() -> None:
    X = rng().uniform(-1, 1, (500, 3))
    colors = [pattern(X, 1.7, random_color(rng(k)), rng(k)) for k in range(20)]
    assert min(c.min() for c in colors) >= 0
    assert np.ptp([c.mean(axis=0) for c in colors], axis=0).min() > 0.3


@pytest.mark.parametrize("category", ["person", "quadruped"])
def test_the_same_stream_dresses_the_same_and_another_differently(category: str) -> None:
    rest = (load_body() if category == "person" else load_quadruped()).rest()
    dress = person_colors if category == "person" else animal_colors
    first = dress(rest, rest, rng(4))
    assert first.shape == rest.shape
    assert 0 <= first.min() <= first.max() <= 1
    assert_array_equal(dress(rest, rest, rng(4)), first)
    assert np.abs(dress(rest, rest, rng(5)) - first).mean() > 0.02


def test_clothes_follow_the_surface_not_the_order_of_the_points() -> None:
    rest = load_body().rest()
    order = rng().permutation(len(rest))
    shuffled = person_colors(rest[order], rest, rng(6))
    assert_array_equal(shuffled, person_colors(rest, rest, rng(6))[order])


def test_a_face_is_not_dressed_and_differs_from_the_shirt() -> None:
    rest = load_body().rest()
    height = np.ptp(rest[:, 1])
    cheek = (rest[:, 1] > 0.9 * height) & (rest[:, 1] < 0.92 * height) & (rest[:, 2] > 0.06)
    chest = (rest[:, 1] > 0.70 * height) & (rest[:, 1] < 0.76 * height) & (np.abs(rest[:, 0]) < 0.1)
    assert cheek.sum() > 20
    warm, far = [], []
    for seed in range(12):
        colors = person_colors(rest, rest, rng(seed))
        warm.append((np.diff(np.median(colors[cheek], axis=0)) < 0).all())  # skin: red over green over blue
        far.append(np.abs(colors[cheek].mean(axis=0) - colors[chest].mean(axis=0)).max())
    assert all(warm)
    assert np.median(far) > 0.15
