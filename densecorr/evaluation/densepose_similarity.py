"""How alike each detection and each annotation of an image are: GPS at the annotated points, and the silhouettes' IoU.

Both protocols share this; they differ in where a point falls, in kappa and in how part masks are enlarged.
"""

import mmap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int, Int64

from ..errors import AnnotationError
from .densepose_masks import Patch, patch_iou
from .densepose_types import DensePoseDetection, DensePoseSet, DensePoseTruth
from .gps import KAPPA

Metric = Literal["gps", "gpsm", "segm-iou"]
PART_KAPPA = np.array([0.0, 0.351, 0.107, 0.126, 0.237, 0.173, 0.142, 0.128, 0.150])
"""Metres, by coarse part: torso, hand, foot, upper leg, lower leg, upper arm, lower arm, head."""
COARSE_PART = np.array([0, 1, 1, 2, 2, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 6, 6, 6, 6, 7, 7, 7, 7, 8, 8])
"""The coarse part of each of the 24 chart parts; 0 is background."""
HUMAN_MESH = "smpl_27554"


@dataclass(frozen=True)
class PointRule:
    """Where an annotated point falls in a detection's box, and how wide its tolerance is.

    Attributes:
        side: of the annotation frame that maps onto the box: 255 in the reference evaluator, 256 in training code.
        truncate: the pixel is the offset from the detection's corner, cut towards zero (so that up to a pixel left of
            the box counts as inside); else the pixel of the image that the point is nearest to.
        part_kappa: on the human mesh, the tolerance of the point's part where the annotation names it.
        kappa: metres, for all other points.
    """

    side: float = 255.0
    truncate: bool = True
    part_kappa: bool = True
    kappa: float = KAPPA


REFERENCE = PointRule()
CORRECTED = PointRule(side=256.0, truncate=False, part_kappa=False)


@dataclass(frozen=True)
class PointPairs:
    """D detections at the P points of all scored annotations of one image.

    `vertex` is -1 outside box or silhouette; `start` has the first point of each of the G scored annotations, and P.
    """

    vertex: Int64[np.ndarray, "D P"]
    start: Int64[np.ndarray, " G1"]


def vertices_at_points(
    detections: Sequence[DensePoseDetection],
    vertices: Sequence[Int[np.ndarray, "_ _"]],
    truths: Sequence[DensePoseTruth],
    rule: PointRule,
) -> PointPairs:
    """The vertex that each detection says at each annotated point of annotations with points."""
    lengths = [0 if truth.dp is None else len(truth.dp) for truth in truths]
    start = np.cumsum([0, *lengths])
    points = [_image_points(truth, rule) for truth in truths if truth.dp is not None]
    xy = np.concatenate(points) if points else np.zeros((0, 2))
    found = np.full((len(detections), len(xy)), -1, dtype=np.int64)
    boxes = np.array([detection.xywh for detection in detections], dtype=np.float64).reshape(-1, 4, 1)
    if rule.truncate:
        px, py = (xy[:, 0] - boxes[:, 0]).astype(np.int64), (xy[:, 1] - boxes[:, 1]).astype(np.int64)
    else:
        px, py = (np.rint(xy[:, axis]) - np.trunc(boxes[:, axis]) for axis in (0, 1))
        px, py = px.astype(np.int64), py.astype(np.int64)
    width, height = np.trunc(boxes[:, 2]), np.trunc(boxes[:, 3])
    inside = (px >= 0) & (px < width) & (py >= 0) & (py < height)
    for row, array in enumerate(vertices):
        own = np.flatnonzero(inside[row])
        if len(own):
            found[row, own] = array.reshape(-1).take(py[row, own] * array.shape[1] + px[row, own])
    return PointPairs(found, start)


def _image_points(truth: DensePoseTruth, rule: PointRule) -> Float[np.ndarray, "P 2"]:
    x, y, w, h = truth.xywh
    assert truth.dp is not None
    placed = np.stack([truth.dp[:, 0] * w / rule.side + x, truth.dp[:, 1] * h / rule.side + y], axis=1)
    return (
        placed if rule.truncate else placed - 0.5
    )  # a COCO box counts edges; pixel centres are whole numbers


def geodesic_point_similarities(
    pairs: PointPairs,
    detections: Sequence[DensePoseDetection],
    truths: Sequence[DensePoseTruth],
    scored: DensePoseSet,
    rule: PointRule,
) -> Float[np.ndarray, "D G"]:
    """GPS of each detection and annotation; 0 for an annotation without points, or with all of them missed.

    Distances are float32; without part kappas so are the similarities and their mean, as in the reference evaluator.
    """
    similarity = np.zeros((len(detections), len(truths)))
    with np.errstate(
        divide="ignore", invalid="ignore"
    ):  # part 0 has no tolerance: 0 / 0 there, as in the original
        for column, truth in enumerate(truths):
            first, last = pairs.start[column], pairs.start[column + 1]
            if first == last:
                continue
            answered = np.flatnonzero((pairs.vertex[:, first:last] >= 0).any(axis=1))
            if not len(answered):
                continue
            own = [detections[row] for row in answered.tolist()]
            vertex = _on_mesh(pairs.vertex[answered, first:last], own, truth, scored)
            distance = _distances(np.asarray(scored.distances_of(truth.mesh)), truth.vertex, vertex)
            similarity[answered, column] = _similarities(distance, truth, rule).mean(axis=1)
    return similarity


