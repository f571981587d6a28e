from dataclasses import replace

import numpy as np
import pytest
import trimesh
from numpy.testing import assert_allclose

from densecorr.datasets.photograph import Light, ShadowMap, expose, sample_light, shade_subject
from densecorr.datasets.world_settings import WorldSettings
from densecorr.rendering.rasterize import make_scene

LOOK = WorldSettings().photograph
OVERHEAD = Light(np.array([0.0, 1.0, 0.0]), np.ones(3), ambient=0.4, shadow=0.8, softness=0.01)


@pytest.fixture(scope="module")
def shadows() -> ShadowMap:
    ball = trimesh.creation.icosphere(subdivisions=3, radius=0.5)
    V, F = np.asarray(ball.vertices) + np.array([0.0, 1.0, 0.0]), np.asarray(ball.faces, dtype=np.int64)
    return ShadowMap(V, make_scene(V, F), OVERHEAD)


def test_a_ball_shades_the_disc_under_it_and_nothing_else(shadows: ShadowMap) -> None:
    x, z = np.random.default_rng(0).uniform(-1.5, 1.5, (2, 2000))
    shade = shadows.shade(np.stack([x, np.zeros(2000), z], axis=1))
    away = np.hypot(x, z)
    assert (shade[away < 0.45] > 0.999).all()
    assert (shade[away > 0.65] == 0).all()  # the lamp is near enough for a slightly wider disc


def test_the_lit_side_of_the_ball_is_not_shaded_and_the_far_side_is(shadows: ShadowMap) -> None:
    n = np.random.default_rng(1).normal(size=(500, 3))
    n /= np.linalg.norm(n, axis=1, keepdims=True)
    shade = shadows.shade(0.5 * n + [0.0, 1.0, 0.0])
    assert (shade[n[:, 1] > 0.5] == 0).all()
    assert (shade[n[:, 1] < -0.5] > 0.999).all()


def test_shading_is_brightest_towards_the_lamp_and_shadow_takes_light() -> None:
    normals = np.array([[0, 1.0, 0], [1.0, 0, 0], [0, -1.0, 0]])
    albedo, eye = np.full((3, 3), 0.5), np.tile([0, 0, 1.0], (3, 1))
    lit = shade_subject(albedo, normals, eye, np.zeros(3), OVERHEAD, 0.0)
    dark = shade_subject(albedo, normals, eye, np.ones(3), OVERHEAD, 0.0)
    assert lit[0, 0] > lit[1, 0] > lit[2, 0] > 0
    assert dark[0, 0] < lit[0, 0]
    assert_allclose(dark[1:], lit[1:])  # what faces away had no light to lose


def test_lamps_keep_to_their_settings() -> None:
    for seed in range(20):
        light = sample_light(30.0, replace(LOOK, shadows=1.0), np.random.default_rng(seed))
        assert np.linalg.norm(light.direction) == pytest.approx(1)
        low, high = np.sin(np.radians(LOOK.light_elevation))
        assert low <= light.direction[1] <= high


def test_exposure_moves_nothing() -> None:
    image = np.zeros((64, 64, 3), dtype=np.float32)
    image[20:30, 40:50] = 0.8
    for seed in range(5):
        pixels = expose(image, LOOK, np.random.default_rng(seed)).astype(float).sum(axis=-1)
        pixels = np.where(pixels > 0.3 * pixels.max(), pixels, 0)
        y, x = np.indices(pixels.shape)
        assert_allclose(
            [(pixels * x).sum() / pixels.sum(), (pixels * y).sum() / pixels.sum()], [44.5, 24.5], atol=0.15
        )
