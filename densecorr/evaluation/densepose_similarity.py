"""How alike each detection and each annotation of an image are: GPS at the annotated points.

Both protocols share this; they differ in where a point falls and in kappa.
"""

import mmap
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int, Int64

from ..errors import AnnotationError
from .densepose_types import DensePoseDetection, DensePoseSet, DensePoseTruth
from .gps import KAPPA

Metric = Literal["gps", "gpsm", "segm-iou"]
PART_KAPPA = np.array([0.0, 0.351, 0.107, 0.126, 0.237, 0.173, 0.142, 0.128, 0.150])
"""Metres, by coarse part: torso, hand, foot, upper leg, lower leg, upper arm, lower arm, head."""
COARSE_PART = np.array([0, 1, 1, 2, 2, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 6, 6, 6, 6, 7, 7, 7, 7, 8, 8])
"""The coarse part of each of the 24 chart parts; 0 is background."""
HUMAN_MESH = "smpl_27554"
KEPT_BYTES = 2**28
"""Mapped geodesics that may stay in memory."""


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
    scored = [truth for truth in truths if truth.dp is not None]
    start = np.cumsum([0, *(0 if truth.dp is None else len(truth.dp) for truth in truths)])
    boxes = np.array([detection.xywh for detection in detections], dtype=np.float64).reshape(-1, 4, 1)
    x, y = _image_points(scored, rule).T
    if rule.truncate:
        px, py = (x - boxes[:, 0]).astype(np.int64), (y - boxes[:, 1]).astype(np.int64)
    else:
        px, py = ((np.rint(v) - np.trunc(boxes[:, i])).astype(np.int64) for i, v in enumerate((x, y)))
    width, height = np.trunc(boxes[:, 2]), np.trunc(boxes[:, 3])
    inside = (px >= 0) & (px < width) & (py >= 0) & (py < height)
    columns = np.array([array.shape[1] for array in vertices], dtype=np.int64)
    place = np.where(inside, py * columns[:, None] + px, 0)
    found = np.full(inside.shape, -1, dtype=np.int64)
    for row, array in enumerate(vertices):
        if array.size:
            found[row] = array.reshape(-1).take(place[row])
    found[~inside] = -1
    return PointPairs(found, start)


