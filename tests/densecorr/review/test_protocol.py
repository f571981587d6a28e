"""Points spread over delineated parts: inside, different, evenly, as many as the part's area asks for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist

from densecorr.errors import AnnotationError, SettingsError
from densecorr.review.protocol import (
    ProtocolSettings,
    fill_polygons,
    points_per_part,
    spread_over_parts,
    spread_points,
)


def square(x0: float, y0: float, x1: float, y1: float) -> list[float]:
    return [x0, y0, x1, y0, x1, y1, x0, y1]


def test_polygons_are_filled_for_centres_at_integers():
    mask = fill_polygons([square(1.5, 2.5, 4.5, 6.5)], 10, 8)
    expected = np.zeros((10, 8), dtype=bool)
    expected[3:7, 2:5] = True
    np.testing.assert_array_equal(mask, expected)
    both = fill_polygons([square(1.5, 2.5, 4.5, 6.5), square(-0.5, -0.5, 0.5, 0.5)], 10, 8)
    assert both.sum() == 13
    assert both[0, 0]
    assert not fill_polygons([], 10, 8).any()
    with pytest.raises(AnnotationError):
        fill_polygons([[0, 0, 1, 1]], 10, 8)


def test_the_largest_part_has_fourteen_points_and_others_their_share():
    assert points_per_part(np.array([1400, 700, 100, 1, 0])).tolist() == [14, 7, 1, 1, 0]
    assert points_per_part(np.array([5])).tolist() == [5]
    assert points_per_part(np.zeros(0, dtype=np.int64)).tolist() == []
    with pytest.raises(SettingsError):
        ProtocolSettings(most=0)


def test_points_are_roughly_equidistant():
    points = spread_points(np.ones((60, 60), dtype=bool), 9)
    assert len(points) == 9
    assert pdist(points.astype(np.float64)).min() > 14
    assert {tuple(p) for p in np.round((points - 9.5) / 20).astype(int)} == {
        (i, j) for i in range(3) for j in range(3)
    }


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 14), st.floats(0.02, 1.0))
def test_points_lie_in_the_part_and_are_different(seed: int, n: int, density: float):
    mask = np.random.default_rng(seed).random((25, 40)) < density
    points = spread_points(mask, n)
    assert len(points) == min(n, mask.sum())
    assert len({tuple(p) for p in points}) == len(points)
    assert mask[points[:, 1], points[:, 0]].all()
    np.testing.assert_array_equal(points, spread_points(mask, n))


def test_large_parts_are_thinned():
    mask = np.ones((500, 700), dtype=bool)
    points = spread_points(mask, 14)
    assert len(points) == 14
    assert pdist(points.astype(np.float64)).min() > 100


def test_all_parts_of_an_instance():
    parts = {"head": [square(9.5, 9.5, 19.5, 19.5)], "torso": [square(29.5, 9.5, 49.5, 29.5)], "tail": []}
    found = spread_over_parts(parts, 60, 60)
    assert found.names == ("head", "torso", "tail")
    assert np.bincount(found.part, minlength=3).tolist() == [4, 14, 0]
    assert (found.xy[found.part == 0] < 20).all()
    assert (found.xy[found.part == 1, 0] >= 30).all()
    assert spread_over_parts({}, 60, 60).xy.shape == (0, 2)
