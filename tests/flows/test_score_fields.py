"""Every metric from files: figures by hand, intervals, rules, and files that do not fit."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from densecorr.errors import (
    AnnotationError,
    DatasetNotFoundError,
    DensecorrError,
    EmptyInstanceError,
    SettingsError,
)
from densecorr.evaluation.bootstrap import BootstrapSettings
from densecorr.evaluation.flow import write_flo
from densecorr.images import encode_silhouette, write_png
from densecorr.rendering.cameras import look_at, project_points
from flows.cli import main
from flows.score_fields import FIELD_METRICS, FieldOptions, slice_figures

SHARED = Path(os.environ.get("DENSECORR_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))
PFPASCAL = SHARED / "pfpascal/ncnet/test_pairs.csv"
QUICK = FieldOptions(bootstrap=BootstrapSettings(n_resamples=50))


def write(path: Path, value: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
    return path


def check_intervals(scores) -> None:
    """Figures lie in their intervals, and are the ratios of their units' sums."""
    for name, one in scores.intervals.items():
        assert one.value == scores.figures[name]
        if one.low is not None:
            assert one.low <= one.value + 1e-9
            assert one.high >= one.value - 1e-9
    for name, column in scores.per_unit.items():
        assert column.shape == (len(scores.unit_ids), 2)
        assert_allclose(column[:, 0].sum() / column[:, 1].sum(), scores.figures[name])


# Points on a segment of 2 m: 41 vertices, 5 cm apart, mirrored about its middle.
PLACES = np.linspace(-1.0, 1.0, 41)


def segment(folder: Path) -> FieldOptions:
    np.save(folder / "D.npy", np.abs(PLACES[:, None] - PLACES[None]).astype(np.float32))
    return replace(QUICK, geodesics={"": folder / "D.npy"})


def annotation(number: int, vertex: list[int], **other: Any) -> dict[str, Any]:
    n = len(vertex)
    return {
        "id": number, "image_id": 1, "category_id": 1, "bbox": [0, 0, 100, 100], "area": 5000, "ref_model": "worm",
        "dp_x": [128.0] * n, "dp_y": [128.0] * n, "dp_vertex": vertex,
    } | other  # fmt: skip


def points_file(folder: Path, *annotations: dict[str, Any]) -> Path:
    images = [{"id": 1, "height": 200, "width": 200}]
    categories = [{"id": 1, "name": "earthworm"}, {"id": 2, "name": "lugworm"}]
    return write(
        folder / "gt.json", {"images": images, "annotations": list(annotations), "categories": categories}
    )


def two_worms(folder: Path) -> tuple[Path, Path]:
    gt = points_file(folder, annotation(1, [0, 0, -1]), annotation(2, [0, 40, 40, 20], category_id=2))
    pred = [{"annotation_id": 1, "vertex": [0, 2, 7]}, {"annotation_id": 2, "vertex": [0, None, 0, 20]}]
    return gt, write(folder / "pred.json", pred)


def test_geodesic_error_on_three_scales_and_by_both_means(tmp_path: Path) -> None:
    gt, pred = two_worms(tmp_path)
    options = segment(tmp_path)
    scores = FIELD_METRICS["geodesic"](gt, pred, options)
    mean_m = np.mean([0.05, (0 + 2 + 2 + 0) / 4])
    assert_allclose(scores.figures["geodesic_error_m"], mean_m, rtol=1e-5)
    assert_allclose(scores.figures["geodesic_error_percent"], 100 * mean_m / 2, rtol=1e-5)
    assert_allclose(scores.figures["geodesic_error_228"], 228 * mean_m / 2, rtol=1e-5)
    assert_allclose(scores.figures["missing_percent"], 100 / 6)
    assert (scores.n, scores.unit_ids) == (6, ["1", "2"])
    assert "diameter" in scores.rule
    assert_allclose(slice_figures(scores, "category")["lugworm"]["geodesic_error_m"], 1.0)
    check_intervals(scores)
    pooled = FIELD_METRICS["geodesic"](gt, pred, replace(options, mean="point")).figures
    assert_allclose(pooled["geodesic_error_m"], (0.1 + 4) / 6, rtol=1e-5)
    millimetres = FIELD_METRICS["geodesic"](gt, pred, replace(options, unit="mm")).figures
    assert_allclose(millimetres["geodesic_error_m"], mean_m / 1000, rtol=1e-5)
    without = FIELD_METRICS["geodesic"](gt, pred, replace(options, unit="none")).figures
    assert_allclose(without["geodesic_error_mesh_units"], mean_m, rtol=1e-5)
    assert "geodesic_error_m" not in without


