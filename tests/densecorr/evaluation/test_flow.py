from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from densecorr.errors import AnnotationError, DatasetNotFoundError
from densecorr.evaluation.flow import (
    end_point_errors,
    flow_correct,
    read_flow,
    summed_end_point_error,
    write_flo,
)

TRUE = np.zeros((10, 20, 2))
EVERYWHERE = np.ones((10, 20), dtype=bool)


def test_the_same_shift_everywhere_is_the_error_everywhere() -> None:
    total, n = summed_end_point_error(TRUE + np.array([3.0, 4.0]), TRUE, EVERYWHERE)
    assert (total / n, n) == (5.0, 200)


def test_the_threshold_is_a_share_of_the_longer_side_and_itself_correct() -> None:
    predicted = TRUE.copy()
    predicted[0, :, 0] = 1.0  # .05 x 20
    predicted[1, :, 0] = 1.01
    assert flow_correct(predicted, TRUE, EVERYWHERE, 0.05) == (180, 200)


def test_only_the_foreground_counts() -> None:
    predicted, foreground = TRUE + 100.0, np.zeros((10, 20), dtype=bool)
    foreground[:2] = True
    predicted[0] = 0.0
    assert flow_correct(predicted, TRUE, foreground, 0.05) == (20, 40)


def test_no_answer_is_wrong_and_an_unknown_truth_is_left_out() -> None:
    predicted, true = TRUE.copy(), TRUE.copy()
    predicted[0, 0], true[1, :], true[2, 0, 1] = np.nan, np.nan, np.nan
    assert flow_correct(predicted, true, EVERYWHERE, 0.05) == (178, 179)
    error = end_point_errors(predicted, true)
    assert np.isinf(error[0, 0])
    assert np.isnan(error[1]).all()


def test_a_mean_has_no_place_for_a_pixel_without_answer() -> None:
    predicted = TRUE.copy()
    predicted[3, 3] = np.nan
    with pytest.raises(AnnotationError, match="NaN or infinity at 1 of 200"):
        summed_end_point_error(predicted, TRUE, EVERYWHERE)
    counted = EVERYWHERE.copy()
    counted[3, 3] = False
    assert summed_end_point_error(predicted, TRUE, counted) == (0.0, 199)


def test_pck_never_falls_as_alpha_grows() -> None:
    predicted = np.random.default_rng(0).normal(0.0, 3.0, TRUE.shape)
    found = [flow_correct(predicted, TRUE, EVERYWHERE, alpha)[0] for alpha in (0.01, 0.05, 0.1, 0.5, 9.0)]
    assert found == sorted(found)
    assert found[-1] == 200


def test_a_flo_file_comes_back_with_its_unknown_pixels(tmp_path: Path) -> None:
    flow = np.random.default_rng(1).normal(0.0, 20.0, (3, 5, 2)).astype(np.float32)
    flow[1, 2] = np.nan
    write_flo(tmp_path / "a.flo", flow)
    data = (tmp_path / "a.flo").read_bytes()
    assert data[:4] == b"PIEH"  # Middlebury's tag as text
    assert_array_equal(np.frombuffer(data[4:12], dtype="<i4"), [5, 3])
    assert_array_equal(read_flow(tmp_path / "a.flo")[0], flow)


def test_an_npz_holds_masks(tmp_path: Path) -> None:
    foreground = np.eye(10, 20, dtype=bool)
    np.savez(tmp_path / "a.npz", flow=TRUE, foreground=foreground)
    flow, masks = read_flow(tmp_path / "a.npz")
    assert_allclose(flow, TRUE)
    assert_array_equal(masks["foreground"], foreground)


def test_bad_files(tmp_path: Path) -> None:
    with pytest.raises(DatasetNotFoundError, match="no such file"):
        read_flow(tmp_path / "none.flo")
    (tmp_path / "a.flo").write_bytes(b"PNG!")
    with pytest.raises(AnnotationError, match="another beginning"):
        read_flow(tmp_path / "a.flo")
    write_flo(tmp_path / "b.flo", TRUE)
    (tmp_path / "b.flo").write_bytes((tmp_path / "b.flo").read_bytes()[:-3])
    with pytest.raises(AnnotationError, match="1612 bytes for 20 x 10 pixels; received 1609"):
        read_flow(tmp_path / "b.flo")
    np.save(tmp_path / "c.npy", TRUE[..., 0])
    with pytest.raises(AnnotationError, match=r"\(H, W, 2\), floating point; received float64 of shape"):
        read_flow(tmp_path / "c.npy")
    np.savez(tmp_path / "d.npz", flow=TRUE, occluded=EVERYWHERE[:3])
    with pytest.raises(AnnotationError, match="`occluded` as bool of shape"):
        read_flow(tmp_path / "d.npz")
    np.savez(tmp_path / "e.npz", other=TRUE)
    with pytest.raises(AnnotationError, match="flow"):
        read_flow(tmp_path / "e.npz")
