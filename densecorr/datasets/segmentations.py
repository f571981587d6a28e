"""COCO's three forms of a segmentation (polygons, runs, compressed runs) as one: compressed runs."""

from collections.abc import Sequence
from typing import Any, overload

from .checks import check_polygons, check_rle
from .coco_types import Rle


def compress_segmentation(
    segmentation: Sequence[Sequence[float | int]] | Rle | None, height: int, width: int
) -> dict[str, Any] | None:
    """The silhouette {"size": [h, w], "counts": text} of a segmentation; None for none or an empty one.

    Several polygons are united. Polygons are filled as pycocotools fills them.

    Raises:
        AnnotationError: `checks.check_polygons`, `checks.check_rle`.
    """
    if not segmentation:
        return None
    from pycocotools import mask as coco_mask

    if isinstance(segmentation, Rle):
        check_rle(segmentation, height, width)
        if isinstance(segmentation.counts, str):
            return {"size": [height, width], "counts": segmentation.counts}
        runs: Any = {"size": [height, width], "counts": segmentation.counts}
        packed: Any = coco_mask.frPyObjects(runs, height, width)
    else:
        check_polygons(segmentation, height, width)
        polygons: Any = segmentation
        packed = coco_mask.merge(coco_mask.frPyObjects(polygons, height, width))
    return {"size": [height, width], "counts": packed["counts"].decode("ascii")}


def pack_segmentation(
    segmentation: Sequence[Sequence[float | int]] | Rle | None, height: int, width: int
) -> dict[str, Any] | None:
    """A segmentation as the column holds it: size, and either counts or, as they are, polygons.

    Raises:
        AnnotationError: `checks.check_polygons`, `checks.check_rle`.
    """
    if not segmentation or isinstance(segmentation, Rle):
        runs = compress_segmentation(segmentation, height, width)
        return None if runs is None else {**runs, "polygons": None}
    check_polygons(segmentation, height, width)
    return {"size": [height, width], "counts": None, "polygons": segmentation}


@overload
def as_runs(silhouette: dict[str, Any]) -> dict[str, Any]: ...
@overload
def as_runs(silhouette: None) -> None: ...
def as_runs(silhouette: dict[str, Any] | None) -> dict[str, Any] | None:
    """A value of the column silhouette as compressed runs {"size": [h, w], "counts": text}; polygons are filled."""
    if silhouette is None:
        return None
    height, width = silhouette["size"]
    if silhouette["counts"] is not None:
        return {"size": [height, width], "counts": silhouette["counts"]}
    from pycocotools import mask as coco_mask

    packed: Any = coco_mask.merge(coco_mask.frPyObjects(silhouette["polygons"], height, width))
    return {"size": [height, width], "counts": packed["counts"].decode("ascii")}


def silhouette_area(silhouette: dict[str, Any]) -> float:
    """The number of pixels of a compressed run-length encoding."""
    return float(_measure("area", silhouette))


def silhouette_box(silhouette: dict[str, Any]) -> tuple[float, float, float, float]:
    """The COCO box (x, y, w, h) of a compressed run-length encoding."""
    x, y, w, h = _measure("toBbox", silhouette).tolist()
    return (x, y, w, h)


def _measure(name: str, silhouette: dict[str, Any]) -> Any:
    from pycocotools import mask as coco_mask

    return getattr(coco_mask, name)({**silhouette, "counts": silhouette["counts"].encode("ascii")})
