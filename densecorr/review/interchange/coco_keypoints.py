"""COCO keypoint JSON, which nearly every tool reads and writes (CVAT: "COCO Keypoints 1.0").

A category's keypoints are `point_0`, `point_1`, ...: a position a point id. COCO has no place for a vertex, so that
stands in each annotation's `attributes` (which CVAT keeps) as text; a tool that drops it keeps the position, and
the vertex is then taken from the label set by the point's id.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import coco
from .types import ToolImage, ToolInstance, ToolPoint

_VISIBLE, _HIDDEN, _ABSENT = 2, 1, 0


def write(path: Path, images: Sequence[ToolImage]) -> None:
    """Write one COCO keypoint file; the ids of points are positions in the list of keypoints.

    Points without an id are numbered after those of their object that have one.
    """
    slots: dict[str, int] = {}
    for instance in (one for image in images for one in image.instances):
        slots[instance.category] = max(slots.get(instance.category, 0), max(_ids(instance), default=-1) + 1)

    def fields(instance: ToolInstance) -> dict[str, Any]:
        keypoints = [0.0, 0.0, _ABSENT] * slots[instance.category]
        vertices = {}
        for i, point in zip(_ids(instance), instance.points, strict=True):
            keypoints[3 * i : 3 * i + 3] = [point.x, point.y, _VISIBLE if point.visible else _HIDDEN]
            vertices[str(i)] = point.vertex
        return {
            "keypoints": keypoints,
            "num_keypoints": len(instance.points),
            "attributes": {"instance_id": instance.instance_id or "", "vertices": json.dumps(vertices)},
        }

    coco.write_file(
        path,
        images,
        fields,
        lambda name: {"keypoints": [f"point_{i}" for i in range(slots[name])], "skeleton": []},
    )


def read(path: Path) -> list[ToolImage]:
    """Read a COCO keypoint file.

    Raises:
        AnnotationError: it is not one.
        DatasetNotFoundError: there is none.
    """
    return coco.read_file(path, "COCO keypoints", _instance)


def _ids(instance: ToolInstance) -> list[int]:
    given = [point.point_id for point in instance.points]
    free = max((i for i in given if i is not None), default=-1) + 1
    ids = []
    for i in given:
        ids.append(free if i is None else i)
        free += i is None
    return ids


def _instance(annotation: dict[str, Any], category: str) -> ToolInstance:
    attributes = annotation.get("attributes") or {}
    vertices = json.loads(attributes.get("vertices") or "{}")
    values = annotation["keypoints"]
    points = tuple(
        ToolPoint(
            float(x), float(y), None if str(i) not in vertices else int(vertices[str(i)]), flag != _HIDDEN, i
        )
        for i, (x, y, flag) in enumerate(zip(values[::3], values[1::3], values[2::3], strict=True))
        if flag != _ABSENT
    )
    return ToolInstance(
        category,
        points,
        attributes.get("instance_id") or None,
        coco.box_of(annotation),
    )
