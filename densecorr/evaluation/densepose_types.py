"""What DensePose scoring works on: annotated objects, detections, and the set of both with the meshes' geodesics."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Int64, Integer

from ..errors import AnnotationError, DatasetNotFoundError

Xywh = tuple[float, float, float, float]
Id = int | str


@dataclass(frozen=True)
class ScoredImage:
    """An image of the annotation file; `ignore_regions` are polygons as flat lists x, y, x, y."""

    id: Id
    height: int
    width: int
    ignore_regions: tuple[list[float], ...] = ()
    file_name: str | None = None


@dataclass(frozen=True)
class DensePoseTruth:
    """An annotated object. `dp` is None where it has no `dp_x`: such an object is there but cannot be scored.

    dp: points in the 256-wide frame of its box; vertex: of mesh `mesh`, -1 where unknown; part: 1..24 if given.
    """

    id: Id
    image_id: Id
    category_id: Id
    xywh: Xywh
    area: float
    dp: Float[np.ndarray, "P 2"] | None
    vertex: Int64[np.ndarray, " P"]
    mesh: str
    part: Int64[np.ndarray, " P"] | None = None
    part_masks: Any = None  # `dp_masks` as in the file
    segmentation: Any = None
    iscrowd: bool = False
    ignore: bool = False
    charted: bool = False  # its vertices came from charts
    visible_share: float | None = (
        None  # of its silhouette, where the file says so (`densecorr.visible_share`)
    )
    azimuth: float | None = None  # degrees, likewise
    source: str | None = None  # likewise, or who made the points


@dataclass(frozen=True)
class DensePoseDetection:
    """An entry of a result file: `vertices` are read when its image is scored; `mesh` is named by some files."""

    number: int  # its place in the list, from 0
    image_id: Id
    category_id: Id
    score: float
    xywh: Xywh
    vertices: Integer[np.ndarray, "h w"] | Path
    mesh: str | None = None

    def load(self) -> Int[np.ndarray, "h w"]:
        """The vertex of each box pixel, int32, -1 outside the silhouette; height int(h), width int(w), at least 1.

        Raises:
            AnnotationError: no such array, not whole numbers, or of another size.
        """
        found = _read_npz(self.vertices, self.number) if isinstance(self.vertices, Path) else self.vertices
        h, w = int(self.xywh[3]), int(self.xywh[2])
        if (
            found.ndim != 2
            or found.dtype.kind not in "iu"
            or found.shape not in ((h, w), (max(h, 1), max(w, 1)))
        ):
            raise AnnotationError(
                f"vertices as whole numbers of shape ({max(h, 1)}, {max(w, 1)}), the height and width of the box",
                f"{found.dtype} of shape {found.shape} in result {self.number}",
                "Give the vertex of each pixel of the box, whose sides are cut to whole pixels; -1 outside the object.",
            )
        return found.astype(np.int32, copy=False)


@dataclass(frozen=True)
class ImageGroup:
    """The annotations and the best detections of one image and category, in the evaluator's order."""

    image: ScoredImage
    category_id: Id
    truths: tuple[DensePoseTruth, ...]
    detections: tuple[DensePoseDetection, ...]


@dataclass(frozen=True)
class DensePoseSet:
    """Everything a protocol scores, in the order of the files."""

    images: tuple[ScoredImage, ...]
    categories: dict[Id, str]
    truths: tuple[DensePoseTruth, ...]
    detections: tuple[DensePoseDetection, ...]
    geodesics: Mapping[str, np.ndarray]  # mesh to (V, V) float32, mapped from the file
    vertex_maps: Mapping[
        tuple[str, str], np.ndarray
    ]  # (predicted mesh, true mesh) to the vertex of each vertex

    def distances_of(self, mesh: str) -> Float[np.ndarray, "V V"]:
        """The geodesics of a mesh; one unnamed file serves a set with one mesh."""
        return self.geodesics[mesh] if mesh in self.geodesics else self.geodesics[""]


def _read_npz(path: Path, number: int) -> np.ndarray:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return arrays["vertices"]
    except FileNotFoundError as error:
        raise DatasetNotFoundError(
            f"the vertices of result {number} at {path}",
            "no such file",
            "Paths start at the result file's folder.",
        ) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise AnnotationError(
            f"an .npz file with the array `vertices` at {path}", str(error), "Write it with numpy.savez."
        ) from error
