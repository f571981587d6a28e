"""Label sets as results: points labelled here and there in an object become the vertex of each pixel of its box."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Integer
from scipy.spatial import KDTree

from ..errors import AnnotationError, SettingsError
from ..records import LabelRecord
from .densepose_types import DensePoseDetection, DensePoseTruth, Xywh


def results_of_labels(
    labels: Sequence[LabelRecord], truths: Sequence[DensePoseTruth], reach: float
) -> tuple[DensePoseDetection, ...]:
    """One result an instance, in the box of its annotation; of several label sets for one instance the last counts.

    The score is the mean of the labels' scores, 1 without any. Vertices are taken to be of the annotated mesh, unless
    the labels' template is the mesh of other annotations.

    Args:
        labels: rows whose `instance_id` is `<source>/<annotation id>`, as the data set's ingest made them.
        truths: the annotations, whose boxes count.
        reach: pixels; a pixel takes the vertex of the nearest labelled point up to so far from its centre, else -1.

    Raises:
        SettingsError: a reach that is not a distance.
        AnnotationError: labels of an instance that the annotations do not have.
    """
    if not (np.isfinite(reach) and reach >= 0):
        raise SettingsError("a reach of at least 0 pixels", f"{reach}", "Correct --reach.")
    by_id = {str(truth.id): truth for truth in truths}
    meshes = {truth.mesh for truth in truths}
    last = {label.instance_id: label for label in labels}
    results = []
    for number, label in enumerate(last.values()):
        truth = by_id.get(label.instance_id.partition("/")[2])
        if truth is None:
            raise AnnotationError(
                "labels of annotated instances, named <source>/<annotation id>",
                f"'{label.instance_id}', which none of {len(by_id)} annotations is",
                "Score the labels on the annotations of their own data set.",
            )
        results.append(
            DensePoseDetection(
                number=number,
                image_id=truth.image_id,
                category_id=truth.category_id,
                score=_mean_score(label),
                xywh=truth.xywh,
                vertices=spread_labels(label, truth.xywh, reach),
                mesh=label.template_id if label.template_id in meshes else None,
            )
        )
    return tuple(results)


def spread_labels(label: LabelRecord, xywh: Xywh, reach: float) -> Integer[np.ndarray, "h w"]:
    """The vertex of the labelled point nearest to each pixel of a box, -1 where none is within `reach` pixels.

    Row and column are those of the image pixel less the box's corner, both cut to whole numbers. Labels without a
    vertex do not count.
    """
    x0, y0 = int(xywh[0]), int(xywh[1])
    w, h = max(int(xywh[2]), 1), max(int(xywh[3]), 1)
    vertex = np.asarray(label.vertex, dtype=np.int64)
    xy = np.stack([label.x, label.y], axis=1).astype(np.float64)
    known = (vertex >= 0) & np.isfinite(xy).all(axis=1)
    small = not known.any() or vertex[known].max() <= np.iinfo(np.int16).max
    spread = np.full((h, w), -1, dtype=np.int16 if small else np.int32)  # half the memory of a large data set
    if known.any():
        rows, columns = np.indices((h, w)).reshape(2, -1)
        pixels = np.stack([columns + x0, rows + y0], axis=1)
        distance, nearest = KDTree(xy[known]).query(pixels, distance_upper_bound=reach + 1.0)
        near = distance <= reach  # the bound of the query leaves itself out
        spread[rows[near], columns[near]] = vertex[known][np.asarray(nearest)[near]]
    return spread


def _mean_score(label: LabelRecord) -> float:
    if label.score is None:
        return 1.0
    scores = np.asarray(label.score, dtype=np.float64)
    finite = scores[np.isfinite(scores)]
    return float(finite.mean()) if len(finite) else 1.0
