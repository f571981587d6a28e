from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from densecorr.errors import AnnotationError, EmptyInstanceError, SettingsError
from densecorr.evaluation.geodesic import (
    GeodesicError,
    bounded_error,
    geodesic_error_228,
    geodesic_error_share,
)
from densecorr.evaluation.scored import geodesic_pairs, score_points


def test_the_three_scales_agree() -> None:
    distance = np.array([0.0, 0.5, 2.0], dtype=np.float32)
    assert_allclose(bounded_error(distance, 2.0), [0.0, 0.5, 2.0])
    assert_allclose(geodesic_error_share(distance, 2.0), [0.0, 0.25, 1.0])
    assert_allclose(geodesic_error_228(distance, 2.0), [0.0, 57.0, 228.0])


def test_missing_costs_the_diameter() -> None:
    assert_allclose(geodesic_error_228(np.array([np.inf, 2.1], dtype=np.float32), 2.0), [228.0, 228.0])


@settings(deadline=None)
@given(st.lists(st.floats(0.0, 3.0, width=32), min_size=1, max_size=20), st.data())
def test_dropping_a_vertex_never_lowers_the_mean(errors: list[float], data: st.DataObject) -> None:
    distance = np.array(errors, dtype=np.float32)
    fewer = distance.copy()
    fewer[data.draw(st.integers(0, len(errors) - 1))] = np.inf
    assert geodesic_error_share(fewer, 2.0).mean() >= geodesic_error_share(distance, 2.0).mean()


def test_pairs_equal_the_full_matrix_and_solve_each_source_once(segment) -> None:
    rng = np.random.default_rng(0)
    source, target = rng.integers(0, 41, 200), rng.integers(-1, 41, (200, 3))
    asked = []

    def rows(vertices: np.ndarray) -> np.ndarray:
        asked.extend(vertices.tolist())
        return segment.rows(vertices)

    full = segment.rows(np.arange(41))
    expected = np.where(target >= 0, full[source[:, None], np.maximum(target, 0)], np.inf)
    for chunk in (1, 7, 64):
        asked.clear()
        assert_allclose(geodesic_pairs(rows, source, target, chunk=chunk), expected)
        assert sorted(asked) == np.unique(source).tolist()


def test_rows_are_solved_once_for_all_methods(segment, make_truth, make_prediction) -> None:
    truth = make_truth([0, 10, 20])
    asked = []

    def rows(vertices: np.ndarray) -> np.ndarray:
        asked.extend(vertices.tolist())
        return segment.rows(vertices)

    methods = {
        name: [make_prediction(truth, vertex=[vertex] * 3)]
        for name, vertex in (("a", 0), ("b", 7), ("c", -1))
    }
    scored = score_points([truth], methods, rows, segment)
    assert_allclose(scored["b"].distance, [0.35, 0.15, 0.65], atol=1e-6)
    assert np.isinf(scored["c"].distance).all()
    assert max(asked.count(vertex) for vertex in asked) <= 2  # truth to predictions, truth to its mirror


def test_figures_of_one_instance(segment, score_one) -> None:
    measured = GeodesicError()(score_one([0, 10, 20, 30], vertex=[0, 14, 20, -1]), segment)
    figures = dict(zip(measured.names, measured.statistic(np.ones((1, 1)))[0], strict=True))
    assert_allclose(figures["geodesic_error_m"], (0.2 + 2.0) / 4, rtol=1e-6)
    assert_allclose(figures["geodesic_error_228"], (0.1 + 1.0) / 4 * 228, rtol=1e-6)
    assert_allclose(figures["missing_share"], 0.25)


def test_metres_are_left_out_without_a_unit(segment, score_one) -> None:
    measured = GeodesicError()(score_one([0, 10]), replace(segment, unit="none"))
    assert "geodesic_error_m" not in measured.names
    assert "geodesic_error_m" not in measured.columns
    assert "geodesic_error_share" in measured.names


def test_hidden_and_unknown_points_are_not_scored(score_one) -> None:
    visible = np.array([True, False, True])
    scored = score_one([3, 4, -1], {"visible": visible}, vertex=[3, 0, 9])
    assert_allclose(scored.distance, [0.0])


def test_an_instance_without_a_prediction_stays_as_missing(segment, make_truth, make_prediction) -> None:
    truths = [make_truth([1, 2], "a"), make_truth([3], "b")]
    scored = score_points(truths, {"m": [make_prediction(truths[0])]}, segment.rows, segment)["m"]
    assert scored.predicted.tolist() == [True, False]
    assert np.isinf(scored.distance).tolist() == [False, False, True]


def test_wrong_input_is_refused(segment, make_truth, make_prediction) -> None:
    truth = make_truth([1, 2])
    good = make_prediction(truth)
    with pytest.raises(EmptyInstanceError):
        score_points([make_truth([-1])], {"m": []}, segment.rows, segment)
    with pytest.raises(SettingsError):
        score_points([truth], {}, segment.rows, segment)
    with pytest.raises(AnnotationError, match="one prediction"):
        score_points([truth], {"m": [good, good]}, segment.rows, segment)
    with pytest.raises(AnnotationError, match="unique"):
        score_points([truth, truth], {"m": [good]}, segment.rows, segment)
    with pytest.raises(AnnotationError, match="stranger"):
        score_points([truth], {"m": [replace(good, instance_id="stranger")]}, segment.rows, segment)
    with pytest.raises(AnnotationError, match="2 predicted points"):
        score_points([truth], {"m": [make_prediction(make_truth([1]))]}, segment.rows, segment)
    with pytest.raises(AnnotationError, match="41"):
        score_points([truth], {"m": [make_prediction(truth, vertex=[0, 41])]}, segment.rows, segment)
