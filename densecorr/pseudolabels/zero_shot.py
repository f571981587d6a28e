"""Zero-shot image-to-template correspondences: SHIC Sec. 3.3.

One instance at a time: features of its crop, similarity to the template's views, pooled over the views that see each
vertex, the best vertex of each point. What is kept is the vertex with its score, margin and cycle error, not features.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int, UInt8
from torch import Tensor

from ..errors import SettingsError
from ..features import FeatureExtractor, Features, SilhouetteFeatures
from ..images import CropFrame, crop_frame, crop_image, crop_mask, from_crop, to_crop
from ..matching import Pooling, ViewFeatures, best_view, match_rows, pool_vertices, row_similarity
from .lift import image_rows, nearest_cells


@dataclass(frozen=True)
class ZeroShotSettings:
    """How instances are matched to the template's views.

    Attributes:
        pooling: over the views that see a vertex: 'max' (SHIC's choice), 'mean', or 'best', one view an instance.
        azimuths: keep views within these intervals (low, high) of azimuth in degrees; empty keeps all.
        points: foreground points labelled an instance (SHIC samples 100), or 0 for every foreground cell.
        crop_size: side of the instance's crop, pixels; a multiple of the extractor's stride.
        padding: margin around the box as a share of its longer side.
        margin_radius: share of the template's diameter; the margin is the best score less the best one farther away.
        seed: of the choice of points.
    """

    pooling: Pooling = "max"
    azimuths: tuple[tuple[float, float], ...] = ()
    points: int = 100
    crop_size: int = 160
    padding: float = 0.1
    margin_radius: float = 0.05
    seed: int = 0
    features: Features = field(default_factory=SilhouetteFeatures)


@dataclass(frozen=True)
class ZeroShotLabels:
    """Labels of one instance: positions in full-image pixels, vertices, and what is known of each."""

    xy: Float[np.ndarray, "P 2"]
    vertex: Int[np.ndarray, " P"]
    score: Float32[np.ndarray, " P"]
    margin: Float32[np.ndarray, " P"]
    cycle_px: Float32[np.ndarray, " P"]


@dataclass(frozen=True)
class InstanceScores:
    """Similarities of one instance's Q foreground cells with the views, and its cell centres in crop pixels."""

    similarity: Tensor
    centers: Float[np.ndarray, "Q 2"]
    frame: CropFrame


def select_views(views: ViewFeatures, azimuths: tuple[tuple[float, float], ...]) -> ViewFeatures:
    """The views whose azimuth lies in one of the intervals (degrees, modulo a full turn); all when there are none."""
    if not azimuths:
        return views
    azimuth = views.angles[:, 0]
    keep = np.zeros(len(azimuth), dtype=bool)
    for low, high in azimuths:
        keep |= (azimuth - low) % 360.0 <= (high - low) + 1e-9
    if not keep.any():
        raise SettingsError("azimuths that at least one view has", str(azimuths), "Widen them or add views.")
    return views.select(np.flatnonzero(keep))


def score_instance(
    image: UInt8[np.ndarray, "H W 3"],
    silhouette: Bool[np.ndarray, "H W"],
    xywh: tuple[float, float, float, float],
    key: str,
    views: ViewFeatures,
    extractor: FeatureExtractor,
    settings: ZeroShotSettings,
) -> InstanceScores | None:
    """Crop the instance and compare its foreground cells with every view; None when it has no foreground."""
    frame = crop_frame(xywh, settings.crop_size, settings.padding)
    mask = crop_mask(silhouette, frame)
    if not mask.any():
        return None
    pixels = torch.from_numpy(crop_image(image, frame)).permute(2, 0, 1).float() / 255
    rows, centers = image_rows(pixels, torch.from_numpy(mask), key, extractor)
    return InstanceScores(row_similarity(rows, views), centers, frame)


def match_cells(scores: InstanceScores, views: ViewFeatures, pooling: Pooling) -> tuple[Tensor, Tensor]:
    """The best vertex (index in [0, K)) of each cell, and the pooled scores (Q, K) it was chosen from."""
    if pooling == "best":
        chosen = np.array([best_view(scores.similarity, views)])
        columns = slice(int(views.starts[chosen[0]]), int(views.starts[chosen[0] + 1]))
        one = views.select(chosen)
        similarity = scores.similarity[:, columns]
        return match_rows(similarity, one).vertex, pool_vertices(similarity, one, "max")
    pooled = pool_vertices(scores.similarity, views, pooling)
    if pooling == "max":
        return match_rows(scores.similarity, views).vertex, pooled
    return pooled.argmax(dim=1), pooled


def label_instance(
    scores: InstanceScores,
    views: ViewFeatures,
    geodesics: Float32[np.ndarray, "K K"],
    diameter: float,
    settings: ZeroShotSettings,
    rng: np.random.Generator,
) -> ZeroShotLabels:
    """Vertex, score, margin and cycle error of sampled foreground points (or all).

    `geodesics` (metres) are between the K matched vertices. The cycle error goes from a point to its vertex and back
    to the best-scoring cell of that vertex, in full-image pixels.
    """
    vertex, pooled = match_cells(scores, views, settings.pooling)
    picked = pick_points(len(scores.centers), settings.points, rng)
    k = vertex[picked]
    own = pooled[picked, k]
    far = torch.from_numpy(geodesics[k.numpy()] > settings.margin_radius * diameter)
    runner_up = pooled[picked].masked_fill(~far, -2.0).max(dim=1).values
    back = pooled[:, k].argmax(dim=0).numpy()
    moved = np.linalg.norm(scores.centers[back] - scores.centers[picked], axis=1) / scores.frame.scale
    return ZeroShotLabels(
        from_crop(scores.centers[picked], scores.frame),
        views.vertices[k.numpy()].astype(np.int64),
        own.numpy().astype(np.float32),
        (own - runner_up).numpy().astype(np.float32),
        moved.astype(np.float32),
    )


def pick_points(n_cells: int, n_points: int, rng: np.random.Generator) -> Int[np.ndarray, " P"]:
    """Cells to label, ascending: a sample without repetition, or all when `n_points` is 0 or no fewer exist."""
    if n_points == 0 or n_points >= n_cells:
        return np.arange(n_cells)
    return np.sort(rng.choice(n_cells, n_points, replace=False))


def predict_points(
    scores: InstanceScores,
    views: ViewFeatures,
    xy: Float[np.ndarray, "P 2"],
    vertices: Int[np.ndarray, " P"],
    pooling: Pooling,
) -> tuple[Int[np.ndarray, " P"], Float[np.ndarray, "P 2"]]:
    """Both directions at given queries: the vertex at each pixel, and the best-scoring pixel of each vertex.

    Args:
        scores: of the instance.
        views: the same views the scores were taken with.
        xy: full-image pixels; each takes the nearest foreground cell's answer.
        vertices: indices in [0, K) whose best pixel is asked for.
        pooling: over views.

    Returns:
        Template vertex ids (P,), and full-image pixels (P, 2).
    """
    vertex, pooled = match_cells(scores, views, pooling)
    cell = nearest_cells(to_crop(xy, scores.frame), scores.centers)
    best = pooled[:, torch.from_numpy(vertices)].argmax(dim=0).numpy()
    return views.vertices[vertex.numpy()[cell]], from_crop(scores.centers[best], scores.frame)
