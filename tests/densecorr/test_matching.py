import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from torch import Tensor

from densecorr.errors import TrainingError
from densecorr.matching import _nearest_by_product, nearest_vertices

# ---- nearest vertices


def products(pixels: Tensor, vertices: Tensor) -> np.ndarray:
    return (pixels.double() @ vertices.double().T).numpy()


@pytest.mark.parametrize("pixel_scale", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("vertex_scale", ["unit", "alike", "from tiny to large"])
def test_nearest_vertices_have_the_largest_product(pixel_scale: float, vertex_scale: str) -> None:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randn(500, 16, generator=generator) * pixel_scale
    vertices = torch.randn(700, 16, generator=generator)
    if vertex_scale == "unit":
        vertices = torch.nn.functional.normalize(vertices, dim=1)
    elif vertex_scale == "from tiny to large":
        vertices = vertices * torch.exp(torch.linspace(-6, 3, 700))[:, None]
    exact = products(pixels, vertices)
    found = nearest_vertices(pixels, vertices).numpy()
    two_best = np.sort(exact, axis=1)[:, -2:]
    clear = two_best[:, 1] - two_best[:, 0] > 1e-4 * np.abs(two_best[:, 1])
    assert clear.mean() > 0.95
    assert_array_equal(found[clear], exact.argmax(axis=1)[clear])
    lost = exact.max(axis=1) - exact[np.arange(500), found]
    assert (lost <= 1e-5 * np.abs(exact.max(axis=1))).all()


def test_the_path_by_products_gives_the_same_vertices_in_any_chunks() -> None:
    generator = torch.Generator().manual_seed(1)
    pixels, vertices = torch.randn(301, 8, generator=generator), torch.randn(90, 8, generator=generator)
    for chunk in (1, 100, 8192):
        assert torch.equal(_nearest_by_product(pixels, vertices, chunk), nearest_vertices(pixels, vertices))


@pytest.mark.gpu
def test_a_gpu_gives_the_same_vertices() -> None:
    pixels, vertices = torch.randn(3000, 16), torch.randn(5000, 16)
    found = nearest_vertices(pixels.cuda(), vertices.cuda(), chunk=1024).cpu()
    assert (found == nearest_vertices(pixels, vertices)).float().mean() > 0.999


def test_the_lowest_of_equal_vertices_wins() -> None:
    generator = torch.Generator().manual_seed(2)
    pixels, vertices = torch.randn(200, 16, generator=generator), torch.randn(40, 16, generator=generator)
    thrice = torch.cat([vertices, vertices, vertices])
    assert torch.equal(nearest_vertices(pixels, thrice), nearest_vertices(pixels, vertices))
    assert torch.equal(_nearest_by_product(pixels, thrice, 64), nearest_vertices(pixels, vertices))


def test_no_pixels_and_a_single_vertex_are_fine() -> None:
    for search in (nearest_vertices, lambda p, v: _nearest_by_product(p, v, 8)):
        none = search(torch.empty(0, 3), torch.randn(4, 3))
        assert none.shape == (0,)
        assert none.dtype == torch.int64
        assert search(torch.randn(2, 3), torch.randn(1, 3)).tolist() == [0, 0]


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
@pytest.mark.parametrize("whose", ["one pixel", "all vertices"])
def test_embeddings_of_a_model_that_diverged_are_an_error(bad: float, whose: str) -> None:
    pixels, vertices = torch.ones(6, 4), torch.eye(4).repeat(3, 1)
    if whose == "one pixel":
        pixels[3, 1] = bad
    else:
        vertices = torch.full_like(vertices, bad)
    with pytest.raises(TrainingError, match="diverged"):
        nearest_vertices(pixels, vertices)


def test_pixel_embeddings_need_not_be_detached() -> None:
    pixels = torch.eye(5, requires_grad=True)
    unit = torch.nn.functional.normalize(pixels, dim=1)
    assert nearest_vertices(pixels, unit).tolist() == [0, 1, 2, 3, 4]
