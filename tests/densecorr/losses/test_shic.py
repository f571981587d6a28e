from dataclasses import fields, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from densecorr.losses import Geometry, Scored, ShicLoss
from densecorr.losses.shic import is_finite

LINE = (torch.arange(6.0)[:, None] - torch.arange(6.0)[None]).abs()
MIRROR = torch.arange(5, -1, -1)
ALL = ShicLoss(equivariance=0.3)


def geometry(loss: ShicLoss = ALL) -> Geometry:
    return loss.geometry(LINE, 5.0, MIRROR)


def scored(logits: Tensor | None = None, vertex: Any = None, **changed: Any) -> Scored:
    generator = torch.Generator().manual_seed(0)
    random = torch.randn(2, 5, 6, generator=generator)
    if logits is None:
        logits = random
    if vertex is None:
        vertex = [[0, 1, -1, 3, 5], [2, -1, 4, 4, 0]]
    values = {
        "log_p": logits.log_softmax(dim=-1),
        "vertex": torch.tensor(vertex),
        "weight": torch.ones(2, 5),
        "xy": 8 * torch.rand(2, 5, 2, generator=generator),
        "logit": torch.randn(2, 8, 8, generator=generator),
        "share": torch.rand(2, 8, 8, generator=generator),
        "known": torch.tensor([True, False]),
        "log_p_flipped": torch.randn(2, 5, 6, generator=generator).log_softmax(dim=-1),
    }
    return Scored(**(values | changed))


def weights_of(loss: ShicLoss) -> dict[str, float]:
    return {f.name: getattr(loss, f.name) for f in fields(loss) if f.type is float and f.name != "softness"}


def test_every_term_has_its_name_and_a_weight_of_zero_leaves_it_out() -> None:
    names = set(ALL(scored(), scored(), geometry()))
    assert names == set(weights_of(ALL)) == {
        "pseudo", "cycle", "distance", "equivariance", "synthetic", "foreground",
    }  # fmt: skip
    for name in names:
        assert set(replace(ALL, **{name: 0.0})(scored(), scored(), geometry())) == names - {name}
    assert "synthetic" not in ALL(scored(), None, geometry())
    assert "equivariance" not in ALL(scored(log_p_flipped=None), None, geometry())


def test_weights_scale_their_own_term_and_no_other() -> None:
    base = ALL(scored(), scored(), geometry())
    for name, weight in weights_of(ALL).items():
        changed = replace(ALL, **{name: 3 * weight})(scored(), scored(), geometry())
        for other in base:
            torch.testing.assert_close(changed[other], base[other] * (3 if other == name else 1))


def test_the_exact_answer_has_the_least_loss() -> None:
    vertex = torch.tensor([[0, 1, 2, 3, 5], [2, 1, 4, 5, 0]])
    loss = ShicLoss(foreground=0.0, softness=0.0)
    exact = loss(scored(40 * torch.eye(6)[vertex], vertex.tolist()), None, geometry(loss))
    assert float(sum(exact.values())) == pytest.approx(0.0, abs=1e-5)
    for seed in range(10):
        noise = 8 * torch.randn(2, 5, 6, generator=torch.Generator().manual_seed(seed))
        other = loss(scored(10 * torch.eye(6)[vertex] + noise, vertex.tolist()), None, geometry(loss))
        assert all(other[name] > exact[name] for name in exact)


def test_distance_is_on_the_scale_where_the_diameter_is_228() -> None:
    loss = ShicLoss(distance=1.0)
    far = scored(50 * torch.eye(6)[torch.full((2, 5), 5)], [[0] * 5] * 2)
    assert float(loss(far, None, geometry(loss))["distance"]) == pytest.approx(228.0)
    in_millimetres = loss.geometry(1000 * LINE, 5000.0, MIRROR)
    assert float(loss(far, None, in_millimetres)["distance"]) == pytest.approx(228.0)


