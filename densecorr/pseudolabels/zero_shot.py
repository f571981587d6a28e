"""Zero-shot image-to-template correspondences: SHIC Sec. 3.3.

One instance at a time: features of its crop, similarity to the template's views, pooled over the views that see
each vertex, the best vertex of each point. What is kept is the vertex with its score, margin and cycle error, not
features.
"""

from dataclasses import dataclass, field, replace
from typing import Literal

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
        pooling: over the views that see a vertex: 'max' (SHIC's choice), 'mean', or 'best', one view an
            instance; 'auto' takes the one with the least cycle error on some instances.
        azimuths: keep views within these intervals (low, high) of azimuth in degrees; empty keeps all.
        points: foreground points labelled an instance (SHIC samples 100), or 0 for every foreground cell.
        crop_size: side of the instance's crop, pixels; a multiple of the extractor's stride.
        padding: margin around the box as a share of its longer side.
        margin_radius: share of the template's diameter; the margin is the best score less the best one farther
            away.
        seed: of the choice of points.
    """

    pooling: Pooling | Literal["auto"] = "max"
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
    """Similarities of one instance's Q foreground cells with the views, and their centres in crop pixels."""

    similarity: Tensor
    centers: Float[np.ndarray, "Q 2"]
    frame: CropFrame


def select_views(views: ViewFeatures, azimuths: tuple[tuple[float, float], ...]) -> ViewFeatures:
    """The views whose azimuth lies in an interval (degrees, modulo a full turn); all if there is none."""
    return views.select(views_within(views, azimuths)) if azimuths else views


def views_within(views: ViewFeatures, azimuths: tuple[tuple[float, float], ...]) -> Int[np.ndarray, " n"]:
    """Indices of the views whose azimuth lies in one of the intervals.

    Raises:
        SettingsError: no view does.
    """
    azimuth = views.angles[:, 0]
    keep = np.zeros(len(azimuth), dtype=bool)
    for low, high in azimuths:
        keep |= (azimuth - low) % 360.0 <= (high - low) + 1e-9
    if not keep.any():
        raise SettingsError("azimuths that at least one view has", str(azimuths), "Widen them or add views.")
    return np.flatnonzero(keep)


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


def match_cells(
    scores: InstanceScores, views: ViewFeatures, pooling: Pooling, cells: Int[np.ndarray, " P"]
) -> tuple[Tensor, Tensor]:
    """The best vertex (index in [0, K)) of each of some cells, and the pooled scores (P, K) behind it."""
    similarity = scores.similarity[torch.from_numpy(cells)]
    pooled = pool_vertices(similarity, views, pooling)
    vertex = match_rows(similarity, views).vertex if pooling == "max" else pooled.argmax(dim=1)
    return vertex, pooled


def best_cells(
    scores: InstanceScores, views: ViewFeatures, pooling: Pooling, vertices: Int[Tensor, " Q"]
) -> Int[np.ndarray, " Q"]:
    """The instance's best-scoring cell for each of some vertices (indices in [0, K))."""
    return pool_vertices(scores.similarity, views, pooling, vertices).argmax(dim=0).numpy()


def narrow(
    scores: InstanceScores, views: ViewFeatures, pooling: Pooling
) -> tuple[InstanceScores, ViewFeatures]:
    """For 'best' pooling, keep the one view that fits the whole instance best; else everything."""
    if pooling != "best":
        return scores, views
    chosen = best_view(scores.similarity, views)
    columns = slice(int(views.starts[chosen]), int(views.starts[chosen + 1]))
    return replace(scores, similarity=scores.similarity[:, columns]), views.select(np.array([chosen]))


def label_instance(
    scores: InstanceScores,
    views: ViewFeatures,
    geodesics: Float32[np.ndarray, "K K"],
    diameter: float,
    settings: ZeroShotSettings,
    rng: np.random.Generator,
) -> ZeroShotLabels:
    """Vertex, score, margin and cycle error of sampled foreground points (or all).

    `geodesics` (metres) are between the K matched vertices. The cycle error goes from a point to its vertex and
    back to the best-scoring cell of that vertex, in full-image pixels.
    """
    if settings.pooling == "auto":
        raise SettingsError("a pooling chosen by `choose_variant`", "'auto'", "Call it first.")
    scores, views = narrow(scores, views, settings.pooling)
    pooling: Pooling = "max" if settings.pooling == "best" else settings.pooling
    picked = pick_points(len(scores.centers), settings.points, rng)
    k, pooled = match_cells(scores, views, pooling, picked)
    own = pooled.gather(1, k[:, None])[:, 0]
    far = torch.from_numpy(geodesics[k.numpy()] > settings.margin_radius * diameter)
    runner_up = pooled.masked_fill(~far, -2.0).max(dim=1).values
    back = best_cells(scores, views, pooling, k)
    moved = np.linalg.norm(scores.centers[back] - scores.centers[picked], axis=1) / scores.frame.scale
    return ZeroShotLabels(
        from_crop(scores.centers[picked], scores.frame),
        views.vertices[k.numpy()].astype(np.int64),
        own.numpy().astype(np.float32),
        (own - runner_up).numpy().astype(np.float32),
        moved.astype(np.float32),
    )


def pick_points(n_cells: int, n_points: int, rng: np.random.Generator) -> Int[np.ndarray, " P"]:
    """Cells to label, ascending: a sample without repetition, or all if `n_points` is 0 or no fewer exist."""
    if n_points == 0 or n_points >= n_cells:
        return np.arange(n_cells)
    return np.sort(rng.choice(n_cells, n_points, replace=False))


def predict_points(
    scores: InstanceScores,
    views: ViewFeatures,
    xy: Float[np.ndarray, "P 2"],
    vertices: Int[np.ndarray, " Q"],
    pooling: Pooling,
) -> tuple[Int[np.ndarray, " P"], Float[np.ndarray, "Q 2"]]:
    """Both directions at given queries: the vertex at each pixel, and the best-scoring pixel of each vertex.

    Args:
        scores: of the instance.
        views: the same views the scores were taken with.
        xy: full-image pixels; each takes the nearest foreground cell's answer.
        vertices: indices in [0, K) whose best pixel is asked for.
        pooling: over views.

    Returns:
        Template vertex ids (P,), and full-image pixels (Q, 2).
    """
    scores, views = narrow(scores, views, pooling)
    rule: Pooling = "max" if pooling == "best" else pooling
    cell, back = np.unique(nearest_cells(to_crop(xy, scores.frame), scores.centers), return_inverse=True)
    vertex = match_cells(scores, views, rule, cell)[0].numpy()
    best = best_cells(scores, views, rule, torch.from_numpy(vertices))
    return views.vertices[vertex[back]], from_crop(scores.centers[best], scores.frame)


def restrict(
    scores: InstanceScores, views: ViewFeatures, azimuths: tuple[tuple[float, float], ...]
) -> tuple[InstanceScores, ViewFeatures]:
    """The views within the intervals and the similarities with them: `select_views` after the product."""
    if not azimuths:
        return scores, views
    keep = views_within(views, azimuths)
    columns = np.concatenate([np.arange(int(views.starts[v]), int(views.starts[v + 1])) for v in keep])
    return replace(scores, similarity=scores.similarity[:, torch.from_numpy(columns)]), views.select(keep)