def test_rcp_by_hand(tmp_path: Path) -> None:
    gt, pred = two_worms(tmp_path)
    options = segment(tmp_path)
    scores = FIELD_METRICS["rcp"](gt, pred, options)
    assert_allclose(scores.figures["rcp_auc_10"], (1 + 0 + 1 + 1) / 6, rtol=1e-5)
    assert_allclose(scores.figures["rcp_auc_30"], (1 + 2 / 3 + 1 + 1) / 6, rtol=1e-5)
    assert_allclose(scores.tables["rcp"][-1]["correct_percent"], 100 * 4 / 6)
    check_intervals(scores)
    with pytest.raises(SettingsError, match="RCP is in centimetres"):
        FIELD_METRICS["rcp"](gt, pred, replace(options, unit="none"))
    with pytest.raises(SettingsError, match="thresholds above 0"):
        FIELD_METRICS["rcp"](gt, pred, replace(options, thresholds=(0.0,)))


def test_left_right_counts_sided_points(tmp_path: Path) -> None:
    gt, pred = two_worms(tmp_path)
    np.save(tmp_path / "mirror.npy", np.arange(41)[::-1])
    options = replace(segment(tmp_path), mirrors={"worm": tmp_path / "mirror.npy"})
    scores = FIELD_METRICS["left-right"](gt, pred, options)
    assert_allclose(scores.figures["left_right_confusion_percent"], 100 * 2 / 5)
    assert scores.n == 5
    with pytest.raises(SettingsError, match="a mirror table"):
        FIELD_METRICS["left-right"](gt, pred, segment(tmp_path))
    np.save(tmp_path / "mirror.npy", np.arange(40))
    with pytest.raises(AnnotationError, match="the partner of each of the 41 vertices of worm"):
        FIELD_METRICS["left-right"](gt, pred, options)


def test_detections_answer_at_the_annotated_points(tmp_path: Path) -> None:
    gt = points_file(tmp_path, annotation(1, [4, 4], dp_x=[64.0, 192.0]))
    vertices = np.full((100, 100), 4)
    vertices[:, 60:] = 8
    box = {"image_id": 1, "category_id": 1, "score": 0.5, "bbox": [0, 0, 100, 100]}
    far = {"image_id": 1, "category_id": 1, "score": 0.9, "bbox": [150, 0, 2, 1], "vertices": [[9, 9]]}
    np.savez(tmp_path / "a.npz", vertices=vertices.astype(np.int32))
    options = segment(tmp_path)
    for form in (vertices.tolist(), "a.npz"):
        pred = write(tmp_path / "pred.json", [far, box | {"vertices": form}])
        scores = FIELD_METRICS["geodesic"](gt, pred, options)
        assert_allclose(scores.figures["geodesic_error_m"], 0.1, rtol=1e-5)  # 0 and 20 cm
    assert "box IoU" in scores.rule
    pred = write(tmp_path / "pred.json", [far])
    assert FIELD_METRICS["geodesic"](gt, pred, options).figures["missing_percent"] == 100.0


@pytest.mark.parametrize(
    ("pred", "message"),
    [
        ([], "at least one prediction"),
        ([{"annotation_id": 9, "vertex": [0]}], "annotation_id 9"),
        ([{"annotation_id": 1, "vertex": [0, 1]}] * 2, "annotation_id 1 twice"),
        ([{"annotation_id": 1, "vertex": [0, 1, 2]}], r"2 predicted vertices; received 3 \(annotation 1\)"),
        ([{"annotation_id": 1, "vertex": [0, 41]}], r"received 41 \(annotation 1\)"),
        ([{"annotation_id": 1}], "`vertex`, one an annotated point"),
        (
            [{"image_id": 5, "category_id": 1, "score": 1, "bbox": [0, 0, 1, 1], "vertices": [[0]]}],
            "image_id 5",
        ),
    ],
)
def test_points_that_do_not_fit(tmp_path: Path, pred: Any, message: str) -> None:
    gt = points_file(tmp_path, annotation(1, [0, 0]))
    with pytest.raises(DensecorrError, match=message):
        FIELD_METRICS["geodesic"](gt, write(tmp_path / "pred.json", pred), segment(tmp_path))


def test_geodesics_that_do_not_fit(tmp_path: Path) -> None:
    gt, pred = two_worms(tmp_path)
    with pytest.raises(SettingsError, match="geodesics of each mesh: worm; received only none"):
        FIELD_METRICS["geodesic"](gt, pred, QUICK)
    np.save(tmp_path / "bad.npy", np.full((41, 41), np.inf, dtype=np.float32))
    with pytest.raises(AnnotationError, match="finite geodesic distances"):
        FIELD_METRICS["geodesic"](gt, pred, replace(QUICK, geodesics={"worm": tmp_path / "bad.npy"}))
    with pytest.raises(DatasetNotFoundError, match="no such file"):
        FIELD_METRICS["geodesic"](gt, pred, replace(QUICK, geodesics={"worm": tmp_path / "none.npy"}))


