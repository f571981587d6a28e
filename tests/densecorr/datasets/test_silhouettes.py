import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from densecorr.datasets.coco import read_coco
from densecorr.datasets.coco_types import CocoSettings
from densecorr.datasets.silhouettes import GrabCut, grabcut_silhouette
from densecorr.errors import ImageError
from densecorr.images import decode_silhouette

BOX = (17.0, 11.0, 27.0, 27.0)  # around the toy image's disc


def disc(toy: ModuleType) -> np.ndarray:
    ys, xs = np.mgrid[: toy.HEIGHT, : toy.WIDTH]
    return (xs - 30) ** 2 + (ys - 24) ** 2 <= 144


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return (a & b).sum() / (a | b).sum()


@pytest.mark.parametrize("max_side", [20, 400])
def test_a_disc_is_cut_out(toy: ModuleType, max_side: int) -> None:
    silhouette, how = grabcut_silhouette(toy.make_image(1), BOX, GrabCut(max_side=max_side))
    assert how == "grabcut"
    assert iou(silhouette, disc(toy)) > (0.95 if max_side == 400 else 0.8)


def test_nothing_is_found_outside_the_box(toy: ModuleType) -> None:
    silhouette, _ = grabcut_silhouette(toy.make_image(1), (17.0, 11.0, 14.0, 27.0))
    assert silhouette.any()
    assert not silhouette[:, 31:].any()


def test_the_same_seed_gives_the_same_silhouette(toy: ModuleType) -> None:
    noise = np.random.default_rng(3).integers(0, 255, (60, 60, 3)).astype(np.uint8)
    first, second = (grabcut_silhouette(noise, (10.0, 10.0, 40.0, 40.0))[0] for _ in range(2))
    assert np.array_equal(first, second)


def test_a_box_that_fills_the_image_is_no_obstacle(toy: ModuleType) -> None:
    silhouette, how = grabcut_silhouette(toy.make_image(1), (0.0, 0.0, 64.0, 48.0))
    assert how == "grabcut"
    assert iou(silhouette, disc(toy)) > 0.9


def test_an_image_of_one_colour_gives_the_ellipse_and_says_so() -> None:
    flat = np.full((40, 60, 3), 90, dtype=np.uint8)
    silhouette, how = grabcut_silhouette(flat, (10.0, 5.0, 30.0, 20.0))
    assert how == "box"
    assert silhouette.sum() == pytest.approx(np.pi * 15 * 10, rel=0.03)
    assert silhouette[15, 25]
    assert not silhouette[5, 10]


def test_a_box_beside_the_image_is_refused(toy: ModuleType) -> None:
    with pytest.raises(ImageError, match="inside the image"):
        grabcut_silhouette(toy.make_image(1), (100.0, 0.0, 10.0, 10.0))


def test_ingest_fills_only_what_is_missing(toy: ModuleType, coco_folder: Path, tmp_path: Path) -> None:
    data = toy.instances()
    data["annotations"][4]["bbox"] = list(BOX)
    data["annotations"][3]["bbox"] = [100, 0, 10, 10]
    path = tmp_path / "a.json"
    path.write_text(json.dumps(data))
    tables = read_coco(path, coco_folder / "images", "toy", CocoSettings(missing_silhouettes="grabcut"))
    rows = tables.instances.to_pylist()
    assert [row["silhouette_source"] for row in rows] == ["dataset"] * 3 + [None, "grabcut"]
    assert iou(decode_silhouette(rows[4]["silhouette"], 48, 64), disc(toy)) > 0.95
    untouched = read_coco(path, coco_folder / "images", "toy").instances.to_pylist()
    assert untouched[:4] == rows[:4]
    assert untouched[4]["silhouette"] is None
