"""Files of DensePose scoring: annotations, results and geodesics, checked before anything is scored.

Annotations are a COCO-DensePose file with `dp_x`, `dp_y` and `dp_vertex`, `ref_model` (CSE), or `dp_I`, `dp_U`, `dp_V`
and a chart table (IUV). Results are a list with an entry a detection; its `vertices` say which vertex each pixel of
its box shows, -1 outside the silhouette.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from jaxtyping import Float, Int, Int64, Integer

from ..errors import AnnotationError, DatasetNotFoundError, EmptyInstanceError, SettingsError

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


class _Annotation(msgspec.Struct):
    id: Id
    image_id: Id
    category_id: Id
    bbox: list[float]
    area: float
    dp_x: list[float] | None = None
    dp_y: list[float] | None = None
    dp_vertex: list[int | float] | None = None
    dp_I: list[float] | None = None
    dp_U: list[float] | None = None
    dp_V: list[float] | None = None
    ref_model: str | None = None
    dp_masks: Any = None
    segmentation: Any = None
    iscrowd: int | bool | None = None
    ignore: int | bool | None = None
    densecorr: dict[str, Any] | None = None
    source: str | None = None


class _Image(msgspec.Struct):
    id: Id
    height: int
    width: int
    file_name: str | None = None
    ignore_regions_x: list[list[float]] | None = None
    ignore_regions_y: list[list[float]] | None = None


class _Category(msgspec.Struct):
    id: Id
    name: str = ""


class _GroundTruth(msgspec.Struct):
    images: list[_Image]
    annotations: list[_Annotation]
    categories: list[_Category] | None = None


class _Result(msgspec.Struct):
    image_id: Id
    category_id: Id
    score: float | None
    bbox: list[float]
    vertices: list[list[int]] | str | None = None
    iuv: str | None = None
    ref_model: str | None = None


def read_json(path: Path, what: str, kind: Any) -> Any:
    """A JSON file of a known form.

    Raises:
        DatasetNotFoundError: no such file.
        AnnotationError: not JSON, or of another form; NaN, which JSON does not have, is named as such.
    """
    try:
        text = path.read_bytes()
    except (FileNotFoundError, IsADirectoryError) as error:
        raise DatasetNotFoundError(f"{what} at {path}", "no such file", "Check the path.") from error
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.DecodeError as error:
        not_a_number = any(word in text for word in (b"NaN", b"Infinity"))
        received = "NaN or infinity, which JSON does not have" if not_a_number else str(error)
        raise AnnotationError(f"{what} in {path}", received, "Correct the file.") from error


def read_truths(
    path: Path, charts: Any = None
) -> tuple[tuple[ScoredImage, ...], dict[Id, str], tuple[DensePoseTruth, ...]]:
    """Images, categories by id, and annotated objects of a COCO-DensePose file.

    Args:
        path: the file. Without "categories", the annotations' own category ids count.
        charts: turns part, u, v into vertices (`iuv_to_vertex`), for annotations without `dp_vertex`.

    Raises:
        AnnotationError: another form; points that contradict each other; an annotation of an unknown image.
        EmptyInstanceError: no annotation has points.
    """
    data: _GroundTruth = read_json(path, "COCO-DensePose annotations", _GroundTruth)
    images = tuple(_image(image) for image in data.images)
    known = {image.id for image in images}
    strangers = [a for a in data.annotations if a.image_id not in known]
    if strangers:
        raise AnnotationError(
            "annotations of the file's images",
            f"image_id {strangers[0].image_id} of annotation {strangers[0].id}",
            "Add the image, or leave the annotation out.",
        )
    truths = tuple(_truth(annotation, charts) for annotation in data.annotations)
    if not any(truth.dp is not None and len(truth.dp) for truth in truths):
        raise EmptyInstanceError(
            f"an annotated instance (with dp_x) in {path}",
            f"none among {len(truths)}",
            "Name a file with DensePose or CSE annotations.",
        )
    listed = data.categories
    if listed is None:
        categories = {truth.category_id: str(truth.category_id) for truth in truths}
    else:
        categories = {category.id: category.name or str(category.id) for category in listed}
    return images, categories, truths


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
    """Every mesh has geodesics, every true vertex is on its mesh.

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