def test_without_resamples_the_figures_are_the_same_and_have_no_intervals(tmp_path: Path) -> None:
    files, options = transfer_files(tmp_path), replace(QUICK, reference="bbox")
    bare = FIELD_METRICS["pck"](*files, replace(options, bootstrap=BootstrapSettings(n_resamples=0)))
    assert bare.figures == FIELD_METRICS["pck"](*files, options).figures
    assert all(one.low is None for one in bare.intervals.values())


def test_an_option_that_a_metric_does_not_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="options of this metric: none; received alphas"):
        FIELD_METRICS["bbox"](tmp_path, tmp_path, replace(QUICK, alphas=(0.1,)))


def transfer_files(folder: Path) -> tuple[Path, Path]:
    silhouette = np.zeros((50, 100), dtype=bool)
    silhouette[:20, :20] = True
    side = {"size_b": [100, 50], "xywh_b": [0, 0, 40, 20], "silhouette_b": encode_silhouette(silhouette)}
    gt = [
        {"pair_id": "a", "category": "cat", "xy_b": [[0, 0], [10, 10], [20, 0]], **side},
        {"pair_id": "b", "category": "dog", "xy_b": [[5, 5]], **side},
    ]
    pred = [{"pair_id": "a", "xy_b": [[3, 0], [10, 16], None]}, {"pair_id": "b", "xy_b": [[5, 5]]}]
    return write(folder / "gt.json", gt), write(folder / "pred.json", pred)


@pytest.mark.parametrize(
    ("reference", "correct"),
    [("image", 2), ("bbox", 1), ("silhouette", 0)],  # within 10, 4 and 2 pixels, of errors 3 and 6
)
def test_pck_by_each_reference(tmp_path: Path, reference: Any, correct: int) -> None:
    options = replace(QUICK, reference=reference, alphas=(0.1,))
    scores = FIELD_METRICS["pck"](*transfer_files(tmp_path), options)
    assert_allclose(scores.figures["pck_0.1_percent"], 100 * (correct + 1) / 4)
    assert_allclose(scores.figures["pck_0.1_category_mean_percent"], 100 * (correct / 3 + 1) / 2)
    assert_allclose(scores.figures["missing_percent"], 25.0)
    check_intervals(scores)
    by_pair = FIELD_METRICS["pck"](*transfer_files(tmp_path), replace(options, mean="image"))
    assert_allclose(by_pair.figures["pck_0.1_percent"], 100 * (correct / 3 + 1) / 2)
    assert_allclose(slice_figures(by_pair, "category")["dog"]["pck_0.1_percent"], 100.0)
    assert "longer side" in scores.rule or "square root" in scores.rule


def spair(folder: Path) -> Path:
    pair = {
        "src_imname": "a.jpg", "trg_imname": "b.jpg", "category": "cat", "src_kps": [[1, 1]], "trg_kps": [[30, 10]],
        "src_bndbox": [0, 0, 10, 10], "trg_bndbox": [0, 0, 50, 20], "trg_imsize": [200, 100, 3],
    }  # fmt: skip
    write(folder / "pairs/000001-a-b.json", pair)
    return folder / "pairs"


def test_pck_of_spair_takes_boxes_and_sizes_from_its_files(tmp_path: Path) -> None:
    gt = spair(tmp_path)
    pred = write(tmp_path / "pred.json", [{"pair_id": "000001-a-b", "xy_b": [[40, 10]]}])
    for reference, percent in (("bbox", 0.0), ("image", 100.0), ("square", 100.0)):  # 5, 20, and 10 of 200
        options = replace(QUICK, reference=reference, alphas=(0.1,))
        assert FIELD_METRICS["pck"](gt, pred, options).figures["pck_0.1_percent"] == percent


def test_pck_of_pf_pascal_takes_sizes_from_the_images(tmp_path: Path) -> None:
    header = "source_image,target_image,class,XA,YA,XB,YB"
    (tmp_path / "pairs.csv").write_text(f"{header}\nx/a.png,x/b.png,8,1;2,1;2,10;20,10;20\n")
    write_png(tmp_path / "b.png", np.zeros((60, 90, 3), dtype=np.uint8))
    pred = write(tmp_path / "pred.json", [{"pair_id": "row 2", "xy_b": [[19, 10], [20, 29.5]]}])
    options = replace(QUICK, reference="image", alphas=(0.1,))
    with pytest.raises(AnnotationError, match="no image size of image B in row 2"):
        FIELD_METRICS["pck"](tmp_path / "pairs.csv", pred, options)
    found = FIELD_METRICS["pck"](tmp_path / "pairs.csv", pred, replace(options, images=tmp_path))
    assert found.figures["pck_0.1_percent"] == 50.0  # 9 pixels are within .1 x 90, 9.5 are not


