"""The reference protocol against the evaluator's order of work, to the last bit, on worlds with all its quirks."""

import copy

import numpy as np
import pytest
from scipy.ndimage import zoom

from densecorr.evaluation import densepose_matching
from densecorr.evaluation.densepose_files import read_truths
from densecorr.evaluation.densepose_masks import enlarge_corner_aligned
from densecorr.evaluation.densepose_results import check_set, read_geodesics, read_results
from densecorr.evaluation.densepose_score import ScoreSettings, score_set
from densecorr.evaluation.densepose_types import DensePoseSet
from tests.benchmarks.densepose_order_of_work import PlainEvaluator
from tests.densepose_worlds import make_geodesics, make_world, write_world


def load(folder, truth, results, geodesics) -> DensePoseSet:
    options = write_world(folder, truth, results, geodesics)
    images, categories, truths = read_truths(folder / "gt.json")
    detections = read_results(folder / "pred.json", images, categories)
    scored = DensePoseSet(images, categories, truths, detections, read_geodesics(options[5::2]), {})
    check_set(scored)
    return scored


@pytest.mark.parametrize("metric", ["gps", "gpsm", "segm-iou"])
@pytest.mark.parametrize("seed", range(12))
def test_figures_equal_the_plain_evaluator_bit_for_bit(tmp_path, seed, metric):
    human = seed % 2 == 1
    truth, results = make_world(seed, human=human, n_images=10)
    names = ["smpl_27554"] if human else ["mesh_1", "mesh_2"]
    geodesics = {name: make_geodesics(seed + number) for number, name in enumerate(names)}
    scored = load(tmp_path, truth, results, geodesics)
    figures = score_set(scored, ScoreSettings((metric,), ("reference",)))["reference", metric].figures
    plain = PlainEvaluator(copy.deepcopy(truth), results, geodesics, metric).figures()
    assert figures == plain


@pytest.mark.parametrize("seed", range(20, 24))
def test_images_matched_in_several_batches_are_matched_alike(tmp_path, monkeypatch, seed):
    truth, results = make_world(seed, n_images=30)
    geodesics = {f"mesh_{number}": make_geodesics(seed + number) for number in (1, 2)}
    for D in geodesics.values():
        D[:5, 5:9] = np.inf  # vertices that cannot be reached
    scored = load(tmp_path, truth, results, geodesics)
    monkeypatch.setattr(densepose_matching, "GROUPS_AT_ONCE", 3)
    found = score_set(scored, ScoreSettings(("gps", "gpsm"), ("reference",)))
    for metric in ("gps", "gpsm"):
        plain = PlainEvaluator(copy.deepcopy(truth), results, geodesics, metric, decoded=seed % 2 == 1)
        assert found["reference", metric].figures == plain.figures()


def test_the_worlds_are_worth_comparing(tmp_path):
    values = []
    for seed in range(4):
        truth, results = make_world(seed, n_images=10)
        geodesics = {name: make_geodesics(seed) for name in ("mesh_1", "mesh_2")}
        folder = tmp_path / str(seed)
        folder.mkdir()
        scored = load(folder, truth, results, geodesics)
        values.append(score_set(scored, ScoreSettings())["reference", "gps"].figures["AP"])
    assert len(set(values)) == 4
    assert all(0 < value < 100 for value in values)


@pytest.mark.parametrize(
    ("width", "height"), [(511.0, 511.0), (1.0, 300.0), (255.0, 256.0), (97.5, 33.3), (640.0, 2.0)]
)
def test_part_masks_are_enlarged_as_scipy_does(width, height):
    rng = np.random.default_rng(int(width))
    blobs = np.zeros((256, 256), dtype=np.uint8)
    blobs[40:200, 30:90] = 1
    for frame in (blobs, (rng.random((256, 256)) < 0.5).astype(np.uint8)):
        expected = zoom(frame.astype(float), (height / 256, width / 256), order=1, prefilter=False) > 0.5
        assert np.array_equal(enlarge_corner_aligned(frame, height, width), expected)
