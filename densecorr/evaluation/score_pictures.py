"""Pictures of scored instances: true vertices, what the chosen result says there, and how far off it is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Int64, UInt8

from ..images import CropFrame, crop_frame, crop_image, from_crop, to_crop
from .densepose_masks import Patch, paste, truth_patch
from .densepose_score import Protocol, TruthRow
from .densepose_similarity import CORRECTED, REFERENCE, Metric, vertices_at_points
from .densepose_types import DensePoseDetection, DensePoseSet, DensePoseTruth, Xywh
from .overlays import overlay_points, overlay_vertex_map
from .report import Panel, PictureRow

SIDE = 320  # pixels of a panel
PADDING = 0.15  # of the box's longer side, around it
RADIUS = 4.0
GREY = 150
_DARKEST = 30.0
_ERROR_SCALE = np.array(
    [[53, 120, 210], [245, 205, 60], [200, 40, 35]], dtype=np.float64
)  # at 0, kappa, 2 kappa
_NO_VERTEX = np.array([255, 255, 255], dtype=np.uint8)
_ONLY_TRUE, _ONLY_FOUND, _BOTH = (230, 120, 30), (50, 120, 220), (70, 190, 110)
LABELS = {"gps": "GPS", "gpsm": "GPSm", "segm-iou": "IoU of silhouettes"}


@dataclass(frozen=True)
class PictureSettings:
    """What was scored, and by which protocol; `kappa` sets the colours of errors, in the unit of the geodesics."""

    metric: Metric
    protocol: Protocol
    kappa: float


def geodesic_colors(D: Float[np.ndarray, "V V"]) -> UInt8[np.ndarray, "V 3"]:
    """RGB by the distances to three vertices far from each other: a smooth colouring that needs no mesh.

    Only four rows are read. Vertices that cannot be reached from one of the three count as the farthest from it.
    """
    start = np.asarray(D[0], dtype=np.float64)
    first = int(np.where(np.isfinite(start), start, -1.0).argmax())
    rows: list[np.ndarray] = []
    for _ in range(3):
        chosen = first if not rows else int(np.min(rows, axis=0).argmax())
        row = np.asarray(D[chosen], dtype=np.float64)
        farthest = row[np.isfinite(row)].max(initial=0.0)
        rows.append(np.where(np.isfinite(row), row, farthest))
    distances = np.stack(rows, axis=1)
    size = distances.max(axis=0)
    share = np.divide(distances, size, out=np.full_like(distances, 0.5), where=size > 0)
    return np.round(_DARKEST + (255.0 - _DARKEST) * share).astype(np.uint8)


def error_colors(errors: Float[np.ndarray, " P"], kappa: float) -> UInt8[np.ndarray, "P 3"]:
    """Blue at 0, yellow at kappa, red from 2 kappa; white where the error is not finite: no vertex was found."""
    at = np.clip(np.nan_to_num(errors.astype(np.float64), posinf=0.0) / kappa, 0.0, 2.0)
    mixed = np.stack([np.interp(at, [0.0, 1.0, 2.0], channel) for channel in _ERROR_SCALE.T], axis=1)
    return np.where(np.isfinite(errors)[:, None], np.round(mixed), _NO_VERTEX).astype(np.uint8)


def worst_of(rows: Sequence[TruthRow], n: int, metric: Metric) -> list[TruthRow]:
    """The n least similar instances, at most a third of them without any result like them if others are left.

    Of equally similar ones the larger come first. Instances without a point have no GPS and are left out.
    """
    shown = [row for row in rows if row.n_points or metric == "segm-iou"]
    ordered = sorted(shown, key=lambda row: (row.similarity, -row.area, str(row.annotation_id)))
    missed = [row for row in ordered if row.detection is None]
    found = [row for row in ordered if row.detection is not None]
    n_missed = min(len(missed), max(n // 3, n - len(found)))
    return (missed[:n_missed] + found)[:n]


def instance_pictures(
    row: TruthRow,
    scored: DensePoseSet,
    settings: PictureSettings,
    colors: Mapping[str, UInt8[np.ndarray, "V 3"]],
    image: UInt8[np.ndarray, "H W 3"] | None,
) -> PictureRow:
    """The panels of one annotated instance; drawn on grey without an image.

    Args:
        row: the instance and the result chosen for it.
        scored: the set that it is of.
        settings: what was scored.
        colors: of the vertices by mesh name.
        image: the whole image, of the annotated size.
    """
    truth = next(t for t in reversed(scored.truths) if t.id == row.annotation_id)
    place = next(one for one in scored.images if one.id == truth.image_id)
    detection = next((d for d in scored.detections if d.number == row.detection), None)
    frame = crop_frame(truth.xywh, SIDE, PADDING)
    grey = np.full((SIDE, SIDE, 3), GREY, dtype=np.uint8)
    crop = grey if image is None else crop_image(image, frame)
    found = "no result is like it"
    if detection is not None:
        found = f"result {detection.number}, score {detection.score:.3g}"
    facts = [f"{LABELS[settings.metric]} {row.similarity:.3f}", scored.categories[row.category_id]]
    facts += [
        f"image {place.file_name or place.id}",
        f"{row.n_points} point{'' if row.n_points == 1 else 's'}",
    ]
    panels: list[Panel] = []
    if scored.geodesics and row.n_points:
        drawn, errors = _point_panels(
            truth, detection, scored, settings, colors[truth.mesh], crop, frame, found
        )
        panels += drawn
        finite = np.isfinite(errors)
        facts.append(f"{np.count_nonzero(finite)} of them with a vertex")
        if finite.any():
            facts.append(f"their mean error {errors[finite].mean():.3g}")
    if settings.metric != "gps":
        panels.append(_silhouette_panel(truth, detection, settings, crop, frame, place.height, place.width))
    return PictureRow(f"Annotation {row.annotation_id}", tuple(panels), ", ".join(facts))


def _point_panels(
    truth: DensePoseTruth,
    detection: DensePoseDetection | None,
    scored: DensePoseSet,
    settings: PictureSettings,
    colors: UInt8[np.ndarray, "V 3"],
    crop: UInt8[np.ndarray, "S S 3"],
    frame: CropFrame,
    found: str,
) -> tuple[list[Panel], Float[np.ndarray, " P"]]:
    assert truth.dp is not None
    x, y, w, h = truth.xywh
    xy = to_crop(truth.dp * np.array([w, h]) / 256.0 + np.array([x, y]) - 0.5, frame)
    known = truth.vertex >= 0
    true_colors = np.where(known[:, None], colors[np.maximum(truth.vertex, 0)], _NO_VERTEX)
    panels = [Panel("annotated points", overlay_points(crop, xy, true_colors, RADIUS))]
    errors = np.full(len(xy), np.inf)
    if detection is None:
        return [*panels, Panel(found, crop)], errors
    vertices = vertices_on_mesh(detection, truth, scored)
    rule = REFERENCE if settings.protocol == "reference" else CORRECTED
    vertex = vertices_at_points([detection], [vertices], [truth], rule).vertex[0]
    both = known & (vertex >= 0)
    errors[both] = np.asarray(scored.distances_of(truth.mesh))[truth.vertex[both], vertex[both]]
    dense = overlay_vertex_map(crop, _vertices_in_crop(vertices, detection.xywh, frame), colors)
    panels.append(Panel(found, _outlined(dense, detection.xywh, frame)))
    words = (
        f"errors: blue 0, yellow {settings.kappa:.3g}, red {2 * settings.kappa:.3g} and more, white no vertex"
    )
    panels.append(Panel(words, overlay_points(crop, xy, error_colors(errors, settings.kappa), RADIUS)))
    return panels, errors


def vertices_on_mesh(
    detection: DensePoseDetection, truth: DensePoseTruth, scored: DensePoseSet
) -> Int[np.ndarray, "h w"]:
    """A result's vertices on the annotation's mesh, -1 outside the silhouette (`DensePoseSet.vertex_maps`)."""
    vertices = detection.load()
    if detection.mesh and truth.mesh and detection.mesh != truth.mesh:
        table = scored.vertex_maps[detection.mesh, truth.mesh]
        return np.where(vertices >= 0, table[np.maximum(vertices, 0)], -1)
    return vertices


def _vertices_in_crop(
    vertices: Int[np.ndarray, "h w"], xywh: Xywh, frame: CropFrame
) -> Int64[np.ndarray, "S S"]:
    """The vertex of the image pixel under each pixel of the crop."""
    y, x = np.indices((frame.size, frame.size))
    pixel = np.rint(from_crop(np.stack([x, y], axis=-1).astype(np.float64), frame)).astype(np.int64)
    column, row = pixel[..., 0] - int(xywh[0]), pixel[..., 1] - int(xywh[1])
    inside = (column >= 0) & (column < vertices.shape[1]) & (row >= 0) & (row < vertices.shape[0])
    out = np.full(inside.shape, -1, dtype=np.int64)
    out[inside] = vertices[row[inside], column[inside]]
    return out


def _outlined(
    picture: UInt8[np.ndarray, "S S 3"], xywh: Xywh, frame: CropFrame
) -> UInt8[np.ndarray, "S S 3"]:
    """The picture with a box's outline."""
    import cv2

    x, y, w, h = xywh
    corners = to_crop(np.array([[x, y], [x + w, y + h]]) - 0.5, frame)
    first, last = np.rint(np.clip(corners, -SIDE, 2 * SIDE)).astype(int).tolist()
    out = np.ascontiguousarray(picture.copy())
    for thickness, shade in ((3, (20, 20, 20)), (1, (255, 255, 255))):
        cv2.rectangle(out, first, last, shade, thickness)
    return out


