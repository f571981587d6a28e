import numpy as np
import pytest
from numpy.testing import assert_allclose

from densecorr.errors import TrainingError
from densecorr.evaluation.position_prior import (
    PositionPriorSettings,
    fit_position_prior,
    from_box_relative,
    predict_by_position,
    to_box_relative,
)


def fit_on_segment(relative: np.ndarray, vertex: np.ndarray, segment, **settings):
    """Every vertex of the segment is its own coarse vertex."""
    every = np.arange(len(segment.x))
    return fit_position_prior(
        relative, vertex, every, every, segment.rows(every), PositionPriorSettings(**settings)
    )


def test_box_relative_positions_span_the_box() -> None:
    xywh = (10.0, 20.0, 4.0, 8.0)
    corners = np.array([[9.5, 19.5], [13.5, 27.5]])  # the box's edges, with pixel centres at integers
    assert_allclose(to_box_relative(corners, xywh), [[0.0, 0.0], [1.0, 1.0]])
    xy = np.random.default_rng(0).uniform(0, 30, (10, 2))
    assert_allclose(from_box_relative(to_box_relative(xy, xywh), xywh), xy)


def test_recovers_a_map_from_position_to_vertex(segment, make_truth) -> None:
    rng = np.random.default_rng(0)
    relative = rng.uniform(0, 1, (20_000, 2))
    vertex = np.floor(relative[:, 0] * 40).astype(np.int64)  # one vertex a column
    prior = fit_on_segment(relative, vertex, segment, grid=40)
    assert (prior.cell_vertex == np.arange(40)[None, :]).all()
    asked = make_truth(np.arange(40), xywh=(5.0, 7.0, 400.0, 100.0))
    middle = from_box_relative(np.stack([(np.arange(40) + 0.5) / 40, np.full(40, 0.5)], axis=1), asked.xywh)
    prediction = predict_by_position(prior, make_truth(np.arange(40), xywh=asked.xywh, xy=middle))
    assert (prediction.vertex == np.arange(40)).all()
    assert_allclose(prediction.xy[:, 0], middle[:, 0], atol=400 / 40)


def test_a_cell_takes_the_geodesic_medoid(segment) -> None:
    relative = np.full((5, 2), 0.5)
    prior = fit_on_segment(relative, np.array([3, 4, 4, 5, 40]), segment, grid=2, min_labels=1)
    assert (
        prior.cell_vertex == 4
    ).all()  # the far label does not drag it, and empty cells take their neighbour's


def test_an_empty_cell_takes_its_surroundings_and_a_thin_one_too(segment) -> None:
    relative = np.array([[0.05, 0.05]] + [[0.15, 0.05]] * 9)
    vertex = np.array([40] + [7] * 9)
    alone = fit_on_segment(relative, vertex, segment, grid=10, min_labels=1)
    assert (alone.cell_vertex[0, 0], alone.cell_vertex[0, 1]) == (40, 7)
    smooth = fit_on_segment(relative, vertex, segment, grid=10, min_labels=5)
    assert smooth.cell_vertex[0, 0] == 7  # one label is too few to believe
    assert (smooth.cell_vertex[5:] == 7).all()


def test_an_empty_cell_takes_the_nearest_labels_on_any_side(segment) -> None:
    relative = np.array([[0.25, 0.25], [0.95, 0.95]])
    prior = fit_on_segment(relative, np.array([3, 30]), segment, grid=10, min_labels=1)
    assert prior.cell_vertex[4, 4] == prior.cell_vertex[0, 0] == 3
    assert prior.cell_vertex[7, 7] == prior.cell_vertex[9, 9] == 30


def test_a_vertex_without_labels_takes_its_nearest_neighbours_place(segment) -> None:
    relative = np.array([[0.2, 0.3]] * 3 + [[0.8, 0.9]] * 3)
    prior = fit_on_segment(relative, np.array([0, 0, 0, 40, 40, 40]), segment)
    assert_allclose(prior.position[19], [0.2, 0.3])
    assert_allclose(prior.position[21], [0.8, 0.9])


def test_a_vertex_seen_in_two_places_takes_the_more_common(segment) -> None:
    relative = np.array([[0.1, 0.5]] * 3 + [[0.9, 0.5]] * 2)
    assert_allclose(fit_on_segment(relative, np.full(5, 8), segment).position[8], [0.1, 0.5])


def test_nothing_to_fit_is_refused(segment) -> None:
    with pytest.raises(TrainingError):
        fit_on_segment(np.zeros((2, 2)), np.array([-1, -1]), segment)
