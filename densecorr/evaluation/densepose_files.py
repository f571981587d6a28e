"""COCO-DensePose annotation files for scoring: images, categories and annotated objects, checked.

Annotated points have vertices (`dp_vertex`, `ref_model`), or get them from `dp_I`, `dp_U`, `dp_V` and a chart table.
"""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from ..errors import AnnotationError, DatasetNotFoundError, EmptyInstanceError
from .densepose_types import DensePoseTruth, Id, ScoredImage


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
