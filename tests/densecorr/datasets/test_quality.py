"""Planted faults are found, each as its kind; a clean rendered world gives none."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from densecorr.datasets.densepose import dp_to_xy
from densecorr.datasets.keypoints import KeypointSet, keypoint_set_of
from densecorr.datasets.quality import (
    Finding,
    check_duplicates,
    check_images,
    check_instance,
    check_points,
    check_sides,
    check_views,
)
from densecorr.datasets.quality_geometry import box_iou, distance_to_mask, vertex_sides
from densecorr.datasets.quality_pictures import SIDES, Marks, beside, draw_instance
from densecorr.datasets.quality_report import findings_table, worst_findings
from densecorr.datasets.rendered import load_shape, write_world
from densecorr.datasets.world_settings import WorldSettings
from densecorr.images import decode_silhouette, encode_silhouette, write_png
from densecorr.records import ImageRecord, InstanceRecord, LabelRecord
from densecorr.rendering.cameras import camera_rig
from densecorr.rendering.rasterize import make_scene, visible_vertices

MIDPLANE = np.array([1.0, 0.0, 0.0, 0.0])
SIDED = KeypointSet("toy", ("left_a", "left_b", "left_c", "left_d"), ())
Row = tuple[ImageRecord, InstanceRecord, LabelRecord]


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    out = tmp_path_factory.mktemp("world")
    settings = WorldSettings(category="quadruped", n_train=4, n_val=2, image_size=96, n_points=60)
    write_world(out, settings, workers=1)
    data = json.loads((out / "annotations.json").read_text())
    made = []
    for image, a in zip(data["images"], data["annotations"], strict=True):
        dp = np.stack([a["dp_x"], a["dp_y"]], axis=1)
        xy = dp_to_xy(dp, a["bbox"]).astype(np.float32)
        name = str(image["id"])
        made.append(
            (
                ImageRecord(name, image["file_name"], 96, 96, split=image["split"]),
                InstanceRecord(
                    name, name, "quadruped", tuple(a["bbox"]), a["segmentation"], "dataset", area=a["area"]
                ),
                LabelRecord(
                    name,
                    name,
                    a["ref_model"],
                    "synthetic",
                    "world",
                    xy[:, 0],
                    xy[:, 1],
                    np.array(a["dp_vertex"]),
                ),
            )
        )
    return made


@pytest.fixture(scope="module")
def visible() -> np.ndarray:
    shape = load_shape("quadruped")
    V = shape.rest()
    scene = make_scene(V, shape.F)
    return np.stack([visible_vertices(V, shape.F, c, scene.fragments(c)) for c in camera_rig(V)])


def kinds(findings: list[Finding]) -> list[str]:
    return [one.kind for one in findings]


def test_a_clean_world_gives_none(rows: list[Row], visible: np.ndarray) -> None:
    for image, instance, label in rows:
        assert check_instance(instance, image) == []
        assert check_points(label, instance, image) == []
        assert check_views(label, instance, visible) == []
    assert check_duplicates([instance for _, instance, _ in rows]) == []


def test_moved_points_are_outside_the_mask(rows: list[Row]) -> None:
    image, instance, label = rows[0]
    share = 0.2
    x = label.x.copy()
    x[: int(share * len(x))] = -20.0
    (found,) = check_points(replace(label, x=x), instance, image)
    assert (found.kind, found.severity) == ("points_outside_mask", "error")
    assert found.value == pytest.approx(share)
    assert check_points(label, replace(instance, silhouette=None), image) == []


def test_bad_boxes_and_masks_are_found(rows: list[Row]) -> None:
    image, instance, _ = rows[0]
    x, y, w, h = instance.xywh
    assert kinds(check_instance(replace(instance, xywh=(x + w / 2, y, w, h)), image)) == ["box_off_mask"]
    empty = encode_silhouette(np.zeros((96, 96), dtype=bool))
    assert kinds(check_instance(replace(instance, silhouette=empty), image)) == ["empty_mask"]
    small = replace(instance, silhouette=None, area=9.0, xywh=(1.0, 1.0, 3.0, 3.0))
    assert kinds(check_instance(small, image)) == ["tiny"]
    assert check_instance(replace(small, iscrowd=True), image) == []


def test_keypoints_outside_the_box_are_measured(rows: list[Row]) -> None:
    image, instance, _ = rows[0]
    x, y, w, _ = instance.xywh
    flat = [x + w + 9.5, y + 1, 2, x + 1, y + 1, 1, 0, 0, 0]
    (found,) = check_instance(replace(instance, extra={"keypoints": flat}), image)
    assert (found.kind, found.value) == ("keypoint_outside_box", pytest.approx(10.0))
    flat[2] = 0
    assert check_instance(replace(instance, extra={"keypoints": flat}), image) == []


def test_a_repeated_instance_is_named_once(rows: list[Row]) -> None:
    instance = rows[0][1]
    again = replace(instance, instance_id="again")
    (found,) = check_duplicates([instance, again, replace(again, category="cow")])
    assert (found.instance_id, found.value) == ("again", 1.0)
    assert instance.instance_id in found.message


def test_mirrored_vertices_contradict_the_keypoints(rows: list[Row]) -> None:
    side = vertex_sides(load_shape("quadruped").rest(), MIDPLANE)
    assert set(side.tolist()) == {-1, 0, 1}
    names = replace(SIDED, pairs=(("left_a", "left_b"),))
    assert names.mirror.tolist() == [1, 0, 2, 3]
    n = 5
    at = np.array([[20.0, 20.0], [60.0, 60.0]])
    keypoints = {"keypoints": [*at[0], 2, *at[1], 2, 0, 0, 0, 0, 0, 0]}
    instance = replace(rows[0][1], xywh=(0.0, 0.0, 96.0, 96.0), extra=keypoints)
    left, right = np.flatnonzero(side == 1)[:n], np.flatnonzero(side == -1)[:n]
    x, y = (np.repeat(at[:, k], n).astype(np.float32) + 1 for k in (0, 1))
    label = replace(rows[0][2], x=x, y=y, vertex=np.concatenate([left, right]))
    assert check_sides(label, instance, names, side) == []
    flipped = replace(label, vertex=np.concatenate([right, left]))
    (found,) = check_sides(flipped, instance, names, side)
    assert (found.kind, found.value) == ("left_right", 1.0)
    assert check_sides(flipped, replace(instance, extra={}), names, side) == []
    far = replace(flipped, x=x + 15)
    assert check_sides(far, instance, names, side) == []


def test_vertices_from_all_around_are_in_no_view(rows: list[Row], visible: np.ndarray) -> None:
    _, instance, label = rows[0]
    all_around = replace(label, vertex=np.linspace(0, visible.shape[1] - 1, len(label.x)).astype(np.int64))
    (found,) = check_views(all_around, instance, visible)
    assert found.kind == "never_visible"
    assert found.value > found.threshold
    assert check_views(replace(label, vertex=np.full(len(label.x), -1)), instance, visible) == []


def test_near_duplicates_across_splits_only(tmp_path: Path) -> None:
    import cv2

    paths: list[Path | str] = []
    for number in (0, 0, 1):
        coarse = np.random.default_rng(number).integers(0, 256, (7, 9, 3), dtype=np.uint8)
        path = tmp_path / f"{len(paths)}.png"
        write_png(
            path, np.clip(cv2.resize(coarse, (96, 72)).astype(int) + len(paths), 0, 255).astype(np.uint8)
        )
        paths.append(path)
    images = [
        ImageRecord(str(k), path.name, 96, 72, split=s)
        for k, (path, s) in enumerate(zip(map(Path, paths), ("train", "val", "val"), strict=True))
    ]
    (found,) = check_images(images, paths)
    assert (found.kind, found.image_id, found.instance_id) == ("duplicate_across_splits", "1", None)
    assert check_images([replace(image, split="train") for image in images], paths) == []


def test_keypoints_are_known_by_their_names() -> None:
    def info(*names: str) -> dict[str, Any]:
        return {"categories": [{"id": 1, "name": "cow", "keypoints": list(names)}]}

    found = keypoint_set_of(info("left_ear", "right_ear", "nose"), "cow", 3)
    assert found is not None
    assert found.pairs == (("left_ear", "right_ear"),)
    assert keypoint_set_of(info("left_ear", "right_ear"), "cow", 3) is None
    assert keypoint_set_of(info("nose"), "cow", 1) is None


def test_small_geometry_by_hand() -> None:
    assert box_iou((0.0, 0.0, 2.0, 2.0), (1.0, 0.0, 2.0, 2.0)) == pytest.approx(1 / 3)
    assert box_iou((0.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 0.0)) == 0.0
    mask = np.zeros((10, 10), dtype=bool)
    mask[2:4, 2:4] = True
    assert distance_to_mask(np.array([[2.0, 3.0], [6.0, 7.0]]), mask).tolist() == [0.0, 5.0]


def test_the_worst_come_first_and_pictures_show_the_box(rows: list[Row]) -> None:
    def one(kind: str, value: float) -> Finding:
        return Finding(kind, "a", "b", "warning", value, 0.5, "text")

    findings = [
        one("box_off_mask", 0.3),
        one("box_off_mask", 0.1),
        one("never_visible", 0.6),
        one("never_visible", 0.9),
    ]
    worst = worst_findings(findings, 1)
    assert {kind: members[0].value for kind, members in worst.items()} == {
        "box_off_mask": 0.1,
        "never_visible": 0.9,
    }
    assert findings_table(findings).num_rows == 4
    assert findings_table([]).num_rows == 0
    image, instance, label = rows[0]
    silhouette = decode_silhouette(instance.silhouette or {}, image.height, image.width)
    xy = np.stack([label.x, label.y], axis=1).astype(np.float64)
    side = np.arange(len(xy)) % 3 - 1
    marks = [Marks(xy, side), Marks(np.array([[5.0, 5.0]]), np.zeros(1, dtype=np.int64), crosses=True)]
    black = np.zeros((96, 96, 3), dtype=np.uint8)
    picture = draw_instance(black, instance.xywh, silhouette, marks)
    colors = set(map(tuple, picture.reshape(-1, 3).tolist()))
    assert {(255, 170, 0), (0, 200, 255), *SIDES.values()} <= colors
    assert max(picture.shape) == 320
    tiny = draw_instance(black, (40.0, 40.0, 4.0, 4.0))
    assert (tiny.max(axis=2) > 0).sum() < 0.1 * tiny.shape[0] * tiny.shape[1]  # its surroundings are shown
    assert beside(picture, tiny[:100]).shape == (320, picture.shape[1] + 6 + tiny.shape[1], 3)
