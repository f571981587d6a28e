"""The object's own mask under review: polygons that take the place of the data set's mask.

They are the part `OBJECT` of a review state and, once reviewed, stand in the label set's `extra` as
`corrected_mask`, so that they go wherever the label set goes. Polygons are (x, y, x, y, ...) in full-image pixels
with centres at integers; like COCO's, several are united and have no holes.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from densecorr.datasets.segmentations import compress_segmentation
from densecorr.errors import AnnotationError
from densecorr.records import LabelRecord

from .protocol import fill_polygons

OBJECT = "object"  # no template names a part so; the panel neither lists it nor spreads points over it
KEY = "corrected_mask"
TOLERANCE = 0.02  # pixels, of a corner or a point: CVAT rounds to hundredths

Polygons = Sequence[Sequence[float | int]]


def corrected_polygons(label: LabelRecord) -> list[list[float]] | None:
    """The mask that reviewers gave the object of a label set, None where the data set's holds."""
    return label.extra.get(KEY)


def to_edges(polygons: Polygons) -> list[list[float]]:
    """Polygons in COCO's edge coordinates, where the centre of pixel 0 is 0.5."""
    return [[value + 0.5 for value in polygon] for polygon in polygons]


def from_edges(polygons: Polygons) -> list[list[float]]:
    """The inverse of `to_edges`."""
    return [[value - 0.5 for value in polygon] for polygon in polygons]


def polygons_area(polygons: Polygons) -> float:
    """The sum of the polygons' areas, square pixels to a tenth."""
    total = 0.0
    for polygon in polygons:
        x, y = np.asarray(polygon, dtype=np.float64).reshape(-1, 2).T
        total += abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2
    return round(total, 1)


def corrected_silhouette(label: LabelRecord, height: int, width: int) -> dict[str, Any] | None:
    """The corrected mask as a silhouette {"size": [h, w], "counts": text}, None where the data set's holds.

    Raises:
        AnnotationError: as `fill_polygons`.
    """
    polygons = corrected_polygons(label)
    return compress_segmentation(None if polygons is None else to_edges(polygons), height, width)


def same_mask(one: Polygons, other: Polygons, height: int, width: int) -> bool:
    """Whether two masks have the same corners, up to `TOLERANCE`, in whatever order, or the same pixels.

    Rounding a corner that lies on the rasteriser's grid can change a whole row of pixels, so equal corners are enough.
    No other difference is let pass: what an annotator did must not be lost, however small beside the object.

    Raises:
        AnnotationError: as `fill_polygons`.
    """
    filled, expected = (fill_polygons(polygons, height, width) for polygons in (one, other))
    return bool(np.array_equal(filled, expected)) or _same_corners(_corners(one), _corners(other))


def check_mask(polygons: Polygons, height: int, width: int) -> None:
    """Refuse a mask without a pixel in the image.

    Raises:
        AnnotationError: it has none, or see `fill_polygons`.
    """
    if not fill_polygons(polygons, height, width).any():
        raise AnnotationError(
            "a mask with a pixel in the image", "one without", "Correct its polygons in the tool."
        )


def _corners(polygons: Polygons) -> Float[np.ndarray, "n 2"]:
    return np.array([value for polygon in polygons for value in polygon], np.float64).reshape(-1, 2)


def _same_corners(one: Float[np.ndarray, "n 2"], other: Float[np.ndarray, "m 2"]) -> bool:
    from scipy.spatial import KDTree

    if not len(one) or not len(other):
        return len(one) == len(other)
    there, back = (KDTree(a).query(b, p=np.inf)[0] for a, b in ((one, other), (other, one)))
    return bool(max(np.max(there), np.max(back)) <= TOLERANCE)