def _silhouette_panel(
    truth: DensePoseTruth,
    detection: DensePoseDetection | None,
    settings: PictureSettings,
    crop: UInt8[np.ndarray, "S S 3"],
    frame: CropFrame,
    height: int,
    width: int,
) -> Panel:
    """Where the silhouettes agree, and where only one of them is."""
    true = truth_patch(truth, height, width, corner_aligned=settings.protocol == "reference")
    found = Patch(0, 0, np.zeros((0, 0), dtype=bool), 0)
    if detection is not None:
        found = paste(detection.load() >= 0, detection.xywh, height, width)
    a, b = (_mask_in_crop(patch, frame) for patch in (true, found))
    labels = np.where(a & b, 2, np.where(a, 0, np.where(b, 1, -1)))
    shades = np.array([_ONLY_TRUE, _ONLY_FOUND, _BOTH], dtype=np.uint8)
    words = "silhouettes: green both, orange only the annotation, blue only the result"
    return Panel(words, overlay_vertex_map(crop, labels, shades, alpha=0.6))


def _mask_in_crop(patch: Patch, frame: CropFrame) -> Bool[np.ndarray, "S S"]:
    box = (float(patch.x0), float(patch.y0), float(patch.pixels.shape[1]), float(patch.pixels.shape[0]))
    return _vertices_in_crop(patch.pixels.astype(np.int32) - 1, box, frame) >= 0
