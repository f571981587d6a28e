from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from densecorr.errors import SettingsError
from densecorr.images import write_png
from densecorr.rendering.cameras import project_points
from densecorr.synthesis import GeneratedImage, ProceduralGenerator, Subject, Viewpoints, procedural
from densecorr.synthesis.generated import sample_points
from densecorr.synthesis.procedural import hide_part, random_colors

SMALL = ProceduralGenerator(size=48)


def images(
    subject: Subject, settings: ProceduralGenerator = SMALL, n: int = 6, seed: int = 0
) -> list[GeneratedImage]:
    return settings.load()(subject, seed, range(n))


def from_angle(azimuth: float) -> ProceduralGenerator:
    return replace(SMALL, viewpoints=Viewpoints(((azimuth, azimuth),), (0.0, 0.0)))


def test_labels_are_where_the_camera_sees_the_vertices(globe: Subject) -> None:
    for made in images(globe):
        assert made.image.shape == (48, 48, 3)
        assert_array_equal(made.vertex >= 0, made.silhouette)
        ys, xs = np.nonzero(made.silhouette)
        seen = project_points(globe.V[made.vertex[ys, xs]], made.view.camera)[0]
        # 42 vertices 0.55 radii apart: at most about half of that off
        assert np.linalg.norm(seen - np.stack([xs, ys], axis=1), axis=1).max() < 0.4 * max(
            np.ptp(xs), np.ptp(ys)
        )
        assert made.verdict.kept
        assert made.background == made.prompt == ""


@pytest.mark.parametrize(
    ("azimuth", "right", "towards"),
    [(0.0, [1, 0, 0], [0, 0, 1]), (90.0, [0, 0, -1], [1, 0, 0]), (180.0, [-1, 0, 0], [0, 0, -1])],
)
def test_a_view_shows_the_side_its_azimuth_names(
    globe: Subject, azimuth: float, right: list, towards: list
) -> None:
    """In front, the subject's left (+x) is at the right of the image."""
    for made in images(globe, from_angle(azimuth)):
        ys, xs = np.nonzero(made.silhouette)
        seen = globe.V[made.vertex[ys, xs]]
        assert (seen @ towards > -0.3).all()  # nothing of the far side
        assert np.corrcoef(seen @ right, xs)[0, 1] > 0.9
        assert np.corrcoef(seen[:, 1], -ys)[0, 1] > 0.9  # y up, pixels down


def test_azimuths_come_from_all_the_intervals_and_from_nowhere_else(globe: Subject) -> None:
    settings = replace(SMALL, viewpoints=Viewpoints(((-5.0, 5.0), (175.0, 185.0)), (0.0, 0.0)))
    azimuths = np.array([made.view.azimuth for made in images(globe, settings, n=20)])
    front = np.abs(azimuths) <= 5
    assert (front | (np.abs(azimuths - 180) <= 5)).all()
    assert 4 <= front.sum() <= 16


def test_image_k_depends_on_the_seed_and_k_alone(globe: Subject) -> None:
    few, many, other = images(globe), images(globe, n=9), images(globe, seed=1)
    (alone,) = SMALL.load()(globe, 0, [4])
    for a, b in zip([*few, alone], [*many[:6], many[4]], strict=True):
        assert a.seed == b.seed
        assert a.image.tobytes() == b.image.tobytes()
        assert_array_equal(a.vertex, b.vertex)
    assert len({made.image.tobytes() for made in [*many, *other]}) == 15
    assert len({made.seed for made in [*many, *other]}) == 15


def test_points_are_visible_pixels_with_their_vertices(globe: Subject) -> None:
    made = images(globe)[2]
    xy, vertex = sample_points(made, 80, seed=0)
    x, y = xy.astype(int).T
    assert len(np.unique(xy, axis=0)) == 80
    assert_array_equal(made.vertex[y, x], vertex)
    assert (vertex >= 0).all()
    assert len(sample_points(made, 10**6, seed=0)[1]) == made.silhouette.sum()
    assert_array_equal(sample_points(made, 80, seed=0)[0], xy)
    assert (sample_points(made, 80, seed=1)[0] != xy).any()


def test_photographs_stand_behind_the_subject(globe: Subject, tmp_path: Path) -> None:
    write_png(tmp_path / "red.png", np.full((64, 64, 3), [250, 5, 5], dtype=np.uint8))
    plain, before = images(globe), SMALL.load(backgrounds=tmp_path)(globe, 0, range(6))
    for a, b in zip(plain, before, strict=True):
        assert b.background == "red.png"
        assert b.image[0, 0, 0] > 200 > 60 > b.image[0, 0, 1]
        assert_array_equal(a.view.camera.R, b.view.camera.R)


def test_a_hidden_part_is_painted_over_and_never_labelled() -> None:
    silhouette = np.zeros((40, 40), dtype=bool)
    silhouette[8:32, 5:35] = True
    sizes = []
    for seed in range(60):
        image = np.full((40, 40, 3), 128, dtype=np.uint8)
        hidden = hide_part(image, silhouette, np.random.default_rng(seed))
        assert (image[~hidden] == 128).all()
        if hidden.any():
            assert len(np.unique(image[hidden], axis=0)) == 1
        sizes.append((hidden & silhouette).sum() / silhouette.sum())
    assert 15 < sum(size > 0 for size in sizes) < 45
    assert max(sizes) <= 0.3


def hide(columns: slice):
    def hide_part(image: np.ndarray, silhouette: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        hidden = np.zeros_like(silhouette)
        hidden[:, columns] = True
        return hidden

    return hide_part


def test_the_hidden_part_is_left_out_of_silhouette_and_labels(
    globe: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(procedural, "hide_part", hide(slice(24)))
    for made in images(globe):
        assert not made.silhouette[:, :24].any()
        assert made.silhouette[:, 24:].any()
        assert (made.vertex[:, :24] == -1).all()


def test_an_image_that_shows_nothing_is_dropped(globe: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(procedural, "hide_part", hide(slice(None)))
    assert {made.verdict.reason for made in images(globe)} == {"nothing visible"}


def test_colours_are_in_range_and_differ_from_draw_to_draw(globe: Subject) -> None:
    draws = [random_colors(globe.V, np.random.default_rng(seed)) for seed in range(20)]
    assert all((colors >= 0).all() and (colors <= 1).all() for colors in draws)
    assert np.std([colors.mean(axis=0) for colors in draws], axis=0).min() > 0.1


def test_settings_that_cannot_be_are_refused() -> None:
    with pytest.raises(SettingsError, match=r"generator\.size"):
        ProceduralGenerator(size=8).load()
    with pytest.raises(SettingsError, match="azimuths"):
        ProceduralGenerator(viewpoints=Viewpoints(azimuths=())).load()
