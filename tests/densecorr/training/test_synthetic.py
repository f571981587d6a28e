from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from densecorr.images import box_of_silhouette
from densecorr.training import synthetic
from densecorr.training.examples import LabelledInstance, write_examples
from densecorr.training.synthetic import SyntheticSettings, hide_part, random_colors, synthetic_instances

SMALL = SyntheticSettings(images=6, size=48, points=80)


def renders(
    globe, settings: SyntheticSettings = SMALL, to_level: np.ndarray | None = None
) -> list[LabelledInstance]:
    V, F = globe
    return list(synthetic_instances(V, F, np.arange(len(V)) if to_level is None else to_level, settings))


def fit(globe, instance: LabelledInstance) -> tuple[np.ndarray, float]:
    """The affine map from vertices to pixels that fits the labels best, and its largest error in pixels."""
    X = np.concatenate([globe[0][instance.vertex], np.ones((len(instance.vertex), 1))], axis=1)
    A = np.linalg.lstsq(X, instance.xy, rcond=None)[0]
    return A, float(np.abs(X @ A - instance.xy).max())


def test_labels_are_where_a_camera_would_see_the_vertices(globe) -> None:
    for instance in renders(globe):
        assert instance.image.shape == (48, 48, 3)
        x, y = instance.xy.astype(int).T
        assert instance.silhouette is not None
        assert instance.silhouette[y, x].all()
        assert instance.xywh == box_of_silhouette(instance.silhouette)
        assert len(instance.vertex) <= 80
        assert (instance.weight == 1).all()
        # 42 vertices 0.55 radii apart: half of that, and the camera's perspective
        assert fit(globe, instance)[1] < 0.5 * max(instance.xywh[2:]) / 2


@pytest.mark.parametrize(
    ("azimuth", "right", "towards"),
    [(0.0, [1, 0, 0], [0, 0, 1]), (90.0, [0, 0, -1], [1, 0, 0]), (180.0, [-1, 0, 0], [0, 0, -1])],
)
def test_a_view_shows_the_side_its_azimuth_names(globe, azimuth: float, right: list, towards: list) -> None:
    settings = replace(SMALL, azimuths=((azimuth, azimuth),), elevation=(0.0, 0.0))
    for instance in renders(globe, settings):
        seen = globe[0][instance.vertex]
        assert (seen @ towards > -0.3).all()  # nothing of the far side
        assert np.corrcoef(seen @ right, instance.xy[:, 0])[0, 1] > 0.9
        assert np.corrcoef(seen[:, 1], -instance.xy[:, 1])[0, 1] > 0.9  # y up, pixels down


def test_azimuths_come_from_all_the_intervals_and_from_nowhere_else(globe) -> None:
    settings = replace(SMALL, images=20, azimuths=((-5.0, 5.0), (175.0, 185.0)), elevation=(0.0, 0.0))
    mean_z = np.array([globe[0][instance.vertex][:, 2].mean() for instance in renders(globe, settings)])
    assert (np.abs(mean_z) > 0.4).all()
    assert 4 <= (mean_z > 0).sum() <= 16


def test_image_k_depends_on_the_seed_and_k_alone(globe) -> None:
    few, many = renders(globe), renders(globe, replace(SMALL, images=9))
    other = renders(globe, replace(SMALL, seed=1))
    for a, b in zip(few, many, strict=False):
        assert a.image.tobytes() == b.image.tobytes()
        assert a.xy.tobytes() == b.xy.tobytes()
        assert_array_equal(a.vertex, b.vertex)
    assert len({instance.image.tobytes() for instance in [*many, *other]}) == 15


def test_labels_are_indices_of_the_training_level(globe) -> None:
    to_level = np.arange(42) // 3
    for full, coarse in zip(renders(globe), renders(globe, to_level=to_level), strict=True):
        assert_array_equal(coarse.vertex, to_level[full.vertex])


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


def test_renders_leave_the_hidden_part_out_of_silhouette_and_labels(
    globe, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hide_left_half(image: np.ndarray, silhouette: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        hidden = np.zeros_like(silhouette)
        hidden[:, :24] = True
        return hidden

    monkeypatch.setattr(synthetic, "hide_part", hide_left_half)
    for instance in renders(globe):
        assert instance.silhouette is not None
        assert not instance.silhouette[:, :24].any()
        assert (instance.xy[:, 0] >= 24).all()
        assert instance.xywh[0] >= 24


def test_colours_are_in_range_and_differ_from_draw_to_draw(globe) -> None:
    draws = [random_colors(globe[0], np.random.default_rng(seed)) for seed in range(20)]
    assert all((colors >= 0).all() and (colors <= 1).all() for colors in draws)
    assert np.std([colors.mean(axis=0) for colors in draws], axis=0).min() > 0.1


def test_renders_make_examples(globe, tmp_path: Path) -> None:
    V, F = globe
    stream = synthetic_instances(V, F, np.arange(42), SMALL)
    examples = write_examples(tmp_path, stream, SMALL.images, 16, 0.1, n_points=50, seed=0)
    assert len(examples) == 6
    assert examples.known.all()
    assert (examples.vertex >= 0).mean() > 0.9
