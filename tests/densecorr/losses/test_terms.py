import math

import pytest
import torch
from torch import Tensor

from densecorr.losses import terms

LINE = (torch.arange(6.0)[:, None] - torch.arange(6.0)[None]).abs()  # six vertices a metre apart


def log_p(*shape: int, seed: int = 0, scale: float = 1.0) -> Tensor:
    return (scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))).log_softmax(dim=-1)


def certain(vertices: list[int], n_vertices: int = 6, by: float = 50.0) -> Tensor:
    """All but e^-50 of the probability on these vertices, one a point."""
    return (by * torch.eye(n_vertices)[vertices]).log_softmax(dim=-1)


def close(value: Tensor, expected: float) -> bool:
    return float(value) == pytest.approx(expected, abs=1e-5)


# ---- targets and cross-entropy


def test_soft_targets_are_distributions_highest_at_the_label() -> None:
    target = terms.soft_targets(LINE, 5.0, 0.1)
    torch.testing.assert_close(target.sum(dim=1), torch.ones(6))
    assert torch.equal(target.argmax(dim=1), torch.arange(6))
    assert (target[0, :-1] > target[0, 1:]).all()
    ratio = target[2, 3] / target[2, 2]
    assert float(ratio) == pytest.approx(math.exp(-1.0 / (0.1 * 5.0)))


def test_soft_targets_tend_to_the_label_alone_and_to_no_label_at_all() -> None:
    hard = terms.soft_targets(LINE, 5.0, 0.0)
    assert torch.equal(hard, torch.eye(6))
    gaps = [float((terms.soft_targets(LINE, 5.0, s) - hard).abs().max()) for s in (0.3, 0.1, 0.03, 0.001)]
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[-1] < 1e-6
    torch.testing.assert_close(terms.soft_targets(LINE, 5.0, 1e6), torch.full((6, 6), 1 / 6))


def test_targets_do_not_change_with_the_unit_of_length() -> None:
    torch.testing.assert_close(
        terms.soft_targets(LINE, 5.0, 0.05), terms.soft_targets(1000 * LINE, 5000.0, 0.05)
    )


@pytest.mark.parametrize("softness", [0.0, 0.05, 0.3])
def test_cross_entropy_is_least_at_the_target_itself(softness: float) -> None:
    target, ones = terms.soft_targets(LINE, 5.0, softness), torch.ones(6)
    at_target = terms.cross_entropy(target.clamp(min=1e-12).log(), target, ones)
    entropy = -(target * target.clamp(min=1e-12).log()).sum(dim=1).mean()
    torch.testing.assert_close(at_target, entropy)
    for seed in range(20):
        other = ((target + 1e-3).log() + 0.3 * log_p(6, 6, seed=seed)).log_softmax(dim=1)
        assert terms.cross_entropy(other, target, ones) > at_target


def test_hard_cross_entropy_is_shic_s_pseudo_loss() -> None:
    p, labels = log_p(4, 6), torch.tensor([0, 5, 2, 2])
    loss = terms.cross_entropy(p, torch.eye(6)[labels], torch.ones(4))
    torch.testing.assert_close(loss, torch.nn.functional.nll_loss(p, labels))


# ---- expected distance


def test_expected_distance_is_the_distance_of_a_certain_answer() -> None:
    labels = torch.tensor([0, 3, 5])
    for answer, expected in [([0, 3, 5], 0.0), ([1, 3, 5], 1 / 3), ([5, 0, 0], 13 / 3)]:
        assert close(terms.expected_distance(certain(answer), LINE[labels], torch.ones(3)), expected)


def test_moving_probability_away_from_the_label_costs_more() -> None:
    p = torch.tensor([[0.5, 0.2, 0.1, 0.1, 0.05, 0.05]])
    away = p.clone()
    away[0, 1] -= 0.1
    away[0, 5] += 0.1
    losses = [terms.expected_distance(q.log(), LINE[[0]], torch.ones(1)) for q in (p, away)]
    assert float(losses[1] - losses[0]) == pytest.approx(0.1 * 4, abs=1e-6)  # a tenth, four metres farther


