"""Nearest-vertex search: the hot loop behind models and scoring.

Exact: the same argmax as the full product would give, without keeping the full product.
"""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize, pad

from .errors import TrainingError


def nearest_vertices(
    pixel_embedding: Float[Tensor, "P E"], vertex_embedding: Float[Tensor, "V E"], chunk: int = 8192
) -> Int[Tensor, " P"]:
    """The vertex of largest inner product for each pixel, in float32; the lowest id among equal embeddings.

    On the CPU faiss's fused L2 kernel does it: one coordinate more gives all vertices the same length, and then
    the nearest neighbour is the largest product (Bachrach et al. 2014). Elsewhere products are taken in chunks.

    Raises:
        TrainingError: an embedding is not finite.
    """
    if pixel_embedding.device.type == "cpu":
        vertex = _nearest_by_faiss(pixel_embedding.detach(), vertex_embedding.detach())
    else:
        vertex = _nearest_by_product(pixel_embedding.detach(), vertex_embedding.detach(), chunk)
    n_lost = int((vertex < 0).sum())
    if n_lost:
        raise TrainingError(
            "finite embeddings",
            f"NaN or infinity at {n_lost} of {len(vertex)} pixels",
            "The model has diverged: train it again with a lower learning rate.",
        )
    return vertex


def _nearest_by_faiss(pixels: Float[Tensor, "P E"], vertices: Float[Tensor, "V E"]) -> Int[Tensor, " P"]:
    import faiss

    squared = vertices.float().square().sum(dim=1)
    largest = squared.max()
    # a query's length changes nothing; at the vertices' length, distances keep the most digits of the product
    queries = normalize(pixels.float(), dim=1) * largest.sqrt()
    points = vertices.float()
    if float(largest - squared.min()) > 1e-6 * float(largest):  # not unit vectors
        points = torch.cat([points, (largest - squared).clamp(min=0).sqrt()[:, None]], dim=1)
        queries = pad(queries, (0, 1))
    index = faiss.IndexFlatL2(points.shape[1])
    index.add(points.contiguous().numpy())
    nearest = torch.from_numpy(index.search(queries.contiguous().numpy(), 1)[1][:, 0].copy())  # -1: NaN
    first = _first_equal(vertices.float())
    return nearest if first is None else torch.where(nearest < 0, -1, first[nearest])


def _nearest_by_product(
    pixels: Float[Tensor, "P E"], vertices: Float[Tensor, "V E"], chunk: int
) -> Int[Tensor, " P"]:
    best = [(part @ vertices.T).max(dim=1) for part in pixels.split(chunk)]
    return torch.cat([torch.where(part.values.isfinite(), part.indices, -1) for part in best])


def _first_equal(vertices: Float[Tensor, "V E"]) -> Int[Tensor, " V"] | None:
    """For each vertex the lowest one with the same embedding; None if all differ, which a hash mostly tells."""
    bits = (vertices + 0.0).contiguous().numpy().view(np.int32)  # + 0.0: no negative zeros
    odd = np.random.default_rng(0).integers(1, 2**62, bits.shape[1]) | 1
    hashes = (bits * odd).sum(axis=1)
    if len(np.unique(hashes)) == len(hashes):
        return None
    _, first, same = np.unique(bits, axis=0, return_index=True, return_inverse=True)
    return torch.from_numpy(first[same])
