import os
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.spatial.transform import Rotation

from densecorr.errors import AnnotationError, CameraError, EmptyInstanceError
from densecorr.evaluation.multiview import (
    epipolar_distances,
    fundamental_matrix,
    position_errors,
    procrustes,
    undistort_pixels,
    vertex_similarity,
)
from densecorr.records import Camera
from densecorr.rendering.cameras import look_at, project_points

SHARED = Path(os.environ.get("DENSECORR_SHARED_DATA", Path(__file__).parents[4] / "shared" / "data"))
RIG = SHARED / "multiview/dannce_mouse/markerless_mouse_1_label3d_demo.mat"

DISTORTION = (-0.2, 0.1, 0.001, -0.002, -0.01)
X = np.random.default_rng(0).uniform(-0.5, 0.5, (40, 3))
A = look_at(np.array([0.0, 0.0, 4.0]), np.zeros(3), 800.0, 640, 480)
B = look_at(np.array([3.0, 0.5, 3.0]), np.zeros(3), 700.0, 640, 480)


def test_projections_of_one_point_lie_on_each_others_lines() -> None:
    xy_a, xy_b = project_points(X, A)[0], project_points(X, B)[0]
    assert epipolar_distances(xy_a, xy_b, A, B).max() < 1e-9
    F = fundamental_matrix(A, B)
    assert abs(np.linalg.det(F)) < 1e-12
    assert_allclose(
        fundamental_matrix(B, A), F.T * np.sign((fundamental_matrix(B, A) * F.T).sum()), atol=1e-12
    )


@pytest.mark.parametrize("skew", [0.0, -6.0])
def test_distortion_is_taken_out_first(skew: float) -> None:
    a = replace(A, distortion=DISTORTION, K=A.K + np.array([[0, skew, 0], [0, 0, 0], [0, 0, 0]]))
    b = replace(B, distortion=DISTORTION)
    xy_a, xy_b = project_points(X, a)[0], project_points(X, b)[0]
    assert_allclose(undistort_pixels(xy_a, a), project_points(X, replace(A, K=a.K))[0], atol=1e-5)
    assert epipolar_distances(xy_a, xy_b, a, b).max() < 1e-4
    assert epipolar_distances(xy_a, xy_b, A, B).max() > 0.3  # ignoring it would show


@pytest.mark.skipif(not RIG.is_file(), reason="no shared data: set DENSECORR_SHARED_DATA")
def test_the_labels_of_a_real_rig_lie_on_each_others_lines() -> None:
    """Six cameras with skew and distortion; the labels are projections of one skeleton (MATLAB: K and R transposed)."""
    from scipy.io import loadmat

    data = loadmat(RIG, squeeze_me=True, struct_as_record=False)
    cameras = [
        Camera(p.K.T, p.r.T, p.t, 1, 1, (*p.RDistort[:2], *p.TDistort, p.RDistort[2])) for p in data["params"]
    ]
    labels = [one.data_2d.reshape(-1, 2) for one in data["labelData"]]
    for i, j in combinations(range(6), 2):
        known = np.isfinite(labels[i]).all(axis=1) & np.isfinite(labels[j]).all(axis=1)
        xy_a, xy_b = labels[i][known], labels[j][known]
        assert len(xy_a) > 100
        assert epipolar_distances(xy_a, xy_b, cameras[i], cameras[j]).max() < 0.01
        straight = (replace(cameras[one], distortion=(0.0,) * 5) for one in (i, j))
        assert epipolar_distances(xy_a, xy_b, *straight).max() > 0.2


def test_a_rectified_pair_measures_rows() -> None:
    b = replace(A, t=A.t - np.array([0.3, 0.0, 0.0]))  # beside A: lines are rows
    xy_a = project_points(X, A)[0]
    xy_b = project_points(X, b)[0]
    assert_allclose(epipolar_distances(xy_a, xy_b + np.array([17.0, 2.5]), A, b), 2.5)


