from pathlib import Path

import numpy as np
import pytest
import trimesh
from numpy.testing import assert_allclose, assert_array_equal

from densecorr.errors import ArtifactError
from densecorr.rendering.cameras import RigSettings, view_direction
from densecorr.rendering.views import Views, ViewSettings, draw_view, read_views, render_views, write_views

RIG = RigSettings(n_azimuths=5, elevations=(-20.0, 30.0), size=48)


def make_egg() -> tuple[np.ndarray, np.ndarray]:
    sphere = trimesh.creation.icosphere(subdivisions=2)
    V = np.array(sphere.vertices) * [0.4, 1.0, 0.7] + [0.1, 1.0, 0.0]
    return V, np.array(sphere.faces)


@pytest.fixture(scope="module")
def views() -> Views:
    return render_views(*make_egg(), ViewSettings(RIG))


def test_every_view_of_the_rig_is_rendered_from_where_its_angles_say(views: Views) -> None:
    assert len(views.cameras) == len(views.fragments) == len(views.images) == len(views.angles) == 10
    assert views.images.shape[1:] == (48, 48, 3)
    middle = np.array([0.1, 1.0, 0.0])
    for camera, (azimuth, elevation) in zip(views.cameras, np.radians(views.angles), strict=True):
        towards = -camera.R.T @ camera.t - middle
        expected = view_direction(float(azimuth), float(elevation))
        assert_allclose(towards / np.linalg.norm(towards), expected, atol=1e-9)


def test_the_subject_fits_with_its_margin(views: Views) -> None:
    for fragment in views.fragments:
        ys, xs = np.nonzero(fragment.face >= 0)
        room = min(xs.min(), ys.min(), 47 - xs.max(), 47 - ys.max())
        assert 4 <= room <= 6  # a tenth of 48 pixels


@pytest.mark.parametrize("style", ["normals", "shaded", "depth"])
def test_pictures_show_the_silhouette_in_any_style(views: Views, style: str) -> None:
    V, F = make_egg()
    picture = draw_view(views.fragments[0], V, F, views.cameras[0], style)
    inside = views.fragments[0].face >= 0
    assert picture.dtype == np.uint8
    background = picture[~inside]
    assert (background == background[0]).all()
    assert (picture[inside] != background[0]).any(axis=1).mean() > 0.95


def test_progress_counts_the_views() -> None:
    seen: list[tuple[int, int]] = []
    rig = RigSettings(n_azimuths=3, elevations=(0.0,), size=16)
    render_views(*make_egg(), ViewSettings(rig), lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_views_come_back(views: Views, tmp_path: Path) -> None:
    write_views(tmp_path / "new" / "folder", views)
    back = read_views(tmp_path / "new" / "folder")
    assert_array_equal(back.images, views.images)
    assert_array_equal(back.angles, views.angles)
    for there, here in zip(back.cameras, views.cameras, strict=True):
        for name in ("K", "R", "t"):
            assert_array_equal(getattr(there, name), getattr(here, name))
        assert (there.width, there.height, there.distortion) == (here.width, here.height, here.distortion)
    for there, here in zip(back.fragments, views.fragments, strict=True):
        assert_array_equal(there.face, here.face)
        assert_array_equal(there.depth, here.depth)
        assert_allclose(there.bary, here.bary, atol=2e-3)
        assert there.bary.dtype == np.float32


def test_rendering_twice_gives_the_same_pixels(views: Views) -> None:
    again = render_views(*make_egg(), ViewSettings(RIG))
    assert again.images.tobytes() == views.images.tobytes()


@pytest.mark.parametrize("damage", ["no folder", "no cameras", "cut", "garbage", "other arrays"])
def test_a_folder_without_whole_views_is_an_artifact_error(views: Views, damage: str, tmp_path: Path) -> None:
    folder = tmp_path / "views"
    if damage != "no folder":
        write_views(folder, views)
    if damage == "no cameras":
        (folder / "cameras.json").unlink()
    elif damage == "cut":
        stored = (folder / "views.npz").read_bytes()
        (folder / "views.npz").write_bytes(stored[: len(stored) // 2])
    elif damage == "garbage":
        (folder / "views.npz").write_bytes(b"nothing like an archive")
    elif damage == "other arrays":
        np.savez(folder / "views.npz", face=np.zeros(3))
    with pytest.raises(ArtifactError, match="render"):
        read_views(folder)