@pytest.mark.skipif(not PFPASCAL.is_file(), reason="no shared data: set DENSECORR_SHARED_DATA")
def test_pck_of_the_published_pairs_is_100_for_their_own_keypoints(tmp_path: Path) -> None:
    from densecorr.datasets.pairs import read_pairs

    pairs = read_pairs(PFPASCAL)
    pred = write(
        tmp_path / "pred.json", [{"pair_id": one.pair_id, "xy_b": one.xy_b.tolist()} for one in pairs]
    )
    scores = FIELD_METRICS["pck"](PFPASCAL, pred, replace(QUICK, reference="keypoints"))
    assert_allclose(scores.figures["pck_0.05_percent"], 100.0)
    assert len(scores.unit_ids) == 299
    assert len(scores.slices["category"]) == 20


@pytest.mark.parametrize(
    ("pred", "message"),
    [
        ([{"pair_id": "zebra", "xy_b": [[0, 0]]}], "pair_id 'zebra'"),
        ([{"pair_id": "b", "xy_b": [[0, 0]]}] * 2, "pair_id 'b' twice"),
        ([{"pair_id": "a", "xy_b": [[0, 0]]}], "3 predicted keypoints for a; received 1"),
        ([{"pair_id": "a", "xy_b": [[0]]}], "predicted keypoints in"),
        ({"pair_id": "a"}, "predicted keypoints in"),
    ],
)
def test_keypoints_that_do_not_fit(tmp_path: Path, pred: Any, message: str) -> None:
    gt, _ = transfer_files(tmp_path)
    with pytest.raises(AnnotationError, match=message):
        FIELD_METRICS["pck"](gt, write(tmp_path / "pred.json", pred), replace(QUICK, reference="bbox"))


def test_truths_of_keypoints_that_do_not_fit(tmp_path: Path) -> None:
    gt, pred = transfer_files(tmp_path)
    with pytest.raises(SettingsError, match="a reference length: bbox, image"):
        FIELD_METRICS["pck"](gt, pred, QUICK)
    options = replace(QUICK, reference="bbox")
    with pytest.raises(EmptyInstanceError, match="at least one pair"):
        FIELD_METRICS["pck"](write(tmp_path / "gt.json", []), pred, options)
    (tmp_path / "gt.json").write_text('[{"pair_id": "a", "xy_b": [[NaN, 1]]}]')
    with pytest.raises(AnnotationError, match="NaN or infinity"):
        FIELD_METRICS["pck"](tmp_path / "gt.json", pred, options)
    row = {"pair_id": "a", "xy_b": [[1, 1]], "xywh_b": [0, 0, 1, 1]}
    with pytest.raises(AnnotationError, match="'a' twice"):
        FIELD_METRICS["pck"](write(tmp_path / "gt.json", [row, row]), pred, options)


def tss(folder: Path) -> tuple[Path, Path]:
    """Two pairs in TSS's layout; the first's flow1 is 3 px off in half of its foreground, all else is right."""
    for pair in ("cars/one", "dogs/two"):
        for side in "12":
            flow = np.full((20, 40, 2), float(side))
            mask = np.zeros((20, 40), dtype=np.uint8)
            mask[:, :20] = 255
            for root in ("gt", "pred"):
                (folder / root / pair).mkdir(parents=True, exist_ok=True)
                write_flo(folder / root / pair / f"flow{side}.flo", flow)
            write_png(folder / "gt" / pair / f"mask{side}.png", mask)
    wrong = np.full((20, 40, 2), 1.0)
    wrong[:10, :, 0] += 3.0
    wrong[:, 20:] = np.nan  # background
    write_flo(folder / "pred/cars/one/flow1.flo", wrong)
    return folder / "gt", folder / "pred"


def test_mirrored_pairs_are_scored_in_the_frame_of_the_mirrored_image(tmp_path: Path) -> None:
    """Image B is A moved by (4, 1): in the mirrored B, of 50 columns, the partner of x is at 49 - (x + 4)."""
    x = np.arange(40.0)[None, :].repeat(20, 0)
    moved = np.stack([np.full_like(x, 4.0), np.full_like(x, 1.0)], axis=2)
    into_mirrored = np.stack([49.0 - (x + 4.0) - x, np.full_like(x, 1.0)], axis=2)
    for name, flag, flow in (("one", "0\n", moved), ("two", "1\n", into_mirrored)):
        folder = tmp_path / "gt/cars" / name
        folder.mkdir(parents=True)
        write_flo(folder / "flow1.flo", flow)
        (folder / "flip_gt.txt").write_text(flag)
        (tmp_path / "right/cars" / name).mkdir(parents=True)
        (tmp_path / "plain/cars" / name).mkdir(parents=True)
        write_flo(tmp_path / "right/cars" / name / "flow1.flo", flow)
        write_flo(tmp_path / "plain/cars" / name / "flow1.flo", moved)
    scores = FIELD_METRICS["flow-pck"](tmp_path / "gt", tmp_path / "right", QUICK)
    assert scores.figures["flow_pck_0.05_percent"] == 100.0
    assert "1 of 2 fields are of pairs with one image mirrored" in scores.rule
    plain = FIELD_METRICS["flow-pck"](tmp_path / "gt", tmp_path / "plain", QUICK)
    by_flag = slice_figures(plain, "mirrored")
    assert by_flag["no"]["flow_pck_0.05_percent"] == 100.0
    # the plain flow is off by 49 - 2 (x + 4) in x: within 2 px for x = 20 (1 px) and 21 (-1 px)
    assert_allclose(by_flag["yes"]["flow_pck_0.05_percent"], 100.0 * 2 / 40)
    (tmp_path / "gt/cars/two/flip_gt.txt").write_text("maybe")
    with pytest.raises(AnnotationError, match="0 or 1"):
        FIELD_METRICS["flow-pck"](tmp_path / "gt", tmp_path / "right", QUICK)


