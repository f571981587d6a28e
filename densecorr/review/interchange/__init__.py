"""Points and masks under review to and from other annotation tools: one file a format, read and write in each.

A format is a pair of functions: `write(path, images)` and `read(path) -> list[ToolImage]`.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from . import coco_keypoints, cvat, densepose, label_studio
from .types import ToolImage, ToolInstance, ToolPoint

__all__ = ["FORMATS", "ToolImage", "ToolInstance", "ToolPoint"]

Write = Callable[[Path, Sequence[ToolImage]], None]
Read = Callable[[Path], list[ToolImage]]

FORMATS: dict[str, tuple[Write, Read]] = {
    "coco-keypoints": (coco_keypoints.write, coco_keypoints.read),
    "cvat": (cvat.write, cvat.read),
    "densepose": (densepose.write, densepose.read),
    "label-studio": (label_studio.write, label_studio.read),
}
