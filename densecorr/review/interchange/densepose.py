"""DensePose (CSE) JSON: points in the frame of the box, 256 a side, with `dp_vertex`. `dp_point_id` is ours."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from densecorr.datasets.densepose import dp_to_xy, xy_to_dp
from densecorr.errors import AnnotationError

from . import coco
from .types import ToolImage, ToolInstance, ToolPoint


def write(path: Path, images: Sequence[ToolImage]) -> None:
    """Write one COCO file with `dp_x`, `dp_y`, `dp_vertex`.

    Points that it has no place for are left out: unseen ones and those without a vertex.

    Raises:
        AnnotationError: an object without a box, which the points' frame hangs on.
    """
    coco.write_file(path, images, _fields)


def read(path: Path) -> list[ToolImage]:
    """Read the objects of a DensePose file that have vertices.

    Raises:
        AnnotationError: it is not one.
        DatasetNotFoundError: there is none.
    """
    return coco.read_file(path, "DensePose annotations", _instance)


def _fields(instance: ToolInstance) -> dict[str, Any]:
    if instance.xywh is None:
        raise AnnotationError("a box", f"none for {instance.instance_id}", "Write another format.")
    points = [
        point for point in instance.points if point.vertex is not None and point.vertex >= 0 and point.visible
    ]
    xy = np.array([(point.x, point.y) for point in points], np.float64).reshape(-1, 2)
    dp = xy_to_dp(xy, np.tile(np.array(instance.xywh, np.float64), (len(points), 1)))
    return {
        "instance_id": instance.instance_id,
        "dp_x": dp[:, 0].tolist(),
        "dp_y": dp[:, 1].tolist(),
        "dp_vertex": [point.vertex for point in points],
        "dp_point_id": [point.point_id for point in points],
    }


def _instance(annotation: dict[str, Any], category: str) -> ToolInstance | None:
    if "dp_vertex" not in annotation:
        return None
    vertices = annotation["dp_vertex"]
    dp = np.array([annotation["dp_x"], annotation["dp_y"]], np.float64).T.reshape(-1, 2)
    xy = dp_to_xy(dp, np.tile(np.array(annotation["bbox"], np.float64), (len(dp), 1)))
    ids = annotation.get("dp_point_id", [None] * len(vertices))
    points = tuple(
        ToolPoint(float(x), float(y), int(vertex), True, number)
        for (x, y), vertex, number in zip(xy, vertices, ids, strict=True)
    )
    return ToolInstance(
        category,
        points,
        annotation.get("instance_id"),
        coco.box_of(annotation),
        complete=False,
    )
