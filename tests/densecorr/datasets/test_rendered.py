import hashlib
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from densecorr.config import from_jsonable, to_jsonable
from densecorr.datasets.densepose import dp_to_xy
from densecorr.datasets.rendered import FIRST_ID, load_shape, render_image, write_world
from densecorr.datasets.world_settings import WorldSettings
from densecorr.errors import SettingsError
from densecorr.images import decode_silhouette, read_image
from densecorr.rendering.cameras import project_points

SMALL = WorldSettings(category="quadruped", n_train=3, n_val=2, image_size=64, n_points=40)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("world")
    write_world(out, SMALL, workers=1)
    return out, json.loads((out / "annotations.json").read_text())


def points(annotation: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (P, 2) and vertices (P,) as an importer reads them."""
    dp = np.stack([annotation["dp_x"], annotation["dp_y"]], axis=1)
    return dp_to_xy(dp, annotation["bbox"]), np.array(annotation["dp_vertex"])


def dense_map(out: Path, annotation: dict[str, Any]) -> np.ndarray:
    """The stored vertex map, put back into the whole image."""
    x, y, w, h = map(int, annotation["bbox"])
    whole = np.full((SMALL.image_size, SMALL.image_size), -1)
    with np.load(out / annotation["densecorr"]["vertex_map"], allow_pickle=False) as stored:
        whole[y : y + h, x : x + w] = stored["vertex"]
    return whole


def test_the_file_names_its_source_its_settings_and_its_splits(world: tuple) -> None:
    out, data = world
    assert data["info"]["densecorr"]["label_source"] == "synthetic"
    assert from_jsonable(WorldSettings, data["info"]["densecorr"]["settings"]) == SMALL
    assert [image["split"] for image in data["images"]] == ["train"] * 3 + ["val"] * 2
    assert [image["id"] for image in data["images"]] == [1, 2, 3, FIRST_ID["val"], FIRST_ID["val"] + 1]
    assert {image["license"] for image in data["images"]} == {data["licenses"][0]["id"]}
    for image in data["images"]:
        assert read_image(out / image["file_name"]).shape == (64, 64, 3)


def test_each_image_has_one_instance_of_the_category(world: tuple) -> None:
    _, data = world
    assert [a["image_id"] for a in data["annotations"]] == [image["id"] for image in data["images"]]
    assert {a["category_id"] for a in data["annotations"]} == {data["categories"][0]["id"]}
    assert data["categories"][0]["name"] == "quadruped"
    assert {a["ref_model"] for a in data["annotations"]} == {"quadruped-v1"}


def test_box_area_and_dense_map_are_those_of_the_silhouette(world: tuple) -> None:
    out, data = world
    for annotation in data["annotations"]:
        silhouette = decode_silhouette(annotation["segmentation"], 64, 64)
        y, x = np.nonzero(silhouette)
        assert annotation["bbox"] == [x.min(), y.min(), np.ptp(x) + 1, np.ptp(y) + 1]
        assert annotation["area"] == silhouette.sum()
        assert_array_equal(dense_map(out, annotation) >= 0, silhouette)


def test_points_are_read_back_on_distinct_pixels_of_the_silhouette_with_their_vertex(world: tuple) -> None:
    out, data = world
    for annotation in data["annotations"]:
        xy, vertex = points(annotation)
        assert_allclose(xy, np.rint(xy), atol=0.01)
        x, y = np.rint(xy).astype(int).T
        assert len({*zip(x, y, strict=True)}) == SMALL.n_points
        assert_array_equal(dense_map(out, annotation)[y, x], vertex)
        assert vertex.min() >= 0


@pytest.mark.parametrize("category", ["person", "quadruped"])
def test_the_vertex_of_a_pixel_projects_next_to_it(category: str) -> None:
    rendered = render_image(replace(SMALL, category=category, image_size=128), "train", 1)
    y, x = np.nonzero(rendered.silhouette)
    vertices = rendered.vertices[y, x]
    xy, depth = project_points(rendered.V[vertices], rendered.camera)
    F = load_shape(category).F
    edge = np.linalg.norm(rendered.V[F[:, 0]] - rendered.V[F[:, 1]], axis=1).max()
    allowed = edge * rendered.camera.K[0, 0] / depth.min()
    assert np.linalg.norm(xy - np.stack([x, y], axis=1), axis=1).max() < allowed
    assert np.median(np.linalg.norm(xy - np.stack([x, y], axis=1), axis=1)) < 1.5
    assert vertices.max() < len(load_shape(category).rest())


def test_an_image_depends_on_seed_split_and_index_alone(world: tuple, tmp_path: Path) -> None:
    out, data = world
    write_world(tmp_path, replace(SMALL, n_train=1, n_val=2), workers=1)
    fewer = json.loads((tmp_path / "annotations.json").read_text())
    assert fewer["annotations"] == [data["annotations"][k] for k in (0, 3, 4)]
    for image in fewer["images"]:
        assert (tmp_path / image["file_name"]).read_bytes() == (out / image["file_name"]).read_bytes()
    first = render_image(SMALL, "train", 0).image
    assert (render_image(replace(SMALL, seed=1), "train", 0).image != first).any()
    assert (render_image(SMALL, "val", 0).image != first).any()


def test_changing_the_occluders_leaves_pose_view_and_background() -> None:
    clear = render_image(replace(SMALL, occlusion=replace(SMALL.occlusion, probability=0.0)), "train", 2)
    covered = render_image(replace(SMALL, occlusion=replace(SMALL.occlusion, probability=1.0)), "train", 2)
    assert_array_equal(clear.V, covered.V)
    assert clear.view == covered.view
    assert clear.whole == covered.whole == clear.silhouette.sum()
    share = 1 - covered.silhouette.sum() / covered.whole
    assert SMALL.occlusion.share[0] <= share <= SMALL.occlusion.share[1]
    assert not (covered.silhouette & ~clear.silhouette).any()
    assert_array_equal(covered.vertices[covered.silhouette], clear.vertices[covered.silhouette])


def folder_digest(folder: Path) -> str:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    text = "".join(f"{p.relative_to(folder)} {hashlib.sha256(p.read_bytes()).hexdigest()}\n" for p in files)
    return hashlib.sha256(text.encode()).hexdigest()


def test_the_number_of_workers_does_not_change_a_byte(tmp_path: Path) -> None:
    settings = replace(SMALL, n_train=30, n_val=2, image_size=32)
    seen: list[tuple[int, int]] = []
    write_world(tmp_path / "one", settings, workers=1)
    write_world(
        tmp_path / "two", settings, progress=lambda done, total: seen.append((done, total)), workers=2
    )
    assert folder_digest(tmp_path / "one") == folder_digest(tmp_path / "two")
    assert seen == [(done, 32) for done in range(1, 33)]


def test_views_keep_to_their_settings() -> None:
    settings = replace(SMALL, image_size=48)
    azimuths = []
    for index in range(12):
        rendered = render_image(settings, "train", index)
        azimuths.append(rendered.view.azimuth)
        assert any(low <= rendered.view.azimuth <= high for low, high in settings.quadruped.azimuths)
        assert settings.quadruped.elevation[0] <= rendered.view.elevation <= settings.quadruped.elevation[1]
        toward = -rendered.camera.R.T @ rendered.camera.t - rendered.V.mean(axis=0)
        seen = math.degrees(math.atan2(toward[0], toward[2]))
        assert seen == pytest.approx(rendered.view.azimuth, abs=8)  # +x, the subject's left, is positive
    assert min(azimuths) < 0 < max(azimuths)


@pytest.mark.parametrize("cut", [False, True])
def test_a_subject_fills_its_share_of_the_image_or_is_cut_by_the_border(cut: bool) -> None:
    framing = replace(SMALL.framing, cut_probability=float(cut))
    settings = replace(SMALL, image_size=96, framing=framing)
    for index in range(6):
        rendered = render_image(settings, "train", index)
        xy, _ = project_points(rendered.V, rendered.camera)
        outside = ((xy < -0.5) | (xy > 95.5)).any()
        assert outside == cut
        if cut:
            extent = np.ptp(xy, axis=0)[int(rendered.view.cut_side in ("top", "bottom"))]
            over = {"left": -0.5 - xy[:, 0].min(), "right": xy[:, 0].max() - 95.5}
            over |= {"top": -0.5 - xy[:, 1].min(), "bottom": xy[:, 1].max() - 95.5}
            assert over[rendered.view.cut_side] == pytest.approx(rendered.view.cut_share * extent, abs=1e-6)
        else:
            share = np.ptp(xy, axis=0).max() / 96
            assert framing.subject_side[0] <= share + 1e-9
            assert share <= framing.subject_side[1] + 1e-9


def test_the_subject_cannot_be_read_off_one_colour() -> None:
    settings = replace(SMALL, image_size=64)
    means = np.array(
        [(r := render_image(settings, "train", k)).image[r.silhouette].mean(axis=0) for k in range(8)]
    )
    assert np.ptp(means, axis=0).min() > 40  # the coat varies from image to image


@pytest.mark.parametrize(
    "fault",
    [
        {"n_train": -1},
        {"image_size": 8},
        {"n_points": 0},
        {"quadruped": {"azimuths": [], "elevation": [0, 1], "pose_spread": 1.0}},
        {"quadruped": {"azimuths": [[10.0, -10.0]], "elevation": [0, 1], "pose_spread": 1.0}},
        {"quadruped": {"azimuths": [[0.0, 1.0]], "elevation": [0, 95], "pose_spread": 1.0}},
        {"occlusion": {"probabilty": 0.5}},
        {"category": "fish"},
    ],
)
def test_settings_that_cannot_be_drawn_are_refused(fault: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        from_jsonable(WorldSettings, to_jsonable(SMALL) | fault)
