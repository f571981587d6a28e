"""What every tool can hold of a label set. Positions are full-image pixels, centres at integers."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from densecorr.datasets.outlines import outline_polygons
from densecorr.errors import AnnotationError, DatasetNotFoundError

from ..masks import from_edges
from ..protocol import fill_polygons


@dataclass(frozen=True)
class ToolPoint:
    """One point: position, vertex (-1 unknown, None: the tool lost it), visibility, id (None: a new point)."""

    x: float
    y: float
    vertex: int | None = None
    visible: bool = True
    point_id: int | None = None


@dataclass(frozen=True)
class ToolInstance:
    """One object: its COCO box if known, its points, its mask as polygons in COCO's edge coordinates.

    `instance_id` is None where the tool lost it: the box and the category then tell which object it was.
    """

    category: str
    points: tuple[ToolPoint, ...]
    instance_id: str | None = None
    xywh: tuple[float, float, float, float] | None = None
    polygons: tuple[tuple[float, ...], ...] = ()
    complete: bool = True  # False: the format has no place for unseen points and those without a vertex


@dataclass(frozen=True)
class ToolImage:
    """One image: the name of its file as the data set has it, its size in pixels, its objects.

    `unread` says, one a shape, what kinds of shapes the file has that are not taken over.
    """

    name: str
    width: int
    height: int
    instances: tuple[ToolInstance, ...]
    unread: tuple[str, ...] = ()


def read_json(path: Path) -> Any:
    """The content of a JSON file from a tool.

    Raises:
        DatasetNotFoundError: there is no such file.
        AnnotationError: it is not JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise DatasetNotFoundError(
            "a file to read", f"{path} ({error.strerror})", "Correct its name."
        ) from error
    except ValueError as error:
        raise unreadable(path, "JSON", str(error)) from error


def unreadable(path: Path, kind: str, reason: str) -> AnnotationError:
    """The error for a file that is not what its format says."""
    return AnnotationError(f"{kind} in {path.name}", reason, "Export it from the tool again in this format.")


def flat_pairs(values: tuple[float, ...]) -> list[tuple[float, float]]:
    """(x, y, x, y, ...) as pairs."""
    return list(zip(values[::2], values[1::2], strict=True))


def mask_polygons(mask: Bool[np.ndarray, "H W"]) -> tuple[tuple[tuple[float, ...], ...], tuple[str, ...]]:
    """A mask of pixels as polygons in COCO's edge coordinates that fill to it, and what they cannot hold of it."""
    polygons = outline_polygons(mask)
    filled = fill_polygons(from_edges(polygons), *mask.shape)
    return polygons, () if np.array_equal(filled, mask) else ("hole of a mask",)
