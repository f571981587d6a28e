import numpy as np
import pytest

from densecorr.errors import SettingsError
from densecorr.rendering.cameras import project_points
from densecorr.synthesis import Subject, Viewpoints
from densecorr.synthesis.viewpoints import (
    check_viewpoints,
    image_rng,
    image_seed,
    sample_view,
    view_word,
    write_prompt,
)


@pytest.mark.parametrize(
    ("azimuth", "word"),
    [
        (0, "front"), (-20, "front"), (45, "three-quarter"), (-45, "three-quarter"), (90, "left side"),
        (-90, "right side"), (270, "right side"), (110, "left side"), (180, "back"), (-180, "back"), (360, "front"),
    ],
)  # fmt: skip
def test_a_view_is_called_by_the_side_of_the_subject_it_shows(azimuth: float, word: str) -> None:
    assert view_word(float(azimuth)) == word


def test_no_default_view_is_from_the_back(lopsided: Subject) -> None:
    views = [sample_view(lopsided.V, Viewpoints(), 64, image_rng(0, index)) for index in range(200)]
    words = {view_word(view.azimuth) for view in views}
    assert words == {"front", "three-quarter", "left side", "right side"}


def test_all_of_the_template_is_in_every_view(lopsided: Subject) -> None:
    settings = Viewpoints(margin=(0.1, 0.2))
    for index in range(50):
        view = sample_view(lopsided.V, settings, 100, image_rng(1, index))
        xy, depth = project_points(lopsided.V, view.camera)
        assert (depth > 0).all()
        assert xy.min() > -0.5 + 9.5  # the margin, up to half a pixel
        assert xy.max() < 99.5 - 9.5
        assert max(np.ptp(xy, axis=0)) > 50  # and large enough to see something


def test_the_camera_stands_where_the_angles_say(globe: Subject) -> None:
    view = sample_view(globe.V, Viewpoints(((90.0, 90.0),), (0.0, 0.0)), 64, image_rng(0, 0))
    eye = -view.camera.R.T @ view.camera.t
    assert np.allclose(eye / np.linalg.norm(eye), [1, 0, 0], atol=1e-9)  # the subject's left
    assert np.allclose(view.direction, [1, 0, 0])


def test_seeds_differ_from_image_to_image_and_run_to_run() -> None:
    assert len({image_seed(seed, index) for seed in range(20) for index in range(50)}) == 1000
    assert image_seed(3, 5) == image_seed(3, 5)


def test_a_prompt_names_category_and_view() -> None:
    assert write_prompt("a {category}, {view}", "cow", 90.0) == "a cow, left side"
    assert write_prompt("{category}", "cow", 0.0) == "cow"
    for bad in ("a {categry}", "a {", "a {}", "a {category.colour}"):
        with pytest.raises(SettingsError, match="prompt"):
            write_prompt(bad, "cow", 0.0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("azimuths", ()), ("azimuths", ((10.0, -10.0),)), ("azimuths", ((0.0, 400.0),)), ("elevation", (80.0, 95.0)),
        ("margin", (0.1, 0.5)), ("focal", (0.0, 1.0)),
    ],
)  # fmt: skip
def test_impossible_viewpoints_are_named(name: str, value: tuple) -> None:
    with pytest.raises(SettingsError, match=name):
        check_viewpoints(Viewpoints(**{name: value}))
