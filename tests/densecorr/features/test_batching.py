"""How many images at once, and what happens when they do not fit."""

import pytest
import torch
from torch import Tensor

from densecorr.features import batching
from densecorr.features.batching import AT_MOST, Picture, batch_that_fits


class Narrow:
    """An extractor on a device that has room for so many images."""

    stride = 4

    def __init__(self, room: int) -> None:
        self.room, self.sizes = room, []

    def __call__(self, images: Tensor, silhouettes: Tensor, keys: list[str]) -> Tensor:
        self.sizes.append(len(images))
        if len(images) > self.room:
            raise torch.OutOfMemoryError("too many images")
        return torch.tensor([float(key) for key in keys])[:, None, None, None].expand(-1, 1, 2, 2)


def pictures(n: int) -> list[Picture]:
    return [Picture(torch.zeros(3, 8, 8), torch.ones(8, 8, dtype=torch.bool), str(k)) for k in range(n)]


def test_the_batch_fills_most_of_the_free_memory() -> None:
    assert batch_that_fits(100, 1000) == 7
    assert batch_that_fits(10_000, 1000) == 1
    assert batch_that_fits(0, 10**12) == AT_MOST
    sizes = [batch_that_fits(each, 10**6) for each in (10, 10**3, 10**5, 10**7)]
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize("room", [1, 2, 3, 8])
def test_a_batch_that_does_not_fit_is_halved_and_the_order_stays(
    room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    extractor = Narrow(room)
    grids = list(batching._extract_in_halves(extractor, pictures(7)))
    assert [int(grid[0, 0, 0]) for grid in grids] == list(range(7))
    assert max(size for size in extractor.sizes if size <= room) <= room


def test_one_image_that_does_not_fit_is_the_device_s_own_error() -> None:
    with pytest.raises(torch.OutOfMemoryError):
        list(batching._extract_in_halves(Narrow(0), pictures(1)))


@pytest.mark.parametrize(("batch", "sizes"), [(0, [1, 1, 1, 1, 1]), (2, [2, 2, 1]), (9, [5])])
def test_a_cpu_takes_one_image_at_a_time_unless_told_otherwise(batch: int, sizes: list[int]) -> None:
    extractor = Narrow(9)
    assert len(list(batching.extract_all(extractor, pictures(5), batch))) == 5
    assert extractor.sizes == sizes


@pytest.mark.gpu
def test_offloaded_weights_give_the_same_features(dinov2) -> None:
    from densecorr.features import DinoV2Features

    images, masks = torch.rand(1, 3, 56, 56), torch.ones(1, 56, 56, dtype=torch.bool)
    here = DinoV2Features(model=str(dinov2)).load("cuda")(images, masks, ["a"])
    away = DinoV2Features(model=str(dinov2)).load("cuda", offload=True)(images, masks, ["a"])
    torch.testing.assert_close(here, away)
