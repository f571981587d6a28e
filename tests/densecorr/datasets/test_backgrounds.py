from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from densecorr.datasets.backgrounds import Backdrop, paint_backdrop
from densecorr.datasets.occluders import add_occluders
from densecorr.datasets.shapes import coverage, ellipse, rectangle
from densecorr.datasets.world_settings import WorldSettings
from densecorr.records import Camera
from densecorr.rendering.cameras import look_at, project_points

LOOK = WorldSettings()
SIDE = 80


def make_camera(height: float = 1.2) -> Camera:
    return look_at(np.array([0.5, height, 4.0]), np.array([0.0, 0.9, 0.0]), 90.0, SIDE, SIDE)


def paint(kind: str, seed: int = 0, camera: Camera | None = None) -> Backdrop:
    weights = {"outdoors": 0.0, "indoors": 0.0, "clutter": 0.0} | {kind: 1.0}
    settings = replace(LOOK.backdrop, **weights)
    return paint_backdrop(
        camera or make_camera(), settings, np.full((5, 3), 0.5), 4.0, np.random.default_rng(seed)
    )


@pytest.mark.parametrize("kind", ["outdoors", "indoors"])
def test_the_ground_is_the_plane_the_subject_stands_on(kind: str) -> None:
    camera = make_camera()
    backdrop = paint(kind)
    assert backdrop.ground[-1].all()
    assert not backdrop.ground[0].any()
    X = backdrop.points[backdrop.ground]
    assert_allclose(X[:, 1], 0.0, atol=1e-5)
    xy, depth = project_points(X, camera)
    y, x = np.nonzero(backdrop.ground)
    assert depth.min() > 0
    assert_allclose(xy, np.stack([x, y], axis=1), atol=0.05)


def test_clutter_and_a_camera_under_ground_have_no_ground() -> None:
    assert not paint("clutter").ground.any()
    assert not paint("outdoors", camera=make_camera(-0.3)).ground.any()


@pytest.mark.parametrize("kind", ["outdoors", "indoors", "clutter"])
def test_backdrops_vary_with_the_seed_and_only_with_it(kind: str) -> None:
    images = [paint(kind, seed).image for seed in range(4)]
    assert_array_equal(paint(kind, 2).image, images[2])
    for image in images:
        assert 0 <= image.min() <= image.max() <= 1
        assert image.std() > 0.02
    assert np.abs(images[0] - images[1]).mean() > 0.02


def test_coverage_is_the_area_of_the_shape_and_half_a_pixel_around_it() -> None:
    middle = np.array([39.5, 39.5])
    around_ellipse = 79.3  # its circumference
    assert coverage([rectangle(middle, 30.0, 20.0, 0.5)], SIDE).sum() == pytest.approx(600 + 50, rel=0.03)
    area = np.pi * 150 + around_ellipse / 2
    assert coverage([ellipse(middle, 30.0, 20.0, 0.5)], SIDE).sum() == pytest.approx(area, rel=0.03)
    assert not coverage([rectangle(middle + 500, 30.0, 20.0, 0.5)], SIDE).any()


def test_occluders_hide_the_share_asked_for_and_change_what_they_hide() -> None:
    y, x = np.mgrid[:SIDE, :SIDE]
    silhouette = (x - 40) ** 2 + (y - 40) ** 2 < 25**2
    image = np.full((SIDE, SIDE, 3), 0.5, dtype=np.float32)
    settings = replace(LOOK.occlusion, probability=1.0, share=(0.1, 0.3))
    n_hidden = 0
    for seed in range(20):
        out, hidden = add_occluders(
            image, silhouette, settings, np.zeros((1, 3)), np.random.default_rng(seed)
        )
        share = (hidden & silhouette).sum() / silhouette.sum()
        assert share == 0 or 0.1 <= share <= 0.3
        n_hidden += share > 0
        assert (image == 0.5).all()  # the input is left alone
        changed = (out != image).any(axis=-1)
        assert changed[hidden].mean() > 0.95 or not hidden.any()
    assert n_hidden >= 15


def test_no_occluder_without_a_silhouette_or_with_probability_zero() -> None:
    image = np.zeros((SIDE, SIDE, 3), dtype=np.float32)
    none = np.zeros((SIDE, SIDE), dtype=bool)
    for silhouette, probability in ((none, 1.0), (~none, 0.0)):
        settings = replace(LOOK.occlusion, probability=probability)
        out, hidden = add_occluders(image, silhouette, settings, np.zeros((0, 3)), np.random.default_rng(0))
        assert not hidden.any()
        assert_array_equal(out, image)