def test_the_columns_are_the_views() -> None:
    b = replace(B, K=np.diag([2.0, 2.0, 1.0]) @ B.K)  # twice the pixels
    xy_a, xy_b = project_points(X, A)[0], project_points(X, B)[0]
    off = epipolar_distances(xy_a, xy_b + np.array([0.0, 3.0]), A, B)
    wide = epipolar_distances(xy_a, 2.0 * (xy_b + np.array([0.0, 3.0])), A, b)
    assert_allclose(wide[:, 1], 2.0 * off[:, 1])
    assert_allclose(wide[:, 0], off[:, 0])
    assert_allclose(epipolar_distances(xy_b + np.array([0.0, 3.0]), xy_a, B, A)[:, ::-1], off)


def test_cameras_that_have_no_lines() -> None:
    with pytest.raises(CameraError, match="one place for both"):
        fundamental_matrix(A, replace(A, K=B.K))
    with pytest.raises(CameraError, match="a rotation R"):
        fundamental_matrix(A, replace(B, R=2.0 * B.R))


def test_procrustes_finds_the_similarity() -> None:
    R, t = Rotation.from_euler("xyz", [0.3, -1.0, 2.0]).as_matrix(), np.array([1.0, 2.0, 3.0])
    scale, found, shift = procrustes(X, 1.7 * X @ R.T + t)
    assert_allclose(scale, 1.7)
    assert_allclose(found, R, atol=1e-12)
    assert_allclose(shift, t, atol=1e-12)
    assert np.linalg.det(procrustes(X, X * [-1.0, 1.0, 1.0])[1]) > 0  # a mirror image stays one
    with pytest.raises(EmptyInstanceError, match="three points"):
        procrustes(X[:2], X[:2])


def test_alignments_forgive_what_they_name() -> None:
    true = np.stack([X, X[::-1]])
    R = Rotation.from_euler("y", 1.0).as_matrix()
    assert_allclose(position_errors(true + np.array([0.3, 0.0, 0.4]), true), 0.5)
    assert_allclose(position_errors(true + np.array([0.3, 0.0, 0.4]), true, "root"), 0.0, atol=1e-12)
    assert_allclose(position_errors(true + np.array([0.3, 0.0, 0.4]), true, "root", (0, 1)), 0.0, atol=1e-12)
    assert position_errors(true @ R.T, true, "root").max() > 0.1
    assert_allclose(position_errors(2.0 * true @ R.T + 1.0, true, "procrustes"), 0.0, atol=1e-12)


def test_procrustes_never_raises_the_squared_error() -> None:
    noisy = X + np.random.default_rng(1).normal(0.0, 0.1, X.shape)
    squares = [
        (position_errors(noisy[None], X[None], one) ** 2).sum() for one in ("none", "root", "procrustes")
    ]
    assert squares == sorted(squares, reverse=True)


def test_a_vertex_without_position_stays_unknown() -> None:
    predicted = np.stack([X, np.full_like(X, np.nan)]) + 1.0
    predicted[0, 3] = np.nan
    errors = position_errors(predicted, np.stack([X, X]), "procrustes")
    assert np.isnan(errors[0, 3])
    assert np.isnan(errors[1]).all()
    assert_allclose(np.delete(errors[0], 3), 0.0, atol=1e-12)


def test_vertex_similarity_by_hand() -> None:
    errors = np.array([[0.0, 0.1, np.nan, 0.0], [np.nan, np.nan, np.nan, 0.0]])
    visible = np.array([[True, True, True, False], [False, False, False, False]])
    vs, mvs = vertex_similarity(errors, visible, 0.1)
    assert_allclose(vs[0], (1.0 + np.exp(-0.5)) / 3)
    assert_allclose(mvs[0], np.sqrt(vs[0] * 2 / 4))  # two seen and found, four seen or found
    assert np.isnan(vs[1])


def test_positions_that_cannot_be_compared() -> None:
    with pytest.raises(AnnotationError, match=r"shape \(1, 40, 3\)"):
        position_errors(X[None, :5], X[None])
    with pytest.raises(AnnotationError, match="finite true positions"):
        position_errors(X[None], np.full_like(X, np.nan)[None])
    with pytest.raises(AnnotationError, match=r"root vertices in \[0, 40\)"):
        position_errors(X[None], X[None], "root", (40,))