def test_flow_pck_over_the_foreground_of_both_directions(tmp_path: Path) -> None:
    gt, pred = tss(tmp_path)
    scores = FIELD_METRICS["flow-pck"](gt, pred, replace(QUICK, alphas=(0.05, 0.1)))
    assert_allclose(scores.figures["flow_pck_0.05_percent"], 100 * (0.5 + 1 + 1 + 1) / 4)  # 2 px
    assert_allclose(scores.figures["flow_pck_0.1_percent"], 100.0)
    assert scores.unit_ids == ["cars/one/flow1", "cars/one/flow2", "dogs/two/flow1", "dogs/two/flow2"]
    assert scores.n == 4 * 400
    assert_allclose(slice_figures(scores, "direction")["flow1"]["flow_pck_0.05_percent"], 75.0)
    assert_allclose(slice_figures(scores, "category")["cars"]["flow_pck_0.05_percent"], 75.0)
    check_intervals(scores)
    for path in pred.rglob("flow2.flo"):
        path.unlink()
    one_way = FIELD_METRICS["flow-pck"](gt, pred, QUICK)
    assert_allclose(one_way.figures["flow_pck_0.05_percent"], 75.0)
    assert "flow2 not predicted" in one_way.rule


def test_aepe_of_all_and_of_non_occluded_pixels(tmp_path: Path) -> None:
    true, predicted = np.zeros((10, 10, 2)), np.zeros((10, 10, 2))
    foreground, occluded = np.zeros((2, 10, 10), dtype=bool)
    foreground[:4], occluded[:1] = True, True
    predicted[0] = [6.0, 8.0]
    predicted[1:4] = [0.0, 2.0]
    np.savez(tmp_path / "gt.npz", flow=true, foreground=foreground, occluded=occluded)
    np.save(tmp_path / "pred.npy", predicted)
    scores = FIELD_METRICS["aepe"](tmp_path / "gt.npz", tmp_path / "pred.npy", QUICK)
    assert_allclose(scores.figures["aepe_all_px"], (10 + 3 * 2) / 4)
    assert_allclose(scores.figures["aepe_non_occluded_px"], 2.0)
    np.savez(tmp_path / "gt.npz", flow=true)
    scores = FIELD_METRICS["aepe"](tmp_path / "gt.npz", tmp_path / "pred.npy", QUICK)
    assert list(scores.figures) == ["aepe_all_px"]
    assert "every pixel counts" in scores.rule


def test_the_mean_of_fields_and_of_pixels_differ(tmp_path: Path) -> None:
    for name, rows, error in (("a", 10, 1.0), ("b", 30, 5.0)):
        for root, value in (("gt", 0.0), ("pred", error)):
            (tmp_path / root).mkdir(exist_ok=True)
            np.save(
                tmp_path / root / f"{name}.npy",
                np.stack([np.full((rows, 4), value), np.zeros((rows, 4))], -1),
            )
    folders = tmp_path / "gt", tmp_path / "pred"
    assert_allclose(FIELD_METRICS["aepe"](*folders, QUICK).figures["aepe_all_px"], 3.0)
    assert_allclose(FIELD_METRICS["aepe"](*folders, replace(QUICK, mean="point")).figures["aepe_all_px"], 4.0)


