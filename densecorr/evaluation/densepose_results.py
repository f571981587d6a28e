"""Results and geodesics of DensePose scoring, checked against the annotations before anything is scored.

Results are a list with an entry a detection; its `vertices` say which vertex each pixel of its box shows, -1 outside
its silhouette.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from jaxtyping import Int, Int64

from ..errors import AnnotationError, DatasetNotFoundError, SettingsError
from .densepose_files import read_json
from .densepose_types import DensePoseDetection, DensePoseSet, Id, ScoredImage


class _Result(msgspec.Struct):
    image_id: Id
    category_id: Id
    score: float | None
    bbox: list[float]
    vertices: list[list[int]] | str | None = None
    iuv: str | None = None
    ref_model: str | None = None


def read_results(
    path: Path, images: Sequence[ScoredImage], categories: Mapping[Id, str], charts: Any = None
) -> tuple[DensePoseDetection, ...]:
    """The detections of a result file, checked against the annotated set.

    Raises:
        AnnotationError: an image or a category that the annotations do not have, a score that is not a finite number,
            a box that is none, no vertices, or the same result twice.
    """
    results: list[_Result] = read_json(path, "a list of results", list[_Result])
    known = {image.id for image in images}
    seen: dict[Any, list[int]] = defaultdict(list)
    detections = []
    for number, result in enumerate(results):
        _check_result(result, number, known, categories)
        x, y, w, h = result.bbox
        vertices = _vertices(result, number, path.parent, charts)
        detection = DensePoseDetection(
            number,
            result.image_id,
            result.category_id,
            float(result.score or 0.0),
            (x, y, w, h),
            vertices,
            result.ref_model,
        )
        for other in seen[result.image_id, result.category_id, result.score, *result.bbox]:
            if _same_vertices(detections[other].vertices, vertices):
                raise AnnotationError(
                    "every result once", f"result {number} equal to result {other}", "Remove the duplicates."
                )
        seen[result.image_id, result.category_id, result.score, *result.bbox].append(number)
        detections.append(detection)
    return tuple(detections)


def read_geodesics(texts: Sequence[str]) -> dict[str, np.ndarray]:
    """Geodesic matrices by mesh name, of `NAME=file.npy` or one `file.npy`, mapped and not read.

    Raises:
        SettingsError: a name twice, or several files of which one has no name.
        DatasetNotFoundError: no such file.
        AnnotationError: not a square float32 matrix.
    """
    found: dict[str, np.ndarray] = {}
    for text in texts:
        name, _, file = text.rpartition("=")
        if name in found or (found and "" in (name, *found)):
            raise SettingsError("NAME=file.npy, each mesh once", repr(text), "For example cow_5002=cow.npy.")
        found[name] = _read_matrix(Path(file))
    return found


def read_vertex_maps(texts: Sequence[str]) -> dict[tuple[str, str], Int64[np.ndarray, " V"]]:
    """Vertex maps between meshes, of `FROM:TO=file.npy`: the vertex of TO that each vertex of FROM is (-1 for none)."""
    maps = {}
    for text in texts:
        names, _, file = text.partition("=")
        source, _, target = names.partition(":")
        if not source or not target or not file:
            raise SettingsError("FROM:TO=file.npy", repr(text), "For example cow_5002:horse_5004=map.npy.")
        values = _load_array(Path(file))
        if values.ndim != 1 or values.dtype.kind not in "iu":
            raise AnnotationError(
                f"one whole number a vertex of {source}",
                f"{values.dtype} of shape {values.shape} in {file}",
                "Save the map as a one-dimensional integer array.",
            )
        maps[source, target] = values.astype(np.int64)
    return maps


def check_set(scored: DensePoseSet) -> None:
    """Every mesh has geodesics; every true vertex, and every one that a map leads to, is on its mesh.

    Raises:
        SettingsError: geodesics are missing, or one unnamed file is given for several meshes.
        AnnotationError: a vertex that its mesh does not have.
    """
    meshes = sorted({truth.mesh for truth in scored.truths if truth.dp is not None})
    unnamed = "" in scored.geodesics
    missing = [mesh for mesh in meshes if mesh not in scored.geodesics and not unnamed]
    if missing or (unnamed and len(meshes) > 1):
        raise SettingsError(
            f"geodesics of each mesh: {', '.join(meshes)}",
            f"{', '.join(scored.geodesics) or 'one file without a name'}",
            "Name them: --geodesics NAME=file.npy, once for each ref_model.",
        )
    for (source, target), values in scored.vertex_maps.items():
        if target not in meshes or not len(values):
            continue
        count = len(scored.distances_of(target))
        if not -1 <= values.min() <= values.max() < count:
            raise AnnotationError(
                f"a map to the {count} vertices of '{target}', or -1 for none",
                f"{values.min()} to {values.max()} in that from '{source}'",
                "Give the map to the mesh that was annotated.",
            )
    for truth in scored.truths:
        if truth.dp is None or not len(truth.vertex):
            continue
        count = len(scored.distances_of(truth.mesh))
        low, high = int(truth.vertex.min()), int(truth.vertex.max())
        if low < -1 or high >= count:
            raise AnnotationError(
                f"dp_vertex below {count}, the vertices of the geodesics of '{truth.mesh}'",
                f"{high if high >= count else low} in annotation {truth.id}",
                "Use the geodesics of the mesh that was annotated.",
            )


def _check_result(result: _Result, number: int, known: set[Id], categories: Mapping[Id, str]) -> None:
    if result.image_id not in known:
        raise AnnotationError(
            "results of the annotated images",
            f"image_id {result.image_id} in result {number}",
            "Score the results on the images they were made for.",
        )
    if result.category_id not in categories:
        named = ", ".join(f"{key} ({name})" for key, name in list(categories.items())[:8])
        raise AnnotationError(
            f"category ids of the annotations: {named}",
            f"category_id {result.category_id} in result {number}",
            "Ids are taken as they are: map the results' categories to the annotations' first.",
        )
    if result.score is None or not np.isfinite(result.score):
        raise AnnotationError("a finite score", f"{result.score} in result {number}", "Score each detection.")
    if len(result.bbox) != 4 or not np.isfinite(result.bbox).all() or min(result.bbox[2:]) < 0:
        raise AnnotationError(
            "a box x, y, width, height", f"{result.bbox} in result {number}", "Write COCO boxes."
        )


def _vertices(result: _Result, number: int, folder: Path, charts: Any) -> np.ndarray | Path:
    if isinstance(result.vertices, str):
        return folder / result.vertices
    if result.vertices is not None:
        try:
            return np.array(result.vertices, dtype=np.int32, ndmin=2)
        except (ValueError, OverflowError) as error:
            raise AnnotationError(
                "rows of one length", f"others in result {number}", "Correct it."
            ) from error
    if result.iuv is not None and charts is not None:
        return charts_to_vertices(folder / result.iuv, charts)
    received = "an IUV picture without a chart table" if result.iuv else "neither"
    raise AnnotationError(
        "`vertices`, or `iuv` and a chart table",
        f"{received} in result {number}",
        "See docs/scoring.md for the forms.",
    )


def charts_to_vertices(path: Path, charts: Any) -> Int[np.ndarray, "h w"]:
    """An IUV picture (R: part, 0 outside; G, B: u, v times 255, as detectron2 quantises them) as vertices."""
    from ..images import read_image

    iuv = read_image(path)
    vertices = np.full(iuv.shape[:2], -1, dtype=np.int32)
    inside = iuv[..., 0] > 0
    if inside.any():
        part, u, v = iuv[inside].T
        vertices[inside] = charts.iuv_to_vertex(part.astype(np.int64), u / 255.0, v / 255.0)
    return vertices


def _same_vertices(a: np.ndarray | Path, b: np.ndarray | Path) -> bool:
    if isinstance(a, Path) or isinstance(b, Path):
        return isinstance(a, Path) and isinstance(b, Path) and a == b
    return np.array_equal(a, b)


def _load_array(path: Path) -> np.ndarray:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:
        raise DatasetNotFoundError(f"an .npy file at {path}", "no such file", "Check the path.") from error
    except (OSError, ValueError) as error:
        raise AnnotationError(f"an .npy file at {path}", str(error), "Write it with numpy.save.") from error


def _read_matrix(path: Path) -> np.ndarray:
    matrix = _load_array(path)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or matrix.dtype.kind != "f":
        raise AnnotationError(
            "a square matrix of geodesic distances, float32",
            f"{matrix.dtype} of shape {matrix.shape} in {path}",
            "Save the distances between all vertices as float32.",
        )
    return matrix
