import numpy as np
import pytest

from densecorr.errors import SettingsError
from densecorr.images import silhouette_iou
from densecorr.synthesis import Gate, Subject, Viewpoints
from densecorr.synthesis.conditions import Blend, DepthCondition, blend_depths
from densecorr.synthesis.gate import check_gate, judge_image, rank_correlation
from densecorr.synthesis.viewpoints import image_rng, sample_view


@pytest.fixture(scope="module")
def condition(lopsided: Subject) -> DepthCondition:
    view = sample_view(lopsided.V, Viewpoints(((20.0, 20.0),), margin=(0.2, 0.2)), 96, image_rng(0, 0))
    slope = np.linspace(0, 1, 96, dtype=np.float32)[:, None] * np.ones((1, 96), dtype=np.float32)
    return blend_depths(lopsided.scene.fragments(view.camera), slope, Blend())


def test_the_exact_depth_passes_in_any_unit(condition: DepthCondition) -> None:
    for scale, shift in ((1, 0), (40, -7), (0.01, 3)):
        verdict = judge_image(np.float32(scale) * condition.depth + np.float32(shift), condition, Gate())
        assert verdict.kept
        assert verdict.depth_agreement == pytest.approx(1, abs=1e-3)
        assert verdict.silhouette_iou == 1


def test_a_noisy_and_bent_estimate_passes(condition: DepthCondition) -> None:
    noise = np.random.default_rng(0).normal(0, 0.03, condition.depth.shape)
    verdict = judge_image((condition.depth**1.5 + noise).astype(np.float32), condition, Gate())
    assert verdict.kept
    assert 0.8 < verdict.depth_agreement < 1


def test_another_place_or_shape_is_dropped(condition: DepthCondition) -> None:
    shifted = np.roll(condition.depth, 20, axis=1)
    gone = condition.background
    for wrong in (
        shifted,
        condition.depth[:, ::-1],
        1 - condition.depth,
        np.ones_like(condition.depth),
        gone,
    ):
        verdict = judge_image(np.ascontiguousarray(wrong), condition, Gate())
        assert not verdict.kept
        assert verdict.reason in ("depth differs", "outline differs")
        assert verdict.depth_agreement is not None
        assert verdict.silhouette_iou is not None


def test_each_figure_falls_with_the_shift(condition: DepthCondition) -> None:
    verdicts = [judge_image(np.roll(condition.depth, n, axis=1), condition, Gate()) for n in (0, 4, 8, 16)]
    for name in ("depth_agreement", "silhouette_iou"):
        figures = [getattr(verdict, name) for verdict in verdicts]
        assert figures == sorted(figures, reverse=True)
        assert len(set(figures)) == 4


def test_the_right_relief_with_another_outline_is_dropped(condition: DepthCondition) -> None:
    """The whole image as near as the template: a subject that fills it."""
    rows, columns = np.mgrid[:96, :96]
    near = np.where(condition.silhouette, condition.depth, 0.7 + 0.001 * rows + 0.001 * columns)
    verdict = judge_image(near.astype(np.float32), condition, Gate())
    assert (verdict.reason, verdict.depth_agreement) == ("outline differs", pytest.approx(1, abs=1e-3))


def test_figures_by_hand() -> None:
    a = np.array([1.0, 2.0, 3.0, 4.0])
    assert rank_correlation(a, np.exp(a)) == pytest.approx(1)
    assert rank_correlation(a, -a) == pytest.approx(-1)
    assert rank_correlation(a, np.ones(4)) == 0
    mask = np.zeros((4, 4), dtype=bool)
    assert silhouette_iou(mask, mask) == 1
    left, top = mask.copy(), mask.copy()
    left[:, :2], top[:2] = True, True
    assert silhouette_iou(left, top) == pytest.approx(4 / 12)


@pytest.mark.parametrize("gate", [Gate(min_depth_agreement=1.1), Gate(min_silhouette_iou=-0.1)])
def test_thresholds_out_of_range_are_refused(gate: Gate) -> None:
    with pytest.raises(SettingsError, match=r"generator\.gate"):
        check_gate(gate)
