from dataclasses import replace

import numpy as np

from densecorr.evaluation.chance import predict_by_chance
from densecorr.evaluation.geodesic import geodesic_error_228
from densecorr.images import encode_silhouette


def test_uniform_over_vertices_and_silhouette_pixels(make_truth) -> None:
    silhouette = np.zeros((20, 30), dtype=bool)
    silhouette[3:7, 10:20] = True
    truth = make_truth(np.zeros(8000), silhouette=encode_silhouette(silhouette))
    prediction = predict_by_chance(truth, 41, seed=0)
    share = np.bincount(prediction.vertex, minlength=41) / 8000
    assert abs(share - 1 / 41).max() < 0.01
    xs, ys = prediction.xy.astype(int).T
    assert silhouette[ys, xs].all()
    assert len(np.unique(prediction.xy, axis=0)) == silhouette.sum()


def test_the_mean_error_on_a_segment_is_known(segment, make_truth) -> None:
    # from one end of a segment a uniform guess is half the diameter away
    prediction = predict_by_chance(make_truth(np.zeros(8000)), 41, seed=0)
    error = geodesic_error_228(segment.rows(np.array([0]))[0, prediction.vertex], segment.diameter)
    assert abs(error.mean() - 114.0) < 2.0


def test_seeded_by_instance_and_independent_of_order(make_truth) -> None:
    a, b = make_truth([0] * 9, "a"), make_truth([0] * 9, "b")
    assert (predict_by_chance(a, 41, 1).vertex == predict_by_chance(a, 41, 1).vertex).all()
    assert (predict_by_chance(a, 41, 1).vertex != predict_by_chance(b, 41, 1).vertex).any()
    assert (predict_by_chance(a, 41, 1).vertex != predict_by_chance(a, 41, 2).vertex).any()


def test_without_a_silhouette_the_box_is_used(make_truth) -> None:
    truth = replace(make_truth([0] * 500), xywh=(10.0, 20.0, 4.0, 8.0))
    xy = predict_by_chance(truth, 41, 0).xy
    assert (xy >= [9.5, 19.5]).all()
    assert (xy <= [13.5, 27.5]).all()
