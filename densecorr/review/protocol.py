"""Annotating from scratch by the DensePose protocol: delineate parts, then annotate points spread over each of them.

Source: R. A. Guler's thesis, sec. 4.2.1: "we sample every part region with a set of roughly equidistant points obtained
via k-means", their number "varies based on the size of the part", at most 14 a part. How it varies is not stated: here
it is proportional to the part's area, the instance's largest part having 14.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from densecorr.datasets.segmentations import compress_segmentation
from densecorr.errors import SettingsError

from .thin import farthest_first


@dataclass(frozen=True)
class ProtocolSettings:
    """How points are spread.

    Attributes:
        most: points of the largest part (DensePose: 14).
        least: points of the smallest part that has a pixel.
        pixels: of a part that k-means looks at; larger parts are thinned on a regular grid.
    """

    most: int = 14
    least: int = 1
    pixels: int = 4096

    def __post_init__(self) -> None:
        """Refuse counts that mean nothing."""
        if not 1 <= self.least <= self.most <= self.pixels:
            raise SettingsError("1 <= least <= most <= pixels", str(self), "Correct the protocol's settings.")


@dataclass(frozen=True)
class SpreadPoints:
    """Points to annotate: whole pixels (x, y) and the part of each, its place in `names`."""

    xy: Int[np.ndarray, "P 2"]
    part: Int[np.ndarray, " P"]
    names: tuple[str, ...]


def fill_polygons(
    polygons: Sequence[Sequence[float | int]], height: int, width: int
) -> Bool[np.ndarray, "H W"]:
    """The pixels inside any of the polygons (x, y, x, y, ...; full-image pixels with centres at integers).

    Raises:
        AnnotationError: polygons of fewer than three points, or far off the image.
    """
    from pycocotools import mask as coco_mask

    shifted = [(np.asarray(polygon, dtype=np.float64) + 0.5).tolist() for polygon in polygons]
    runs = compress_segmentation(shifted, height, width)
    if runs is None:
        return np.zeros((height, width), dtype=bool)
    encoded: Any = {"size": runs["size"], "counts": runs["counts"].encode("ascii")}
    return coco_mask.decode(encoded) > 0


def points_per_part(
    areas: Float[np.ndarray, " K"] | Int[np.ndarray, " K"], settings: ProtocolSettings = ProtocolSettings()
) -> Int[np.ndarray, " K"]:
    """How many points each part gets, by its area in pixels; none without a pixel, never more than it has pixels."""
    largest = max(float(areas.max(initial=0)), 1.0)
    wanted = np.clip(np.rint(settings.most * areas / largest), settings.least, settings.most)
    return np.minimum(wanted, areas).astype(np.int64)


def spread_points(
    mask: Bool[np.ndarray, "H W"], n_points: int, settings: ProtocolSettings = ProtocolSettings()
) -> Int[np.ndarray, "n 2"]:
    """Roughly equidistant pixels of a part: k-means from farthest-first centres, each moved to a pixel of the part.

    Nothing is drawn, so equal masks give equal points. All points are different; they are sorted by y, then x.

    Args:
        mask: the part.
        n_points: at most as many as it has pixels.
        settings: of thinning.
    """
    from sklearn.cluster import KMeans

    ys, xs = np.nonzero(mask)
    inside = np.column_stack([xs, ys]).astype(np.float64)
    if n_points == 0 or not len(inside):
        return np.zeros((0, 2), dtype=np.int64)
    n_points = min(n_points, len(inside))
    step = max(1, int(np.ceil(np.sqrt(len(inside) / settings.pixels))))
    grid = (xs % step == 0) & (ys % step == 0)
    seen = inside[grid] if grid.sum() >= n_points else inside
    begin: Any = seen[farthest_first(seen, n_points)]  # its stub, and that of n_init, know a word only
    once: Any = 1
    means = KMeans(n_points, init=begin, n_init=once, max_iter=100).fit(seen)
    chosen = np.zeros(len(inside), dtype=bool)
    for centre in means.cluster_centers_.round(6):
        distance = np.square(inside - centre).sum(axis=1)
        chosen[np.argmin(np.where(chosen, np.inf, distance))] = True
    return inside[chosen].astype(np.int64)


def spread_over_parts(
    parts: Mapping[str, Sequence[Sequence[float | int]]],
    height: int,
    width: int,
    settings: ProtocolSettings = ProtocolSettings(),
) -> SpreadPoints:
    """The points to annotate on delineated parts (`state.ReviewState.parts`).

    Args:
        parts: polygons of each part, as in `fill_polygons`; where parts overlap, both have the pixels.
        height: of the image, pixels.
        width: of the image, pixels.
        settings: how many points.

    Raises:
        AnnotationError: see `fill_polygons`.
    """
    names = tuple(parts)
    masks = [fill_polygons(parts[name], height, width) for name in names]
    counts = points_per_part(np.array([mask.sum() for mask in masks], dtype=np.int64), settings)
    spread = [spread_points(mask, int(n), settings) for mask, n in zip(masks, counts, strict=True)]
    xy = np.concatenate([np.zeros((0, 2), dtype=np.int64), *spread])
    return SpreadPoints(xy, np.repeat(np.arange(len(names)), [len(points) for points in spread]), names)
