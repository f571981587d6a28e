"""The similarities of every detection and annotation of a DensePose set, one image and category after another."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from .densepose_masks import paste, silhouette_ious, truth_patch
from .densepose_similarity import (
    CORRECTED,
    REFERENCE,
    Metric,
    PointRule,
    check_vertices,
    geodesic_point_similarities,
    release,
    vertex_count,
    vertices_at_points,
)
from .densepose_types import DensePoseSet, Id, ImageGroup

__all__ = ["Metric", "Protocol", "group_similarities", "measure_similarities"]

Protocol = Literal["reference", "corrected"]
Similarities = tuple[dict[Metric, np.ndarray], np.ndarray]  # by metric, and the silhouettes' areas
IMAGES_BETWEEN_RELEASES = 4


def measure_similarities(
    scored: DensePoseSet,
    metrics: Sequence[Metric],
    kappa: float,
    groups: Mapping[Protocol, Sequence[ImageGroup]],
    progress: Callable[[int, int], object] | None,
) -> dict[Protocol, list[Similarities]]:
    """The similarities of every group, in the groups' order; each array of vertices is read once."""
    together: dict[tuple[Id, Id], dict[Protocol, ImageGroup]] = {}
    for protocol, own in groups.items():
        for group in own:
            together.setdefault((group.category_id, group.image.id), {})[protocol] = group
    rules: dict[Protocol, PointRule] = {
        "reference": replace(REFERENCE, kappa=kappa),
        "corrected": replace(CORRECTED, kappa=kappa),
    }
    measured: dict[tuple[Protocol, tuple[Id, Id]], Similarities] = {}
    for number, (key, own) in enumerate(together.items()):
        detections = {d.number: d for group in own.values() for d in group.detections}
        vertices = {n: detection.load() for n, detection in detections.items()}
        for protocol, group in own.items():
            measured[protocol, key] = group_similarities(
                group,
                [vertices[detection.number] for detection in group.detections],
                scored,
                metrics,
                rules[protocol],
                corner_aligned=protocol == "reference",
            )
        if number % IMAGES_BETWEEN_RELEASES == 0:  # pages of mapped geodesics are given back now and then
            release(list(scored.geodesics.values()))
            if progress is not None:
                progress(number, len(together))
    return {
        protocol: [measured[protocol, (group.category_id, group.image.id)] for group in own]
        for protocol, own in groups.items()
    }


def group_similarities(
    group: ImageGroup,
    arrays: Sequence[Int[np.ndarray, "_ _"]],
    scored: DensePoseSet,
    metrics: Sequence[Metric],
    rule: PointRule,
    *,
    corner_aligned: bool,
) -> tuple[dict[Metric, Float[np.ndarray, "D G"]], Float[np.ndarray, " D"]]:
    """Each metric's similarity of each detection and annotation of an image and category; the silhouettes' areas.

    `arrays` are the vertices of each detection's box.
    """
    silhouettes = [array >= 0 for array in arrays]
    areas = np.array([np.count_nonzero(silhouette) for silhouette in silhouettes], dtype=np.float64)
    if not group.truths or not group.detections:
        return dict.fromkeys(metrics, np.zeros((len(group.detections), len(group.truths)))), areas
    known = [truth.mesh for truth in group.truths if truth.dp is not None and scored.geodesics]
    for detection, array in zip(group.detections, arrays, strict=True):
        if known:
            check_vertices(detection, array, vertex_count(detection, known, scored))
    values: dict[Metric, np.ndarray] = {}
    if set(metrics) & {"gps", "gpsm"}:
        pairs = vertices_at_points(group.detections, arrays, group.truths, rule)
        values["gps"] = geodesic_point_similarities(pairs, group.detections, group.truths, scored, rule)
    if set(metrics) & {"gpsm", "segm-iou"}:
        height, width = group.image.height, group.image.width
        patches = [
            paste(s, d.xywh, height, width) for s, d in zip(silhouettes, group.detections, strict=True)
        ]
        true = [truth_patch(t, height, width, corner_aligned=corner_aligned) for t in group.truths]
        needed = None if "segm-iou" in metrics else values["gps"] != 0  # 0 times an IoU is 0
        values["segm-iou"] = silhouette_ious(patches, true, [t.iscrowd for t in group.truths], needed)
    if "gpsm" in metrics:
        values["gpsm"] = np.sqrt(values["segm-iou"] * values["gps"])
    return values, areas
