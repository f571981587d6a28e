"""The page of a score: its figures are the record's, its pictures show the chosen result, and it needs no image."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from densecorr.evaluation.densepose_score import ScoreSettings, TruthRow, score_set
from densecorr.evaluation.densepose_types import DensePoseDetection, DensePoseSet, DensePoseTruth, ScoredImage
from densecorr.evaluation.score_pictures import (
    GREY,
    SIDE,
    PictureSettings,
    error_colors,
    geodesic_colors,
    instance_pictures,
    vertices_on_mesh,
    worst_of,
)
from densecorr.images import crop_frame, to_crop
from flows.cli import main
from tests.densepose_worlds import N_VERTICES, make_geodesics, make_world, write_world

KAPPA = 0.255
BLUE = [53, 120, 210]


@pytest.fixture(scope="module")
def world():
    return (*make_world(3, n_images=12), {"mesh_1": make_geodesics(0), "mesh_2": make_geodesics(1)})


def report(capsys, folder: Path, *arguments: str) -> tuple[int, str, str]:
    code = main(["score", *map(str, arguments), "--report", str(folder / "page.html"), "--resamples", "20"])
    page = folder / "page.html"
    return code, page.read_text() if page.exists() else "", capsys.readouterr().err


def test_the_page_holds_both_protocols_intervals_and_slices(tmp_path, world, capsys):
    options = write_world(tmp_path, *world)
    code, page, _ = report(capsys, tmp_path, *options, "--json", tmp_path / "o.json")
    said = json.loads((tmp_path / "o.json").read_text())
    assert code == 0
    cells = re.search(r'<td class="text">AP</td>(.*?)</tr>', page)
    assert cells is not None
    shown = [float(text) for text in re.findall(r"<td>([-\d.]+)</td>", cells[1])]
    interval = said["intervals"]["AP"]
    wanted = [said["AP"], interval["low"], interval["high"], said["other_protocol"]["AP"]]
    assert shown == pytest.approx([*wanted, said["corrected_minus_reference"]["AP"]], abs=0.006)
    for word in ("cow", "horse", "mesh_1", "medium", "By category", "Worst cases", "no folder of images"):
        assert word in page
    assert "http" not in re.sub(r"http-equiv", "", page)  # nothing is fetched
    assert "<script" not in page


@pytest.mark.parametrize("metric", ["gps", "gpsm", "segm-iou"])
def test_every_metric_has_its_pictures(tmp_path, world, capsys, metric):
    options = write_world(tmp_path, *world)
    if metric == "segm-iou":
        options = options[:4]  # no geodesics: silhouettes alone
    code, page, _ = report(capsys, tmp_path, *options, "--metric", metric, "--worst", "4")
    assert code == 0
    assert page.count("<h3>Annotation") == 4
    assert ("silhouettes: green both" in page) == (metric != "gps")
    assert ("errors: blue 0, yellow 0.255, red 0.51 and more" in page) == (metric != "segm-iou")


def test_no_instances_no_section(tmp_path, world, capsys):
    options = write_world(tmp_path, *world)
    code, page, _ = report(capsys, tmp_path, *options, "--worst", "0")
    assert code == 0
    assert "Worst cases" not in page
    code, _, err = report(capsys, tmp_path, *options, "--worst", "-1")
    assert code == 2
    assert "at least 0 worst instances" in err


def test_images_that_are_not_there_are_named(tmp_path, world, capsys):
    """Absent, unnamed and of another size; the one that is there is drawn."""
    truth, results, geodesics = world
    images = {image["id"]: image | {"file_name": f"{image['id']}.png"} for image in truth["images"]}
    shown = {row["image_id"] for row in truth["annotations"] if row.get("dp_x")}
    unnamed, absent, larger, *_ = sorted(
        shown & {k for k, image in images.items() if "ignore_regions_x" not in image}
    )
    for key, image in images.items():
        size = (image["width"], image["height"] + (key == larger))
        Image.new("RGB", size, (250, 10, 240)).save(tmp_path / f"{key}.png")
    del images[unnamed]["file_name"]
    (tmp_path / f"{absent}.png").unlink()
    options = write_world(tmp_path, truth | {"images": list(images.values())}, results, geodesics)
    code, page, _ = report(capsys, tmp_path, *options, "--images", tmp_path, "--worst", "20")
    assert code == 0
    note = re.search(r"\d+ of \d+ instances are on grey: [^<]+", page)
    assert note is not None
    for words in (
        f"image {unnamed} has no file_name",
        f"no file at {tmp_path / str(absent)}.png",
        f"{larger}.png is 160 x 121, annotated 160 x 120",
    ):
        assert words in note[0]


def perfect_set(vertices: np.ndarray, mesh: str | None = None, maps: dict | None = None) -> DensePoseSet:
    """One annotation with a point in each tenth pixel, and one result of those vertices."""
    rows, columns = np.indices((4, 4)).reshape(2, -1) * 10 + 5
    dp = (np.stack([columns, rows], axis=1) + 0.5) * 256.0 / 40
    truth = DensePoseTruth(1, 1, 1, (20.0, 10.0, 40.0, 40.0), 1600.0, dp, np.arange(16), "m")
    found = DensePoseDetection(0, 1, 1, 0.5, (20.0, 10.0, 40.0, 40.0), vertices, mesh)
    images = (ScoredImage(1, 80, 100),)
    return DensePoseSet(images, {1: "cow"}, (truth,), (found,), {"m": make_geodesics(0)}, maps or {})


def right_vertices() -> np.ndarray:
    return np.arange(16).reshape(4, 4).repeat(10, axis=0).repeat(10, axis=1).astype(np.int32)


def test_a_right_result_is_drawn_in_the_true_colours_and_its_errors_blue():
    scored = perfect_set(right_vertices())
    row = score_set(scored, ScoreSettings())["corrected", "gps"].rows()[0]
    assert row.similarity == 1.0
    colors = geodesic_colors(scored.geodesics["m"])
    settings = PictureSettings("gps", "corrected", KAPPA)
    drawn = instance_pictures(row, scored, settings, {"m": colors}, None)
    points, dense, errors = (panel.image for panel in drawn.panels)
    centre = to_crop(np.array([[25.0, 15.0], [35.0, 15.0]]), crop_frame((20.0, 10.0, 40.0, 40.0), SIDE, 0.15))
    for vertex, (x, y) in enumerate(np.rint(centre).astype(int)):
        assert points[y, x].tolist() == colors[vertex].tolist()
        assert errors[y, x].tolist() == BLUE
        blend = 0.25 * GREY + 0.75 * colors[vertex].astype(float)
        assert np.abs(dense[y, x] - blend).max() <= 1
    assert "16 of them with a vertex, their mean error 0" in drawn.facts


def test_a_result_on_another_mesh_is_drawn_on_the_annotated_one():
    table = np.roll(np.arange(N_VERTICES), 3)
    scored = perfect_set(np.argsort(table)[right_vertices()], "other", {("other", "m"): table})
    mapped = vertices_on_mesh(scored.detections[0], scored.truths[0], scored)
    assert (mapped == right_vertices()).all()
    outside = perfect_set(np.full((40, 40), -1, np.int32), "other", {("other", "m"): table})
    assert (vertices_on_mesh(outside.detections[0], outside.truths[0], outside) == -1).all()


def test_colours_need_no_mesh():
    D = make_geodesics(5)
    colors = geodesic_colors(D)
    assert len(np.unique(colors, axis=0)) == N_VERTICES
    near = D < 0.1 * D.max()
    difference = np.abs(colors[:, None].astype(int) - colors[None]).max(axis=-1)
    assert difference[near].max() <= 0.1 * D.max() / D.max(axis=1).min() * 225 + 1  # smooth over the surface
    split = np.where(np.arange(6)[:, None] % 2 == np.arange(6)[None] % 2, 1.0, np.inf) * (1 - np.eye(6))
    assert geodesic_colors(np.nan_to_num(split, nan=0.0, posinf=np.inf)).shape == (6, 3)
    assert geodesic_colors(np.zeros((1, 1), np.float32)).tolist() == [[142, 142, 142]]


def test_errors_go_from_blue_through_yellow_to_red_and_white():
    errors = np.array([0.0, KAPPA, 2 * KAPPA, 9.0, np.inf])
    red = [200, 40, 35]
    assert error_colors(errors, KAPPA).tolist() == [BLUE, [245, 205, 60], red, red, [255, 255, 255]]


def test_the_worst_come_first_and_misses_do_not_crowd_them_out():
    def row(number: int, similarity: float, n_points: int = 5, area: float = 100.0) -> TruthRow:
        detection = None if similarity == 0 else number
        return TruthRow(number, 1, 1, "m", area, n_points, similarity, detection)

    rows = (
        [row(i, 0.0) for i in range(9)] + [row(10 + i, 0.1 * (9 - i)) for i in range(9)] + [row(30, 0.0, 0)]
    )
    chosen = worst_of(rows, 6, "gps")
    assert [one.annotation_id for one in chosen] == [0, 1, 18, 17, 16, 15]
    assert len(worst_of(rows, 100, "gps")) == 18
    assert len(worst_of(rows, 100, "segm-iou")) == 19
    assert [one.annotation_id for one in worst_of(rows[:9] + rows[9:11], 6, "gps")][-2:] == [11, 10]
    large = worst_of([row(1, 0.5), row(2, 0.5, area=900.0)], 1, "gps")
    assert large[0].annotation_id == 2
