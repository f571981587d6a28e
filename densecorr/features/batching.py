"""Running an extractor over many images: one at a time on a CPU, as many as fit on a GPU."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from .protocol import FeatureExtractor, check_finite

AT_MOST = 64
_SHARE = 0.7  # of the free memory: activations grow a little less regularly than images


@dataclass(frozen=True)
class Picture:
    """One image for an extractor, with the key its noise is drawn from."""

    image: Float[Tensor, "3 H W"]
    silhouette: Bool[Tensor, "H W"]
    key: str


def extract_all(
    extractor: FeatureExtractor, pictures: Iterable[Picture], batch: int = 0, device: str = "cpu"
) -> Iterator[Float[Tensor, "C h w"]]:
    """The grid of each picture (all of one size), in order; a batch that does not fit the GPU is halved.

    Args:
        extractor: loaded on `device`.
        pictures: read as they are needed.
        batch: pictures at once; 0 takes 1 on a CPU and what fits the free memory on a GPU.
        device: where the extractor runs.

    Raises:
        FeatureError: features that are not finite, with the pictures' keys.
    """
    waiting = iter(pictures)
    on_gpu = torch.device(device).type == "cuda"
    size = batch or 1
    if on_gpu and not batch:
        first = next(waiting, None)
        if first is None:
            return
        free = torch.cuda.mem_get_info(device)[0]
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        grids = list(
            _extract(extractor, [first])
        )  # before they are handed out: what is made of them does not count
        size = batch_that_fits(torch.cuda.max_memory_allocated(device) - before, free)
        yield from grids
    while some := list(islice(waiting, size)):
        yield from _extract_in_halves(extractor, some) if on_gpu else _extract(extractor, some)


def batch_that_fits(bytes_each: int, bytes_free: int) -> int:
    """Images at once: as many as fill most of the free memory, at least 1 and at most `AT_MOST`."""
    return max(1, min(AT_MOST, int(_SHARE * bytes_free / max(1, bytes_each))))


def _extract(extractor: FeatureExtractor, pictures: list[Picture]) -> Iterator[Float[Tensor, "C h w"]]:
    keys = [picture.key for picture in pictures]
    grid = extractor(
        torch.stack([picture.image for picture in pictures]),
        torch.stack([picture.silhouette for picture in pictures]),
        keys,
    )
    check_finite(grid, keys)
    yield from grid


def _extract_in_halves(
    extractor: FeatureExtractor, pictures: list[Picture]
) -> Iterator[Float[Tensor, "C h w"]]:
    try:
        grids = list(_extract(extractor, pictures))
    except torch.OutOfMemoryError:
        if len(pictures) == 1:
            raise
        grids = None  # leave the handler first, so that the failed batch's memory is free
    if grids is None:
        torch.cuda.empty_cache()
        middle = len(pictures) // 2
        yield from _extract_in_halves(extractor, pictures[:middle])
        yield from _extract_in_halves(extractor, pictures[middle:])
    else:
        yield from grids
