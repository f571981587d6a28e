from dataclasses import replace

import pytest
import torch
from torch import Tensor

from densecorr.errors import SettingsError
from densecorr.models import CseModel, CseModelSettings, UNetBackbone

TINY = CseModelSettings(
    embedding=5, n_eigenfunctions=6, crop_size=32, backbone=UNetBackbone(widths=(4, 6, 8))
)


def make_basis(n_vertices: int = 20, n_functions: int = 9) -> Tensor:
    return torch.randn(n_vertices, n_functions, generator=torch.Generator().manual_seed(0))


def make_model(settings: CseModelSettings = TINY, basis: Tensor | None = None, seed: int = 0) -> CseModel:
    torch.manual_seed(seed)
    return CseModel(settings, make_basis() if basis is None else basis).eval()


def crops(n: int = 2, height: int = 32, width: int = 32) -> Tensor:
    return torch.rand(n, 3, height, width, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("side", [(32, 32), (16, 48), (8, 8)])
def test_pixels_and_foreground_are_on_the_grid_of_the_backbone(side: tuple[int, int]) -> None:
    model = make_model()
    with torch.no_grad():
        pixel, logit = model(crops(2, *side))
    stride = model.backbone.stride
    assert pixel.shape == (2, 5, side[0] // stride, side[1] // stride)
    assert logit.shape == (2, side[0] // stride, side[1] // stride)
    assert model.vertex_embedding().shape == (20, 5)


@pytest.mark.parametrize("widths", [(4,), (4, 8), (8, 4, 4, 4)])
def test_any_number_of_levels_gives_half_the_resolution(widths: tuple[int, ...]) -> None:
    net = UNetBackbone(widths=widths).build().eval()
    side = 2 * net.multiple
    assert net(torch.zeros(1, 4, side, side)).shape == (1, widths[0], side // 2, side // 2)


def test_a_crop_the_levels_do_not_divide_is_an_error_before_training() -> None:
    with pytest.raises(SettingsError, match="multiple of 8"):
        make_model(replace(TINY, crop_size=36))


def test_the_hint_matters_and_no_hint_is_a_hint_of_zeros() -> None:
    model = make_model()
    images, hint = crops(), torch.ones(2, 32, 32)
    with torch.no_grad():
        unknown, inside, outside = model(images)[0], model(images, hint)[0], model(images, -hint)[0]
        assert torch.equal(unknown, model(images, 0 * hint)[0])
    assert not torch.allclose(unknown, inside, atol=1e-3)
    assert not torch.allclose(inside, outside, atol=1e-3)


def test_an_image_s_output_does_not_depend_on_its_batch_mates() -> None:
    model, images = make_model(), crops(3)
    with torch.no_grad():
        together = model(images)[0]
        alone = torch.cat([model(images[i : i + 1])[0] for i in range(3)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("seed", range(4))
def test_c_starts_away_from_zero_so_that_both_sides_learn(seed: int) -> None:
    model = make_model(seed=seed).train()
    assert (model.C.abs() > 0).all()
    assert 0.3 < float(model.vertex_embedding().detach().std()) < 3
    pixel, _ = model(crops())
    (pixel.flatten(2).mean(dim=2) @ model.vertex_embedding().T).log_softmax(dim=1)[:, 0].sum().backward()
    for parameter in (model.C, model.head.weight):
        assert parameter.grad is not None
        assert float(parameter.grad.abs().max()) > 0


@pytest.mark.parametrize("scale", [0.01, 1.0, 300.0])
def test_embeddings_do_not_depend_on_the_scale_of_the_surface(scale: float) -> None:
    """Eigenfunctions of unit mass norm are larger on a smaller surface."""
    torch.testing.assert_close(
        make_model(basis=scale * make_basis()).vertex_embedding(), make_model().vertex_embedding()
    )


def test_vertex_embeddings_are_linear_in_the_basis() -> None:
    model = make_model()
    torch.testing.assert_close(model.vertex_embedding(), model.basis @ model.C)
    rows = model.basis[[3, 3, 7]]
    torch.testing.assert_close(model.vertex_embedding(rows), model.vertex_embedding()[[3, 3, 7]])


def test_a_basis_with_fewer_functions_than_asked_for_is_used_whole() -> None:
    model = make_model(replace(TINY, n_eigenfunctions=64))
    assert model.basis.shape == (20, 9)
    assert model.C.shape == (9, 5)


def test_unit_vectors_on_both_sides_or_on_none() -> None:
    both, none = make_model(replace(TINY, unit="both")), make_model()
    with torch.no_grad():
        torch.testing.assert_close(both(crops())[0].norm(dim=1), torch.ones(2, 16, 16))
        torch.testing.assert_close(both.vertex_embedding().norm(dim=1), torch.ones(20))
        assert float(none(crops())[0].norm(dim=1).std()) > 1e-3
        assert float(none.vertex_embedding().norm(dim=1).std()) > 1e-3


def test_the_seed_decides_the_weights() -> None:
    first, again, other = make_model(seed=1), make_model(seed=1), make_model(seed=2)
    for a, b in zip(first.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(first.C, other.C)