def test_flow_that_does_not_fit(tmp_path: Path) -> None:
    gt, pred = tss(tmp_path)
    write_flo(pred / "cars/one/flow1.flo", np.full((20, 40, 2), np.nan))
    with pytest.raises(AnnotationError, match=r"at 400 of 400 \(.*pred/cars/one/flow1.flo\)"):
        FIELD_METRICS["aepe"](gt, pred, QUICK)
    write_flo(pred / "cars/one/flow1.flo", np.zeros((20, 41, 2)))
    with pytest.raises(AnnotationError, match=r"flow of shape \(20, 40, 2\)"):
        FIELD_METRICS["flow-pck"](gt, pred, QUICK)
    (pred / "cars/one/flow1.flo").unlink()
    with pytest.raises(DatasetNotFoundError, match=r"a predicted flow for cars/one/flow1.flo.*1 of 4 absent"):
        FIELD_METRICS["flow-pck"](gt, pred, QUICK)
    write_flo(pred / "cars/one/flow1.flo", np.zeros((20, 40, 2)))
    write_flo(pred / "other.flo", np.zeros((20, 40, 2)))
    with pytest.raises(
        AnnotationError, match=r"predictions for the fields of the truth; received other\.flo"
    ):
        FIELD_METRICS["flow-pck"](gt, pred, QUICK)
    (pred / "other.flo").unlink()
    write_png(gt / "cars/one/mask1.png", np.zeros((20, 40), dtype=np.uint8))
    with pytest.raises(AnnotationError, match="a known flow at a foreground pixel"):
        FIELD_METRICS["flow-pck"](gt, pred, QUICK)
    (gt / "cars/one/mask1.png").unlink()
    with pytest.raises(AnnotationError, match="a foreground mask of every field, or of none"):
        FIELD_METRICS["flow-pck"](gt, pred, QUICK)
    with pytest.raises(DatasetNotFoundError, match="a folder of predicted flow"):
        FIELD_METRICS["flow-pck"](gt, tmp_path / "none", QUICK)
    with pytest.raises(SettingsError, match="alphas above 0"):
        FIELD_METRICS["flow-pck"](gt, pred, replace(QUICK, alphas=(-1.0,)))


def test_mpvpe_in_millimetres_by_each_alignment(tmp_path: Path) -> None:
    X = np.random.default_rng(0).normal(0.0, 0.3, (3, 20, 3))
    np.save(tmp_path / "gt.npy", X)
    np.save(tmp_path / "pred.npy", 1.1 * X + np.array([0.03, 0.0, 0.04]))
    np.save(tmp_path / "off.npy", X + np.array([0.03, 0.0, 0.04]))
    gt = tmp_path / "gt.npy"
    mpvpe = FIELD_METRICS["mpvpe"]
    assert_allclose(mpvpe(gt, tmp_path / "off.npy", QUICK).figures["mpvpe_mm"], 50.0)
    assert_allclose(mpvpe(gt, tmp_path / "off.npy", replace(QUICK, unit="mm")).figures["mpvpe_mm"], 0.05)
    assert_allclose(
        mpvpe(gt, tmp_path / "off.npy", replace(QUICK, unit="none")).figures["mpvpe_mesh_units"], 0.05
    )
    root, similar = (
        mpvpe(gt, tmp_path / "pred.npy", replace(QUICK, align=one)) for one in ("root", "procrustes")
    )
    centred = X - X.mean(axis=1, keepdims=True)
    assert_allclose(root.figures["mpvpe_mm"], 100 * np.linalg.norm(centred, axis=2).mean())
    assert_allclose(similar.figures["mpvpe_mm"], 0.0, atol=1e-9)
    assert "root: the mean of all vertices" in root.rule
    check_intervals(root)


def test_missing_vertices_and_vertex_similarity(tmp_path: Path) -> None:
    X = np.random.default_rng(0).normal(size=(1, 4, 3))
    predicted = X.copy()
    predicted[0, 0] = np.nan
    visible = np.array([[True, True, False, False]])
    np.savez(tmp_path / "gt.npz", vertices=X, visible=visible)
    np.savez(tmp_path / "pred.npz", vertices=predicted)
    scores = FIELD_METRICS["mpvpe"](tmp_path / "gt.npz", tmp_path / "pred.npz", replace(QUICK, kappa=0.1))
    assert_allclose(scores.figures["missing_percent"], 25.0)
    assert_allclose(scores.figures["vs"], 0.5)
    assert_allclose(scores.figures["mmvs"], np.sqrt(0.5 * 1 / 4))


def test_positions_that_do_not_fit(tmp_path: Path) -> None:
    gt, pred = tmp_path / "gt.npy", tmp_path / "pred.npy"
    np.save(gt, np.zeros((2, 5, 3)))
    for value, message in (
        (np.zeros((2, 4, 3)), r"positions of shape \(2, 5, 3\), at least one; received \(2, 4, 3\)"),
        (np.zeros((2, 5)), r"positions of shape \(N, V, 3\)"),
        (np.full((2, 5, 3), np.nan), "at least one predicted position"),
    ):
        np.save(pred, value)
        with pytest.raises(DensecorrError, match=message):
            FIELD_METRICS["mpvpe"](gt, pred, QUICK)
    with pytest.raises(DatasetNotFoundError, match="a file of positions"):
        FIELD_METRICS["mpvpe"](gt, tmp_path / "none.npy", QUICK)
    np.save(pred, np.zeros((2, 5, 3)))
    with pytest.raises(SettingsError, match="kappa above 0"):
        FIELD_METRICS["mpvpe"](gt, pred, replace(QUICK, kappa=0.0))


