"""The OpenGL back end must see what embree sees."""

import numpy as np
import pytest
import trimesh
from numpy.testing import assert_allclose

from densecorr.errors import DependencyError, MeshError
from densecorr.records import Camera
from densecorr.rendering import pyrender_backend
from densecorr.rendering.cameras import look_at, view_direction
from densecorr.rendering.pyrender_backend import import_pyrender
from densecorr.rendering.rasterize import Fragments, make_scene, rasterize


def make_torus() -> tuple[np.ndarray, np.ndarray]:
    torus = trimesh.creation.torus(0.8, 0.35, major_sections=90, minor_sections=45)
    return np.asarray(torus.vertices, dtype=np.float64), np.asarray(torus.faces, dtype=np.int64)


def make_camera(azimuth: float = 0.7, width: int = 181, height: int = 150) -> Camera:
    return look_at(4.0 * view_direction(azimuth, 0.45), np.array([0.1, 0.0, 0.05]), 230.0, width, height)


@pytest.fixture(scope="module")
def opengl() -> None:
    try:
        import_pyrender().OffscreenRenderer(8, 8).delete()
    except Exception as error:
        pytest.skip(f"no EGL here: {error}")


def compare(mine: Fragments, reference: Fragments) -> None:
    either = (mine.face >= 0) | (reference.face >= 0)
    same = either & (mine.face == reference.face)
    assert same.sum() > 0.995 * either.sum()
    assert np.abs(mine.depth[same] - reference.depth[same]).max() < 1e-4
    off = np.abs(mine.bary[same] - reference.bary[same]).max(axis=1)
    assert np.quantile(off, 0.99) < 1e-4
    assert off.max() < 5e-3  # grazing triangles, where embree's single precision shows
    other = either & ~same & (mine.face >= 0) & (reference.face >= 0)
    beside = np.minimum(mine.bary[other].min(axis=1), reference.bary[other].min(axis=1))
    assert beside.size == 0 or beside.max() < 0.02  # they differ on an edge, where either face is right


@pytest.mark.egl
@pytest.mark.usefixtures("opengl")
class TestAgainstEmbree:
    def test_faces_depth_and_barycentrics_agree(self) -> None:
        V, F = make_torus()
        ours, reference = make_scene(V, F, "pyrender"), make_scene(V, F)
        for azimuth in (0.7, 2.1, -1.3):
            camera = make_camera(azimuth)
            compare(ours.fragments(camera), reference.fragments(camera))

    def test_the_image_s_size_may_change_between_views(self) -> None:
        V, F = make_torus()
        scene = make_scene(V, F, "pyrender")
        for width, height in ((64, 48), (181, 150), (33, 90)):
            camera = make_camera(width=width, height=height)
            fragments = scene.fragments(camera)
            assert fragments.face.shape == (height, width)
            reference = rasterize(V, F, camera)
            assert ((fragments.face >= 0) == (reference.face >= 0)).mean() > 0.995

    def test_an_open_surface_is_seen_from_both_sides(self) -> None:
        V, F = make_torus()
        F = F[: len(F) // 2]
        camera = make_camera()
        compare(rasterize(V, F, camera, "pyrender"), rasterize(V, F, camera))

    def test_barycentrics_are_shares(self) -> None:
        fragments = rasterize(*make_torus(), make_camera(), "pyrender")
        hit = fragments.face >= 0
        assert fragments.bary[hit].min() >= 0
        assert_allclose(fragments.bary[hit].sum(axis=1), 1.0, atol=1e-6)
        assert np.isinf(fragments.depth[~hit]).all()


def test_too_many_faces_for_24_bits_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pyrender_backend, "MAX_FACES", 100)
    with pytest.raises(MeshError, match="100"):
        pyrender_backend.PyrenderScene(*make_torus())


def test_a_missing_pyrender_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyrender", None)
    with pytest.raises(DependencyError, match="libegl1"):
        import_pyrender()