def test_a_step_down_the_gradient_of_distance_brings_probability_nearer() -> None:
    logits = torch.zeros(1, 6, requires_grad=True)
    terms.expected_distance(logits.log_softmax(dim=1), LINE[[0]], torch.ones(1)).backward()
    assert logits.grad is not None
    assert (logits.grad[0, 1:] > logits.grad[0, :-1]).all()


# ---- cycle


def grid_points(n: int) -> Tensor:
    return torch.stack([torch.arange(float(n)), torch.zeros(n)], dim=1)[None]


def cycle(p: Tensor, valid: Tensor | None = None) -> Tensor:
    n = p.shape[1]
    return terms.cycle(p, grid_points(n), torch.ones(1, n, dtype=torch.bool) if valid is None else valid)


def test_a_one_to_one_answer_comes_back_to_where_it_started() -> None:
    assert close(cycle(certain([3, 0, 5, 1])[None]), 0.0)


def test_two_points_on_one_vertex_come_back_to_either() -> None:
    # points 0 and 2 share a vertex: half of their probability lands two cells away; point 1 has its own
    assert close(cycle(certain([4, 1, 4])[None]), (1.0 + 0.0 + 1.0) / 3)


def test_an_answer_that_says_nothing_lands_anywhere() -> None:
    moved = torch.cdist(grid_points(5), grid_points(5)).mean()
    torch.testing.assert_close(cycle(torch.full((1, 5, 6), 1 / 6).log()), moved)


def test_points_without_a_label_take_no_part_in_the_cycle() -> None:
    p = log_p(1, 5, 6)
    valid = torch.tensor([[True, True, False, True, False]])
    kept = terms.cycle(p[:, valid[0]], grid_points(5)[:, valid[0]], torch.ones(1, 3, dtype=torch.bool))
    torch.testing.assert_close(cycle(p, valid), kept)
    assert close(cycle(p, torch.zeros(1, 5, dtype=torch.bool)), 0.0)


def test_images_have_cycles_of_their_own() -> None:
    both = torch.cat([certain([0, 1, 2])[None], certain([0, 1, 2])[None]])
    valid = torch.ones(2, 3, dtype=torch.bool)
    assert close(terms.cycle(both, grid_points(3).expand(2, 3, 2), valid), 0.0)


# ---- equivariance

MIRROR = torch.tensor([5, 4, 2, 3, 1, 0])


def test_a_symmetric_prediction_has_no_equivariance_loss() -> None:
    p = log_p(4, 6)
    assert close(terms.equivariance(p, p[:, MIRROR], MIRROR, torch.ones(4)), 0.0)


def test_two_predictions_with_nothing_in_common_differ_by_two() -> None:
    same_side = terms.equivariance(certain([0]), certain([0]), MIRROR, torch.ones(1))
    other_side = terms.equivariance(certain([0]), certain([5]), MIRROR, torch.ones(1))
    assert close(same_side, 2.0)
    assert close(other_side, 0.0)


# ---- foreground and means


def test_foreground_is_least_at_the_share_itself() -> None:
    share = torch.rand(2, 3, 4, generator=torch.Generator().manual_seed(0)) * 0.8 + 0.1
    known = torch.ones(2, dtype=torch.bool)
    least = terms.foreground(share.logit(), share, known)
    for shift in (-0.5, 0.2):
        assert terms.foreground(share.logit() + shift, share, known) > least


def test_images_without_a_silhouette_teach_no_foreground() -> None:
    logit, share = torch.randn(2, 3, 4), torch.rand(2, 3, 4)
    only_first = terms.foreground(logit, share, torch.tensor([True, False]))
    torch.testing.assert_close(only_first, terms.foreground(logit[:1], share[:1], torch.tensor([True])))
    assert float(terms.foreground(logit, share, torch.zeros(2, dtype=torch.bool))) == 0.0


def test_weights_are_relative() -> None:
    values, weight = torch.tensor([1.0, 3.0, 100.0]), torch.tensor([1.0, 3.0, 0.0])
    assert close(terms.weighted_mean(values, weight), 2.5)
    torch.testing.assert_close(terms.weighted_mean(values, 7 * weight), terms.weighted_mean(values, weight))
    assert float(terms.weighted_mean(values, torch.zeros(3))) == 0.0
    assert float(terms.weighted_mean(torch.empty(0), torch.empty(0))) == 0.0