def views(folder: Path, off: float = 0.0) -> tuple[Path, Path]:
    a = look_at(np.array([0.0, 0.0, 4.0]), np.zeros(3), 800.0, 640, 480)
    b = replace(a, t=a.t - np.array([0.3, 0.0, 0.0]))  # beside it: epipolar lines are rows
    X = np.random.default_rng(0).uniform(-0.5, 0.5, (10, 3))
    cameras = {
        name: {"K": camera.K.tolist(), "R": camera.R.tolist(), "t": camera.t.tolist()}
        for name, camera in (("left", a), ("right", b))
    }
    xy_a, xy_b = (project_points(X, camera)[0] for camera in (a, b))
    match = {
        "camera_a": "left", "camera_b": "right",
        "xy_a": xy_a.tolist(), "xy_b": (xy_b + np.array([7.0, off])).tolist(),
    }  # fmt: skip
    return write(folder / "cameras.json", {"cameras": cameras}), write(folder / "matches.json", [match])


def test_epipolar_distance_in_pixels(tmp_path: Path) -> None:
    scores = FIELD_METRICS["epipolar"](*views(tmp_path, 1.5), QUICK)
    assert_allclose(scores.figures["epipolar_px"], 1.5)
    assert_allclose(scores.figures["epipolar_median_px"], 1.5)
    assert (scores.figures["epipolar_within_1px_percent"], scores.figures["epipolar_within_2px_percent"]) == (
        0,
        100,
    )
    assert scores.n == 10
    assert list(scores.slices["views"]) == ["left - right"]
    exact = FIELD_METRICS["epipolar"](*views(tmp_path), replace(QUICK, thresholds=(0.5,)))
    assert_allclose(exact.figures["epipolar_px"], 0.0, atol=1e-9)
    assert exact.figures["epipolar_within_0.5px_percent"] == 100.0


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"camera_b": "top"}, "cameras of the file: left, right; received 'top' in pair 0"),
        ({"camera_b": "left"}, "one place for both"),
        ({"xy_b": [[0.0, 0.0]]}, "10 and 1 in pair 0"),
        ({"xy_a": [], "xy_b": []}, "at least one match"),
    ],
)
def test_matches_that_do_not_fit(tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    gt, pred = views(tmp_path)
    match = json.loads(pred.read_text())[0]
    with pytest.raises(DensecorrError, match=message):
        FIELD_METRICS["epipolar"](gt, write(pred, [match | changed]), QUICK)


def test_ece_of_confidences_by_hand(tmp_path: Path) -> None:
    true = [{"id": "a", "correct": [True, True, False, False]}, {"id": "b", "correct": False}]
    stated = [{"id": "b", "confidence": 0.2}, {"id": "a", "confidence": [0.9] * 4}]
    files = write(tmp_path / "gt.json", true), write(tmp_path / "pred.json", stated)
    scores = FIELD_METRICS["ece"](*files, QUICK)
    assert_allclose(scores.figures["ece_percent"], 100 * (4 * 0.4 + 0.2) / 5)
    assert_allclose(scores.figures["mce_percent"], 40.0)
    assert_allclose(scores.figures["accuracy_percent"], 40.0)
    assert [row["n"] for row in scores.tables["reliability"]] == [1, 4]
    assert scores.unit_ids == ["a", "b"]
    assert "15 bins of equal width" in scores.rule


def test_ece_of_expected_errors(tmp_path: Path) -> None:
    errors = np.linspace(0.0, 0.4, 20)
    true = [{"id": n, "error": error + 0.05, "image_id": n // 4} for n, error in enumerate(errors.tolist())]
    stated = [{"id": n, "expected_error": error} for n, error in enumerate(errors.tolist())]
    files = write(tmp_path / "gt.json", true), write(tmp_path / "pred.json", stated)
    scores = FIELD_METRICS["ece"](*files, replace(QUICK, n_bins=5))
    assert_allclose(scores.figures["calibration_error"], 0.05)
    assert_allclose(scores.figures["largest_calibration_error"], 0.05)
    assert_allclose(scores.figures["rank_correlation"], 1.0)
    assert len(scores.unit_ids) == 5
    assert [row["n"] for row in scores.tables["reliability"]] == [4] * 5
    check_intervals(scores)
    wide = FIELD_METRICS["ece"](*files, replace(QUICK, n_bins=5, bins="width"))
    assert_allclose(wide.figures["calibration_error"], 0.05)


@pytest.mark.parametrize(
    ("true", "stated", "message"),
    [
        ([{"id": 1, "correct": True}], [{"id": 2, "confidence": 0.5}], "id 2"),
        ([{"id": 1, "correct": True}], [], "a confidence for each id of the truth; received none for 1"),
        ([{"id": 1, "correct": True}], [{"id": 1, "expected_error": 0.5}], "neither pair for 1"),
        (
            [{"id": 1, "correct": True}],
            [{"id": 1, "confidence": 2.0}],
            r"confidences in \[0, 1\]; received 2",
        ),
        ([{"id": 1, "correct": [True]}], [{"id": 1, "confidence": [0.5, 0.5]}], "1 stated values for 1"),
        (
            [{"id": 1, "error": 0.1}],
            [{"id": 1, "expected_error": -0.5}],
            "errors of at least 0; received -0.5",
        ),
        ([{"id": 1, "correct": True}] * 2, [{"id": 1, "confidence": 0.5}], "1 twice"),
        ([], [], "at least one answer"),
    ],
)
def test_confidences_that_do_not_fit(tmp_path: Path, true: Any, stated: Any, message: str) -> None:
    with pytest.raises(DensecorrError, match=message):
        FIELD_METRICS["ece"](write(tmp_path / "gt.json", true), write(tmp_path / "pred.json", stated), QUICK)


def test_coco_figures_come_through(tmp_path: Path) -> None:
    gt = points_file(tmp_path, annotation(1, [0], iscrowd=0))
    pred = write(
        tmp_path / "p.json", [{"image_id": 1, "category_id": 1, "score": 0.5, "bbox": [0, 0, 100, 100]}]
    )
    scores = FIELD_METRICS["bbox"](gt, pred, QUICK)
    assert_allclose(scores.figures["AP"], 100.0)
    assert scores.tables["category"][0]["category"] == "earthworm"
    assert "no such objects for APs" in scores.rule
    with pytest.raises(AnnotationError, match="a segmentation"):
        FIELD_METRICS["segm"](gt, pred, QUICK)


def coco_runs(folder: Path) -> list[str]:
    """A truth of 20 images, results that find all objects, and results that find every other one."""
    images = [{"id": n, "height": 100, "width": 100} for n in range(20)]
    box = {"category_id": 1, "bbox": [10, 10, 40, 40]}
    truth = [box | {"id": n, "image_id": n, "area": 1600, "iscrowd": 0} for n in range(20)]
    categories = [{"id": 1, "name": "cat"}]
    gt = write(folder / "gt.json", {"images": images, "annotations": truth, "categories": categories})
    runs = []
    for name, step in (("all", 1), ("half", 2)):
        results = [box | {"image_id": n, "score": 0.5 + n / 100} for n in range(0, 20, step)]
        pred = write(folder / f"{name}.json", results)
        runs.append(str(folder / f"{name}_scores.json"))
        words = ["--metric", "bbox", "--gt", str(gt), "--pred", str(pred), "--json", runs[-1]]
        assert main(["score", *words, "--resamples", "100"]) == 0
    return runs


def test_coco_figures_have_intervals_and_are_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = coco_runs(tmp_path)
    assert "(95 %: " in capsys.readouterr().out
    every, half = (json.loads(Path(run).read_text()) for run in runs)
    assert every["intervals"]["AP"]["low"] == pytest.approx(100.0)  # each image has all of its object
    found = half["intervals"]["AR100"]
    assert found["value"] == pytest.approx(50.0)
    assert 20 < found["low"] < 50 < found["high"] < 80
    assert set(half["intervals"]) == {n for n in half["intervals"] if n in half}
    row = half["tables"]["category"][0]
    assert (row["AP_low"], row["AP_high"]) == (
        half["intervals"]["AP"]["low"],
        half["intervals"]["AP"]["high"],
    )
    assert main(["score", "--compare", *runs, "--json", str(tmp_path / "d.json"), "--resamples", "100"]) == 0
    said = json.loads((tmp_path / "d.json").read_text())["a_minus_b"]
    assert set(said) == {
        "AP",
        "AP50",
        "AP75",
        "APm",
        "AR1",
        "AR10",
        "AR100",
        "ARm",
    }  # no small or large object
    assert said["AR100"]["value"] == pytest.approx(50.0)
    assert 20 < said["AR100"]["low"] < said["AR100"]["high"] < 80
    assert said["AR100"]["p"] == 0.0


def test_calibration_errors_are_compared_but_not_with_other_bins(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    correct = rng.random(200) < 0.6
    gt = write(tmp_path / "gt.json", [{"id": n, "correct": bool(one)} for n, one in enumerate(correct)])
    for name, value in (("good", 0.6), ("bad", 0.95)):
        write(tmp_path / f"{name}.json", [{"id": n, "confidence": value} for n in range(200)])
    runs = []
    for name, n_bins in (("good", 15), ("bad", 15), ("bad", 5)):
        runs.append(str(tmp_path / f"{name}_{n_bins}.json"))
        words = ["--gt", str(gt), "--pred", str(tmp_path / f"{name}.json"), "--json", runs[-1]]
        words += ["--n-bins", str(n_bins)]
        assert main(["score", "--metric", "ece", *words, "--resamples", "0"]) == 0
    assert main(["score", "--compare", *runs[:2], "--json", str(tmp_path / "d.json")]) == 0
    said = json.loads((tmp_path / "d.json").read_text())["a_minus_b"]["ece_percent"]
    assert said["high"] < 0
    assert main(["score", "--compare", runs[0], runs[2]]) == 2
    assert "the same n-bins in both runs" in capsys.readouterr().err