def _image_points(truths: Sequence[DensePoseTruth], rule: PointRule) -> Float[np.ndarray, "P 2"]:
    points = [truth.dp for truth in truths if truth.dp is not None]
    if not points:
        return np.zeros((0, 2))
    boxes = np.repeat(np.array([truth.xywh for truth in truths]), [len(dp) for dp in points], axis=0)
    placed = np.concatenate(points) * boxes[:, 2:] / rule.side + boxes[:, :2]
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

    A vertex that only a larger mesh of the same category has is a miss.

    Distances are float32; without part kappas so are the similarities and their mean, as in the reference evaluator.
    """
    similarity = np.zeros((len(detections), len(truths)))
    alike: dict[tuple[str, bool, bool], list[int]] = defaultdict(
        list
    )  # annotations that are computed together
    for column, truth in enumerate(truths):
        if pairs.start[column] < pairs.start[column + 1]:
            human = truth.mesh == HUMAN_MESH or truth.charted
            alike[truth.mesh, rule.part_kappa and human and truth.part is not None, truth.charted].append(
                column
            )
    for (mesh, by_part, charted), columns in alike.items():
        own = [truths[column] for column in columns]
        spans = [(int(pairs.start[column]), int(pairs.start[column + 1])) for column in columns]
        vertex = pairs.vertex
        if len(columns) < len(truths):
            vertex = np.concatenate([vertex[:, first:last] for first, last in spans], axis=1)
        vertex = _on_mesh(vertex, detections, mesh, scored)
        true = np.concatenate([truth.vertex for truth in own])
        D = np.asarray(scored.distances_of(mesh))
        known = np.flatnonzero((vertex >= 0) & (vertex < len(D)) & (true >= 0))
        point = known % max(len(true), 1)
        distance = D.reshape(-1).take(true[point] * len(D) + vertex.reshape(-1)[known])
        distance = distance.astype(np.float32, copy=False)
        if np.isnan(distance).any():
            raise AnnotationError(
                "geodesic distances (infinite between parts that nothing joins)",
                f"NaN in those of '{mesh}'",
                "Solve the distances again.",
            )
        ends = np.cumsum([last - first for first, last in spans]).tolist()
        values = np.zeros(vertex.shape, dtype=np.float64 if by_part else np.float32)  # infinitely far: 0
        if not by_part:
            similar = np.exp(-(distance**2) / (2 * (rule.kappa**2)))
        else:
            squared = (distance**2).astype(np.float64)
            if charted:
                wide = _wide(vertex.shape, known, distance, ends)
                squared[wide] = distance[wide].astype(np.float64) ** 2
            kappa = PART_KAPPA[
                COARSE_PART[np.concatenate([truth.part for truth in own if truth.part is not None])]
            ][point]
            with np.errstate(divide="ignore", invalid="ignore"):  # part 0 has no tolerance: 0 / 0, as there
                similar = np.exp(-squared / (2 * (kappa**2)))
        values.reshape(-1)[known] = similar
        for column, first, last in zip(columns, [0, *ends], ends, strict=False):
            similarity[:, column] = values[:, first:last].mean(axis=1)
    return similarity


def _wide(
    shape: tuple[int, ...],
    known: Int64[np.ndarray, " N"],
    distance: Float[np.ndarray, " N"],
    ends: Sequence[int],
) -> Bool[np.ndarray, " N"]:
    """With charts, a point hit or missed exactly turns the instance's distances into float64, in the original."""
    exact = np.ones(shape, dtype=bool)
    exact.reshape(-1)[known] = (distance == 0) | np.isinf(distance)
    for first, last in zip([0, *ends], ends, strict=False):
        exact[:, first:last] = exact[:, first:last].any(axis=1, keepdims=True)
    return exact.reshape(-1)[known]


def _on_mesh(
    vertex: Int64[np.ndarray, "D P"],
    detections: Sequence[DensePoseDetection],
    mesh: str,
    scored: DensePoseSet,
) -> Int64[np.ndarray, "D P"]:
    """Predicted vertices on the annotations' mesh: those of another mesh go through the given map."""
    rows = [i for i, d in enumerate(detections) if d.mesh and d.mesh != mesh and mesh]
    if not rows:
        return vertex
    vertex = vertex.copy()
    for row in rows:
        known = vertex[row] >= 0
        if not known.any():
            continue
        names = (str(detections[row].mesh), mesh)
        if names not in scored.vertex_maps:
            raise AnnotationError(
                f"results on the annotated mesh '{names[1]}', or a map to it",
                f"'{names[0]}' in result {detections[row].number}",
                f"Give --vertex-map {names[0]}:{names[1]}=map.npy.",
            )
        vertex[row, known] = scored.vertex_maps[names][vertex[row, known]]
    return vertex


def vertex_count(detection: DensePoseDetection, meshes: Sequence[str], scored: DensePoseSet) -> int:
    """Vertices of the mesh that a detection is on: an annotated one of `meshes`, or one that a map starts from."""
    own = [mesh for mesh in meshes if mesh == detection.mesh]
    pairs = [(str(detection.mesh), mesh) for mesh in meshes]
    maps = [scored.vertex_maps[pair] for pair in pairs if pair in scored.vertex_maps]
    if maps and not own:
        return min(map(len, maps))
    return max(len(scored.distances_of(mesh)) for mesh in own or meshes)


def release(matrices: Sequence[np.ndarray]) -> None:
    """Give the pages of mapped matrices back where together they could fill the process's memory."""
    if sum(matrix.nbytes for matrix in matrices) <= KEPT_BYTES:
        return
    for matrix in matrices:
        mapped = getattr(matrix, "_mmap", None)
        if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
            mapped.madvise(mmap.MADV_DONTNEED)


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
