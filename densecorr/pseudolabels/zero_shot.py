"""Zero-shot image-to-template correspondences: SHIC Sec. 3.3.

One instance at a time: features of its crop, similarity to the template's views, pooled over the views that see
each vertex, the best vertex of each point. What is kept is the vertex with its score, margin and cycle error, not
features.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int, UInt8
from torch import Tensor

from ..config import check_least
from ..errors import SettingsError
from ..features import FeatureExtractor
from ..features.batching import Picture, extract_all
from ..images import CropFrame, crop_frame, crop_image, crop_mask, from_crop, to_crop
from ..view_features import MatchPrecision, Similarities, ViewFeatures
from ..view_matching import Pooling, best_queries, match_vertices, outside_ball, view_lead, view_scores
from .lift import foreground_rows, nearest_cells

GeodesicRows = Callable[[np.ndarray], np.ndarray]
"""Indices (n,) in [0, K) of matched vertices to distances (n, K), metres."""


@dataclass(frozen=True)
class ZeroShotSettings:
    """How instances are matched to the template's views.

    Attributes:
        pooling: over the views that see a vertex: 'max' (SHIC's choice), 'mean', or 'best', one view an
            instance; 'auto' takes the one with the least cycle error on some instances.
        azimuths: keep views within these intervals (low, high) of azimuth in degrees; empty keeps all.
        points: foreground points labelled an instance (SHIC samples 100), or 0 for every foreground cell.
        crop_size: side of the instance's crop, pixels; a multiple of the extractor's stride (840 for DINOv2).
        padding: margin around the box as a share of its longer side.
        margin_radius: share of the template's diameter; the margin is the best score less the best one farther
            away.
        candidates: how many vertices are kept a point, with their scores, for a reviewer to choose from.
        precision: of the features in the products; 'bf16' is quicker on a GPU.
        seed: of the choice of points.
    """

    pooling: Pooling | Literal["auto"] = "max"
    azimuths: tuple[tuple[float, float], ...] = ()
    points: int = 100
    crop_size: int = 160
    padding: float = 0.1
    margin_radius: float = 0.05
    candidates: int = 1
    precision: MatchPrecision = "fp32"
    seed: int = 0

    def __post_init__(self) -> None:
        """Raise a SettingsError for numbers that mean nothing."""
        check_least(
            self, {"points": 0, "crop_size": 1, "candidates": 1, "margin_radius": 0.0, "padding": -0.45}
        )


@dataclass(frozen=True)
class ZeroShotLabels:
    """Labels of one instance: positions in full-image pixels, vertices, and what is known of each.

    `candidates` are the k best vertices of each point, the label first, -1 where there are fewer; `view_lead` says by
    how much the instance fits one side of the template better than any other.
    """

    xy: Float[np.ndarray, "P 2"]
    vertex: Int[np.ndarray, " P"]
    score: Float32[np.ndarray, " P"]
    margin: Float32[np.ndarray, " P"]
    cycle_px: Float32[np.ndarray, " P"]
    candidates: Int[np.ndarray, "P k"]
    candidate_scores: Float32[np.ndarray, "P k"]
    view_lead: float | None


@dataclass(frozen=True)
class InstanceScores:
    """Similarities of one instance's Q foreground cells with the views, and their centres in crop pixels."""

    similarity: Similarities
    centers: Float[np.ndarray, "Q 2"]
    frame: CropFrame

    @property
    def views(self) -> ViewFeatures:
        """The views the similarities are with."""
        return self.similarity.views


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


@dataclass(frozen=True)
class InstanceCrop:
    """One instance cut out for an extractor."""

    image: Float[Tensor, "3 S S"]
    silhouette: Bool[Tensor, "S S"]
    frame: CropFrame


def crop_instance(
    image: UInt8[np.ndarray, "H W 3"],
    silhouette: Bool[np.ndarray, "H W"],
    xywh: tuple[float, float, float, float],
    settings: ZeroShotSettings,
) -> InstanceCrop | None:
    """The square around a box as an extractor takes it; None when the silhouette has no pixel there."""
    frame = crop_frame(xywh, settings.crop_size, settings.padding)
    mask = crop_mask(silhouette, frame)
    if not mask.any():
        return None
    pixels = torch.from_numpy(crop_image(image, frame)).permute(2, 0, 1).float() / 255
    return InstanceCrop(pixels, torch.from_numpy(mask), frame)


def score_crop(
    crop: InstanceCrop,
    grid: Float[Tensor, "C h w"],
    stride: int,
    views: ViewFeatures,
    precision: MatchPrecision = "fp32",
) -> InstanceScores:
    """The similarities of a crop's foreground cells with the views, on the views' device."""
    rows, centers = foreground_rows(grid, crop.silhouette, stride)
    return InstanceScores(Similarities(rows.to(views.rows.device), views, precision), centers, crop.frame)


def score_instance(
    image: UInt8[np.ndarray, "H W 3"],
    silhouette: Bool[np.ndarray, "H W"],
    xywh: tuple[float, float, float, float],
    key: str,
    views: ViewFeatures,
    extractor: FeatureExtractor,
    settings: ZeroShotSettings,
) -> InstanceScores | None:
    """Crop one instance and compare its foreground cells with every view; None when it has no foreground."""
    crop = crop_instance(image, silhouette, xywh, settings)
    if crop is None:
        return None
    (grid,) = extract_all(extractor, [Picture(crop.image, crop.silhouette, key)])
    return score_crop(crop, grid, extractor.stride, views, settings.precision)


def narrow(
    scores: InstanceScores, pooling: Pooling, fit: Float[np.ndarray, " n_views"] | None = None
) -> tuple[InstanceScores, Pooling]:
    """For 'best' pooling, the one view that fits the whole instance best, and 'max'; else everything as it is.

    `fit` are the `view_scores`, if they are known.
    """
    if pooling != "best":
        return scores, pooling
    fit = view_scores(scores.similarity) if fit is None else fit
    chosen = np.array([int(np.argmax(fit))])
    return replace(scores, similarity=scores.similarity.select(chosen)), "max"


def label_instance(
    scores: InstanceScores,
    geodesics: GeodesicRows,
    diameter: float,
    settings: ZeroShotSettings,
    rng: np.random.Generator,
) -> ZeroShotLabels:
    """Vertex, score, margin and cycle error of sampled foreground points (or all).

    `geodesics` (metres) are between the K matched vertices. The cycle error goes from a point to its vertex and
    back to the best-scoring cell of that vertex, in full-image pixels; 0 means that both name each other.
    """
    if settings.pooling == "auto":
        raise SettingsError("a pooling chosen by `choose_variant`", "'auto'", "Call it first.")
    fit = view_scores(scores.similarity)
    lead = view_lead(fit, scores.views.angles)
    scores, pooling = narrow(scores, settings.pooling, fit)
    picked = pick_points(len(scores.centers), settings.points, rng)
    device = scores.views.rows.device
    far = outside_ball(geodesics, settings.margin_radius * diameter)
    matches = match_vertices(
        scores.similarity, torch.from_numpy(picked).to(device), pooling, far, settings.candidates
    )
    k = matches.vertex[:, 0].clamp(min=0)
    back = best_queries(scores.similarity, pooling, k).cpu().numpy()
    moved = np.linalg.norm(scores.centers[back] - scores.centers[picked], axis=1) / scores.frame.scale
    others = matches.vertex.cpu().numpy()
    return ZeroShotLabels(
        from_crop(scores.centers[picked], scores.frame),
        scores.views.vertices[k.cpu().numpy()].astype(np.int64),
        matches.score[:, 0].cpu().numpy().astype(np.float32),
        matches.margin.cpu().numpy().astype(np.float32),
        moved.astype(np.float32),
        np.where(others < 0, -1, scores.views.vertices[np.maximum(others, 0)]).astype(np.int64),
        matches.score.cpu().numpy().astype(np.float32),
        lead,
    )


def pick_points(n_cells: int, n_points: int, rng: np.random.Generator) -> Int[np.ndarray, " P"]:
    """Cells to label, ascending: a sample without repetition, or all if `n_points` is 0 or no fewer exist."""
    if n_points == 0 or n_points >= n_cells:
        return np.arange(n_cells)
    return np.sort(rng.choice(n_cells, n_points, replace=False))


def predict_points(
    scores: InstanceScores,
    xy: Float[np.ndarray, "P 2"],
    vertices: Int[np.ndarray, " Q"],
    pooling: Pooling,
) -> tuple[Int[np.ndarray, " P"], Float[np.ndarray, "Q 2"]]:
    """Both directions at given queries: the vertex at each pixel, and the best-scoring pixel of each vertex.

    Args:
        scores: of the instance.
        xy: full-image pixels; each takes the nearest foreground cell's answer.
        vertices: indices in [0, K) whose best pixel is asked for.
        pooling: over views.

    Returns:
        Template vertex ids (P,), and full-image pixels (Q, 2).
    """
    scores, rule = narrow(scores, pooling)
    cell, back = np.unique(nearest_cells(to_crop(xy, scores.frame), scores.centers), return_inverse=True)
    device = scores.views.rows.device
    picked, asked = torch.from_numpy(cell).to(device), torch.from_numpy(vertices).to(device)
    vertex = match_vertices(scores.similarity, picked, rule).vertex[:, 0].cpu().numpy()
    best = best_queries(scores.similarity, rule, asked).cpu().numpy()
    return scores.views.vertices[vertex[back]], from_crop(scores.centers[best], scores.frame)


def restrict(scores: InstanceScores, azimuths: tuple[tuple[float, float], ...]) -> InstanceScores:
    """The scores with the views within the intervals alone: `select_views` after the product."""
    if not azimuths:
        return scores
    return replace(scores, similarity=scores.similarity.select(views_within(scores.views, azimuths)))
