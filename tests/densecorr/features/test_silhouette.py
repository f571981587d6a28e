import math

import numpy as np
import pytest
import torch
from torch import Tensor

from densecorr.errors import ImageError, SettingsError
from densecorr.features import FeatureExtractor, SilhouetteFeatures
from densecorr.features.silhouette import (
    distance_inside,
    gradient_histograms,
    relative_position,
    shape_context,
    silhouette_box,
)

RADII = (0.06, 0.12, 0.22, 0.38, 0.62)


def ellipse(height: int, width: int, x: float, y: float, a: float, b: float) -> Tensor:
    ys, xs = np.mgrid[:height, :width]
    return torch.from_numpy(((xs - x) / a) ** 2 + ((ys - y) / b) ** 2 <= 1)


def animal(height: int = 96, width: int = 128, x: float = 0, y: float = 0, scale: float = 1) -> Tensor:
    """A body with a head and a leg: nothing about it is symmetric."""
    parts = [(60, 40, 30, 14), (92, 28, 9, 12), (42, 60, 5, 22)]
    shapes = [
        ellipse(height, width, scale * (px + x), scale * (py + y), scale * a, scale * b)
        for px, py, a, b in parts
    ]
    return torch.stack(shapes).any(dim=0)


def picture(height: int = 96, width: int = 128, seed: int = 0) -> Tensor:
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed))


def describe(images: Tensor, masks: Tensor, **settings: float) -> Tensor:
    extractor = SilhouetteFeatures(**settings).load()
    return extractor(images, masks, [str(i) for i in range(len(images))])