def _similarities(
    distance: Float[np.ndarray, "D P"], truth: DensePoseTruth, rule: PointRule
) -> Float[np.ndarray, "D P"]:
    human = truth.mesh == HUMAN_MESH or truth.charted
    if not (rule.part_kappa and human and truth.part is not None):
        return np.exp(-(distance**2) / (2 * (rule.kappa**2)))
    kappa = PART_KAPPA[COARSE_PART[truth.part]]
    squared = (distance**2).astype(np.float64)
    if truth.charted:  # there, a point hit or missed exactly turns the instance's distances into float64
        wide = ((distance == 0) | np.isinf(distance)).any(axis=1)
        squared[wide] = distance[wide].astype(np.float64) ** 2
    return np.exp(-squared / (2 * (kappa**2)))


def _on_mesh(
    vertex: Int64[np.ndarray, "D P"],
    detections: Sequence[DensePoseDetection],
    truth: DensePoseTruth,
    scored: DensePoseSet,
) -> Int64[np.ndarray, "D P"]:
    """Predicted vertices on the annotation's mesh: those of another mesh go through the given map."""
    rows = [i for i, d in enumerate(detections) if d.mesh and d.mesh != truth.mesh and truth.mesh]
    if not rows:
        return vertex
    vertex = vertex.copy()
    for row in rows:
        names = (str(detections[row].mesh), truth.mesh)
        if names not in scored.vertex_maps:
            raise AnnotationError(
                f"results on the annotated mesh '{names[1]}', or a map to it",
                f"'{names[0]}' in result {detections[row].number}",
                f"Give --vertex-map {names[0]}:{names[1]}=map.npy.",
            )
        table = scored.vertex_maps[names]
        known = vertex[row] >= 0
        vertex[row, known] = table[vertex[row, known]]
    return vertex


def _distances(
    D: np.ndarray, true: Int64[np.ndarray, " P"], predicted: Int64[np.ndarray, "D P"]
) -> Float[np.ndarray, "D P"]:
    """Geodesics in float32, infinite where either vertex is unknown."""
    flat = D.reshape(-1)
    distance = flat.take(np.maximum(true, 0) * len(D) + np.maximum(predicted, 0)).astype(
        np.float32, copy=False
    )
    unknown = (predicted < 0) | (true < 0)
    if unknown.any():
        distance[unknown] = np.inf
    return distance


def release(matrices: Sequence[np.ndarray]) -> None:
    """Give the pages of mapped matrices back, so that a large matrix does not fill the process's memory."""
    for matrix in matrices:
        mapped = getattr(matrix, "_mmap", None)
        if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
            mapped.madvise(mmap.MADV_DONTNEED)


def silhouette_ious(
    detections: Sequence[Patch],
    truths: Sequence[Patch],
    crowd: Sequence[bool],
) -> Float[np.ndarray, "D G"]:
    """IoU of every detection's silhouette with every annotation's (crowds: over the detection's area)."""
    ious = np.zeros((len(detections), len(truths)))
    (left, top, right, bottom), (x0, y0, x1, y1) = _edges(detections), _edges(truths)
    overlap = (np.maximum(left[:, None], x0) < np.minimum(right[:, None], x1)) & (
        np.maximum(top[:, None], y0) < np.minimum(bottom[:, None], y1)
    )
    for d, t in np.argwhere(overlap).tolist():
        ious[d, t] = patch_iou(detections[d], truths[t], crowd[t])
    return ious


def _edges(patches: Sequence[Patch]) -> Int64[np.ndarray, "4 N"]:
    rows = [(p.x0, p.y0, p.x0 + p.pixels.shape[1], p.y0 + p.pixels.shape[0]) for p in patches]
    return np.array(rows, dtype=np.int64).reshape(-1, 4).T


def check_vertices(detection: DensePoseDetection, vertices: Int[np.ndarray, "h w"], count: int) -> None:
    """Refuse vertices that the mesh does not have.

    Raises:
        AnnotationError: a vertex below -1 or past the end.
    """
    if vertices.size == 0:
        return
    low, high = int(vertices.min()), int(vertices.max())
    if low < -1 or high >= count:
        raise AnnotationError(
            f"vertices in [0, {count}), or -1 outside the object",
            f"{high if high >= count else low} in result {detection.number}",
            "Use the results of a model of this mesh, and its geodesics.",
        )
