"""The vertex of every pixel of a 256x256 image: embeddings of 16 numbers, unit vectors as in CSE."""

import torch
from torch.nn.functional import normalize

from densecorr.matching import nearest_vertices

from .measure import Benchmark, Comparison

N_PIXELS, N_NUMBERS = 256 * 256, 16
REFERENCE_CHUNK = 10_000  # pixels at once in detectron2's decoding of CSE
SMALL_CHUNK = 256  # distances then stay in the cache: the quickest of the chunks tried
PRODUCT_CHUNK = 1024


def prepare(n_vertices: int) -> Benchmark:
    """Random unit vectors: the time does not depend on the values."""
    generator = torch.Generator().manual_seed(0)
    pixels = normalize(torch.randn(N_PIXELS, N_NUMBERS, generator=generator), dim=1)
    vertices = normalize(torch.randn(n_vertices, N_NUMBERS, generator=generator), dim=1)
    product = torch.empty(PRODUCT_CHUNK, n_vertices)  # kept: fresh memory would triple the baseline's time

    def cdist(chunk: int) -> torch.Tensor:
        return torch.cat([torch.cdist(part, vertices).argmin(dim=1) for part in pixels.split(chunk)])

    def bare_product() -> None:
        for part in pixels.split(PRODUCT_CHUNK):
            torch.mm(part, vertices.T, out=product)

    def check() -> None:
        """Every answer is the best product in double precision, but for ties in the last digit of a float."""
        found = nearest_vertices(pixels, vertices)
        for part, index in zip(pixels.split(PRODUCT_CHUNK), found.split(PRODUCT_CHUNK), strict=True):
            exact = part.double() @ vertices.double().T
            lost = exact.max(dim=1).values - exact.gather(1, index[:, None])[:, 0]
            if float(lost.max()) > 2e-7:
                raise AssertionError(f"not the nearest vertex: {float(lost.max()):.1e} of cosine lost")

    return Benchmark(
        lambda: nearest_vertices(pixels, vertices),
        check,
        (
            Comparison("cdist", lambda: cdist(REFERENCE_CHUNK), 1 / 12),
            Comparison("product", bare_product, 1.6),
            Comparison("cdist-small-chunks", lambda: cdist(SMALL_CHUNK)),
        ),
        memory_mb=500,
    )