def test_it_is_a_feature_extractor_with_one_vector_a_cell() -> None:
    extractor = SilhouetteFeatures().load()
    assert isinstance(extractor, FeatureExtractor)
    grid = extractor(picture()[None], animal()[None], ["a"])
    assert grid.shape == (1, 5 * 16 + 6 + 2 + 8, 96 // extractor.stride, 128 // extractor.stride)
    assert torch.isfinite(grid).all()


def test_features_do_not_depend_on_batch_mates_or_keys() -> None:
    masks = torch.stack([animal(), animal(x=-8, y=6), torch.zeros(96, 128, dtype=torch.bool)])
    images = torch.stack([picture(seed=seed) for seed in range(3)])
    extractor = SilhouetteFeatures().load()
    together = extractor(images, masks, ["a", "b", "c"])
    backwards = extractor(images.flip(0), masks.flip(0), ["x", "y", "z"]).flip(0)
    assert torch.equal(together, backwards)
    for index in range(3):
        alone = extractor(images[index : index + 1], masks[index : index + 1], ["q"])[0]
        assert torch.equal(together[index], alone)


@pytest.mark.parametrize("side", [(96, 126), (94, 128)])
def test_sides_that_are_no_whole_number_of_cells_are_an_error(side: tuple[int, int]) -> None:
    with pytest.raises(ImageError, match="divisible by 4"):
        describe(torch.zeros(1, 3, *side), torch.zeros(1, *side, dtype=torch.bool))


@pytest.mark.parametrize("stride", [2, 4, 8, 16])
def test_any_even_stride_gives_cells_of_that_many_pixels(stride: int) -> None:
    grid = describe(picture()[None], animal()[None], stride=stride)
    assert grid.shape[-2:] == (96 // stride, 128 // stride)


@pytest.mark.parametrize("stride", [0, 1, 3])
def test_an_odd_stride_is_an_error(stride: int) -> None:
    with pytest.raises(SettingsError, match="even stride"):
        SilhouetteFeatures(stride=stride).load()


@pytest.mark.parametrize(
    "mask",
    [
        torch.zeros(32, 32, dtype=torch.bool),
        torch.ones(32, 32, dtype=torch.bool),
        torch.zeros(32, 32, dtype=torch.bool).index_fill(0, torch.tensor([0]), True),  # the upper border
        torch.eye(32, dtype=torch.bool),
        torch.zeros(32, 32, dtype=torch.bool).index_put(
            (torch.tensor(31), torch.tensor(0)), torch.tensor(True)
        ),
    ],
)
def test_odd_silhouettes_give_finite_features(mask: Tensor) -> None:
    grid = describe(picture(32, 32)[None], mask[None])
    assert torch.isfinite(grid).all()
    assert (grid.norm(dim=1) > 0.1).all()


def test_the_box_of_a_silhouette_has_its_middle_and_longer_side() -> None:
    mask = torch.zeros(20, 30, dtype=torch.bool)
    assert silhouette_box(mask) == (14.5, 9.5, 30.0)
    mask[4:8, 10:21] = True
    assert silhouette_box(mask) == (15.0, 5.5, 11.0)


# ---- shape context


def context(mask: Tensor, size: float = 60.0, n_angles: int = 16, stride: int = 4) -> Tensor:
    return shape_context(mask, size, RADII, n_angles, stride)


def test_inside_everything_all_bins_are_full_and_outside_they_are_empty() -> None:
    full = context(torch.ones(256, 256, dtype=torch.bool), size=128.0)[:, 30:34, 30:34]
    torch.testing.assert_close(full, torch.ones(80, 4, 4), atol=1e-5, rtol=0)
    assert context(torch.zeros(64, 64, dtype=torch.bool)).abs().max() < 1e-5


def test_a_half_plane_fills_the_half_of_the_directions_it_lies_in() -> None:
    right = torch.zeros(160, 160, dtype=torch.bool)
    right[:, 80:] = True
    rings = context(right, size=60.0, stride=2)[:, 40, 39:41].mean(dim=1).reshape(5, 16)  # around x = 80
    to_the_right, to_the_left = [15, 0, 1], [7, 8, 9]  # sector k is centred on k * 22.5 degrees from +x
    assert (rings[1:, to_the_right] > 0.9).all()
    assert (rings[1:, to_the_left] < 0.1).all()


def test_directions_turn_from_right_to_down() -> None:
    below = torch.zeros(160, 160, dtype=torch.bool)
    below[80:] = True
    rings = context(below, size=60.0, stride=2)[:, 39:41, 40].mean(dim=1).reshape(5, 16)
    assert (rings[1:, 3:6] > 0.9).all()
    assert (rings[1:, 11:14] < 0.1).all()


def test_a_silhouette_at_one_border_is_not_seen_from_the_other() -> None:
    mask = torch.zeros(64, 64, dtype=torch.bool)
    mask[:, :6] = True
    grid = context(mask, size=64.0)
    far = grid[:, :, 14:]  # 50 pixels away, beyond the outermost ring of 40
    assert far.abs().max() < 1e-5
    assert grid[:, :, :10].abs().max() > 0.1


def test_shape_context_moves_with_the_silhouette() -> None:
    here, there = context(animal(x=-12, y=-4)), context(animal())
    torch.testing.assert_close(there[:, 1:, 3:], here[:, :-1, :-3], atol=1e-5, rtol=0)


def test_shape_context_is_relative_to_the_silhouette_s_size() -> None:
    small, large = animal(), animal(192, 256, scale=2)
    sizes = silhouette_box(small)[2], silhouette_box(large)[2]
    assert sizes[1] == pytest.approx(2 * sizes[0], rel=0.03)
    at_small = shape_context(small, sizes[0], RADII, 16, 4)
    at_large = shape_context(large, sizes[1], RADII, 16, 8)
    outer = slice(16, 80)  # the innermost ring is a pixel or two wide
    assert (at_small - at_large)[outer].abs().mean() < 0.04


# ---- flips


def flipped_sectors(n_angles: int, n_rings: int) -> list[int]:
    return [
        ring * n_angles + (n_angles // 2 - k) % n_angles for ring in range(n_rings) for k in range(n_angles)
    ]


def test_flipping_permutes_directions_of_the_shape_context() -> None:
    mask = animal()
    flipped = context(mask.flip(-1))[flipped_sectors(16, 5)].flip(-1)
    bins = [k for k in range(80) if k not in (0, 8)]  # the cell's centre itself counts as sector 0 of ring 0
    torch.testing.assert_close(flipped[bins], context(mask)[bins], atol=1e-5, rtol=0)


def test_flipping_negates_the_sine_of_x_alone() -> None:
    box = silhouette_box(animal())
    box_flipped = silhouette_box(animal().flip(-1))
    sign = torch.tensor([-1.0, 1, 1, 1, -1, 1])[:, None, None]
    flipped = relative_position((96, 128), box_flipped, 4).flip(-1) * sign
    torch.testing.assert_close(flipped, relative_position((96, 128), box, 4), atol=1e-5, rtol=0)


def test_flipping_leaves_the_distance_and_mirrors_gradients() -> None:
    mask, image = animal(), picture()
    torch.testing.assert_close(
        distance_inside(mask.flip(-1), 60.0, 4).flip(-1), distance_inside(mask, 60.0, 4), atol=1e-4, rtol=0
    )
    mirrored = [(4 - k) % 8 for k in range(8)]
    flipped = gradient_histograms(image.flip(-1), 4)[mirrored].flip(-1)
    torch.testing.assert_close(flipped, gradient_histograms(image, 4), atol=1e-5, rtol=0)


# ---- position, distance, gradients


def test_position_runs_over_the_box() -> None:
    mask = torch.zeros(40, 80, dtype=torch.bool)
    mask[10:30, 8:72] = True  # 64 wide about x = 39.5, y = 19.5
    sin_x, cos_x, sin_y, _, sin_2x, _ = relative_position((40, 80), silhouette_box(mask), 4)
    x = ((torch.arange(20) + 0.5) * 4 - 0.5 - 39.5) / 64
    torch.testing.assert_close(sin_x, (x * math.pi / 2).sin().expand(10, 20))
    torch.testing.assert_close(sin_2x, (x * math.pi).sin().expand(10, 20))
    assert (cos_x[:, 9:11] > 0.998).all()
    assert (sin_y[:5] < 0).all()
    assert (sin_y[5:] > 0).all()


def test_distance_is_zero_outside_and_grows_inwards_up_to_a_quarter_turn() -> None:
    mask = ellipse(96, 96, 47.5, 47.5, 40, 40)
    cos, sin = distance_inside(mask, 81.0, 4)
    torch.testing.assert_close(cos**2 + sin**2, torch.ones(24, 24))
    assert sin[0, 0] == 0.0
    depth = torch.atan2(sin, cos)[12, 12:]
    assert (depth[:-1] >= depth[1:]).all()
    assert depth[0] == pytest.approx(math.pi / 2)
    expected = (47.5 + 40 - (17 * 4 + 1.5)) / 81 * 6  # six radians a silhouette's size
    assert depth[5] == pytest.approx(expected, abs=0.1)


@pytest.mark.parametrize("k", range(8))
def test_a_ramp_has_its_gradient_in_its_own_direction(k: int) -> None:
    angle = k * math.pi / 4
    ys, xs = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    ramp = 0.01 * (math.cos(angle) * xs + math.sin(angle) * ys)
    middle = gradient_histograms(ramp.expand(3, 32, 32), 4)[:, 2:6, 2:6]
    assert (middle.argmax(dim=0) == k).all()
    torch.testing.assert_close(middle[(k + 4) % 8], torch.full((4, 4), 1e-3))  # nothing but the constant


def test_a_part_of_weight_zero_is_left_out_and_parts_have_their_weights() -> None:
    both = describe(picture()[None], animal()[None])[0]
    parts = torch.split(both, [80, 6, 2, 8])
    # beyond the outermost ring the shape context is empty
    assert parts[0].norm(dim=0)[10, 15] == pytest.approx(1.0, abs=1e-4)
    for part, weight in zip(parts[1:], [0.7, 0.25, 0.2], strict=True):
        torch.testing.assert_close(part.norm(dim=0), torch.full((24, 32), weight), atol=1e-4, rtol=0)
    alone = describe(picture()[None], animal()[None], shape_weight=0.0, gradient_weight=0.0)[0]
    torch.testing.assert_close(alone, both[80:88])