def _image(image: _Image) -> ScoredImage:
    xs, ys = image.ignore_regions_x or [], image.ignore_regions_y or []
    if len(xs) != len(ys) or any(len(x) != len(y) for x, y in zip(xs, ys, strict=False)):
        raise AnnotationError(
            "ignore_regions_x and ignore_regions_y of the same lengths",
            f"others in image {image.id}",
            "Correct the regions.",
        )
    regions = tuple(
        [v for point in zip(x, y, strict=True) for v in point] for x, y in zip(xs, ys, strict=True)
    )
    short = [region for region in regions if len(region) < 6]
    if short:
        raise AnnotationError(
            "ignore regions of at least three points",
            f"{len(short[0]) // 2} in image {image.id}",
            "Remove the degenerate region.",
        )
    return ScoredImage(image.id, image.height, image.width, regions, image.file_name)


def _truth(a: _Annotation, charts: Any) -> DensePoseTruth:
    if len(a.bbox) != 4 or not np.isfinite([*a.bbox, a.area]).all():
        raise AnnotationError(
            "a box of four numbers, and an area", f"{a.bbox} in annotation {a.id}", "Correct it."
        )
    x, y, w, h = map(float, a.bbox)
    dp = vertex = part = None
    charted = False
    if a.dp_x is not None:
        arrays = {"dp_x": a.dp_x, "dp_y": a.dp_y}
        if a.dp_vertex is not None:
            arrays["dp_vertex"] = a.dp_vertex
        elif charts is not None:
            arrays |= {"dp_I": a.dp_I, "dp_U": a.dp_U, "dp_V": a.dp_V}
        else:
            raise AnnotationError(
                "dp_vertex, or dp_I, dp_U, dp_V and a chart table",
                f"no dp_vertex in annotation {a.id}",
                "Give the chart table with --charts, or annotations with vertices.",
            )
        if a.dp_I is not None:
            arrays["dp_I"] = a.dp_I
        lengths = {name: None if values is None else len(values) for name, values in arrays.items()}
        if len(set(lengths.values())) > 1:
            said = ", ".join(
                f"{name} of {n if n is not None else 'no'} numbers" for name, n in lengths.items()
            )
            raise AnnotationError(
                "dp arrays of one length", f"{said} in annotation {a.id}", "Complete the points."
            )
        dp = np.stack([np.asarray(a.dp_x, np.float64), np.asarray(a.dp_y, np.float64)], axis=1)
        part = None if a.dp_I is None else np.asarray(a.dp_I).astype(np.int64)
        if part is not None and len(part) and not 0 <= part.min() <= part.max() <= 24:
            raise AnnotationError("dp_I in 0..24", f"{part.max()} in annotation {a.id}", "Correct the parts.")
        if a.dp_vertex is not None:
            vertex = np.asarray(a.dp_vertex).astype(np.int64)
        else:
            vertex = charts.iuv_to_vertex(
                part, np.asarray(a.dp_U, np.float64), np.asarray(a.dp_V, np.float64)
            )
            charted = True
    said = a.densecorr or {}
    return DensePoseTruth(
        id=a.id,
        image_id=a.image_id,
        category_id=a.category_id,
        xywh=(x, y, w, h),
        area=a.area,
        dp=dp,
        vertex=np.zeros(0, np.int64) if vertex is None else vertex,
        mesh=a.ref_model or "",
        part=part,
        part_masks=a.dp_masks,
        segmentation=a.segmentation,
        iscrowd=bool(a.iscrowd),
        ignore=bool(a.ignore),
        charted=charted,
        visible_share=_number(said.get("visible_share")),
        azimuth=_number(said.get("azimuth")),
        source=a.source or said.get("source"),
    )


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None


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