def test_points_without_a_label_or_weight_do_not_count() -> None:
    logits = torch.randn(2, 5, 6, generator=torch.Generator().manual_seed(1))
    elsewhere = logits.clone()
    elsewhere[0, 2] = elsewhere[1, 1] = torch.tensor([9.0, 0, 0, 0, 0, -9.0])
    weight = torch.ones(2, 5)
    weight[1, 4] = 0.0
    elsewhere[1, 4] = torch.tensor([-9.0, 0, 0, 9.0, 0, 0])
    first = ALL(scored(logits, weight=weight), scored(logits, weight=weight), geometry())
    second = ALL(scored(elsewhere, weight=weight), scored(elsewhere, weight=weight), geometry())
    for name in first:
        torch.testing.assert_close(first[name], second[name], msg=name)


def test_a_batch_without_any_label_costs_nothing_but_its_foreground() -> None:
    nothing = scored(vertex=[[-1] * 5] * 2)
    terms = ALL(nothing, nothing, geometry())
    assert terms.pop("foreground") > 0
    assert all(float(term) == 0.0 for term in terms.values())


def test_only_the_first_points_of_an_image_enter_the_cycle() -> None:
    loss = replace(ALL, cycle_points=3)
    base = loss(scored(), None, geometry())
    logits = torch.randn(2, 5, 6, generator=torch.Generator().manual_seed(0))
    logits[:, 3:] = 0.0
    changed = loss(scored(logits), None, geometry())
    torch.testing.assert_close(changed["cycle"], base["cycle"])
    assert not torch.equal(changed["pseudo"], base["pseudo"])


@pytest.mark.parametrize("scale", [0.0, 1.0, 1e3])
def test_gradients_are_finite_however_sure_the_model_is(scale: float) -> None:
    leaves = [
        (scale * torch.randn(2, 5, 6, generator=torch.Generator().manual_seed(s))).requires_grad_()
        for s in range(3)
    ]
    foreground = (scale * torch.randn(2, 8, 8)).requires_grad_()
    real = scored(leaves[0], log_p_flipped=leaves[1].log_softmax(dim=-1), logit=foreground)
    for loss in (ALL, replace(ShicLoss.paper(), softness=1e-4)):
        terms = loss(real, scored(leaves[2]), geometry(loss))
        assert is_finite(terms)
        torch.stack(list(terms.values())).sum().backward(retain_graph=True)
        for leaf in (*leaves, foreground):
            assert leaf.grad is not None
            assert torch.isfinite(leaf.grad).all()


def test_the_paper_s_weights_are_the_paper_s() -> None:
    assert weights_of(ShicLoss.paper()) | {"foreground": None} == {
        "pseudo": 0.1, "cycle": 0.002, "distance": 0.002, "equivariance": 0.001, "synthetic": 0.1, "foreground": None,
    }  # fmt: skip
    assert ShicLoss.paper().softness == 0.0


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_one_bad_term_is_noticed(bad: float) -> None:
    assert is_finite({"a": torch.tensor(1.0)})
    assert not is_finite({"a": torch.tensor(1.0), "b": torch.tensor(bad)})


def test_parts_of_a_batch_average_to_the_whole() -> None:
    """Two processes share a batch unevenly: the mean of their losses and gradients is the whole batch's."""
    logits = torch.randn(2, 5, 6, generator=torch.Generator().manual_seed(3))

    def run(part: slice, average: Any = None) -> tuple[dict[str, Tensor], Tensor]:
        leaf = logits.clone().requires_grad_()
        whole = scored(leaf, known=torch.tensor([True, True]))
        values = {f.name: getattr(whole, f.name)[part] for f in fields(Scored)}
        terms = ALL(Scored(**values), Scored(**values), geometry(), *([average] if average else []))
        torch.stack(list(terms.values())).sum().backward()
        assert leaf.grad is not None
        return {name: term.detach() for name, term in terms.items()}, leaf.grad

    sums: list[list[Tensor]] = [[], []]
    parts = slice(0, 1), slice(1, 2)
    for kept, part in zip(sums, parts, strict=True):
        run(part, lambda value, kept=kept: (kept.append(value), value)[1])

    def averaging() -> Any:
        pairs = iter(list(zip(*sums, strict=True)))
        return lambda value: torch.stack(next(pairs)).mean()

    expected, gradient = run(slice(0, 2))
    shared = [run(part, averaging()) for part in parts]
    for name, value in expected.items():
        torch.testing.assert_close((shared[0][0][name] + shared[1][0][name]) / 2, value)
    torch.testing.assert_close((shared[0][1] + shared[1][1]) / 2, gradient)
