import numpy as np
import pytest

from densecorr.pseudolabels.orientation import MIRRORED, orientation_agreement, probably_mirrored
from densecorr.rendering.shading import vertex_normals


def labels(subject, azimuth: float, spacing: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """True labels of a photograph on a grid of pixels."""
    photo = subject.photograph(azimuth)
    ys, xs = np.nonzero(photo.vertex >= 0)
    use = (xs % spacing == 0) & (ys % spacing == 0)
    return np.stack([xs, ys], axis=1)[use].astype(float), photo.vertex[ys[use], xs[use]].astype(np.int64)


def agreement(subject, xy: np.ndarray, vertex: np.ndarray) -> float | None:
    return orientation_agreement(
        xy, vertex, subject.V, vertex_normals(subject.V, subject.F), subject.diameter
    )


def mirror_of(subject) -> np.ndarray:
    from scipy.spatial import KDTree

    return KDTree(subject.V).query(subject.V * [-1, 1, 1])[1]


@pytest.mark.parametrize("azimuth", [0.0, 40.0, 90.0, -70.0, 180.0])
def test_true_labels_agree_and_their_mirror_images_do_not(subject, azimuth: float) -> None:
    xy, vertex = labels(subject, azimuth)
    right, wrong = agreement(subject, xy, vertex), agreement(subject, xy, mirror_of(subject)[vertex])
    assert right > 0.85
    assert wrong < -0.8 < MIRRORED


def test_flipping_the_image_is_the_same_as_mirroring_the_labels(subject) -> None:
    xy, vertex = labels(subject, 40.0)
    flipped = xy * [-1, 1]
    assert agreement(subject, flipped, vertex) == pytest.approx(-agreement(subject, xy, vertex), abs=0.05)


def test_labels_at_random_agree_with_nothing(subject) -> None:
    xy, vertex = labels(subject, 40.0)
    shuffled = np.random.default_rng(0).permutation(vertex)
    found = agreement(subject, xy, shuffled)
    assert found is None or abs(found) < 0.3


@pytest.mark.parametrize(
    "vertex", [np.array([5, 6, 7]), np.full(40, -1), np.full(40, 5)], ids=["few", "unknown", "one vertex"]
)
def test_too_little_to_judge_by_is_no_judgement(subject, vertex: np.ndarray) -> None:
    xy = np.random.default_rng(0).uniform(0, 50, (len(vertex), 2))
    assert agreement(subject, xy, vertex) is None


def test_points_on_a_line_are_no_judgement(subject) -> None:
    x = np.arange(30.0)
    assert agreement(subject, np.stack([x, 2 * x], axis=1), np.arange(30)) is None


def test_sets_that_turn_or_fit_two_sides_are_flagged() -> None:
    agreement = [0.9, -0.6, 0.8, None, 0.7]
    lead = [0.02, 0.02, 0.001, 0.03, None]
    assert probably_mirrored(agreement, lead).tolist() == [False, True, True, False, False]
    assert not probably_mirrored([None, None], [None, None]).any()
    assert len(probably_mirrored([], [])) == 0
