"""Suspicious rows of a data set: geometry that contradicts itself, found before money is spent on training."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Bool, Int

from ..errors import AnnotationError
from ..images import decode_silhouette
from ..records import ImageRecord, InstanceRecord, LabelRecord
from .duplicates import THRESHOLD, duplicate_groups
from .keypoints import KeypointSet, instance_keypoints
from .quality_geometry import box_iou, distance_to_mask, nearest_distances
from .segmentations import silhouette_area, silhouette_box

Severity = Literal["error", "warning"]
KINDS: dict[str, str] = {
    "empty_mask": "a segmentation without a pixel",
    "box_off_mask": "the box does not fit the mask",
    "tiny": "too few pixels to label or to learn from",
    "duplicate": "two instances with the same box and category",
    "keypoint_outside_box": "a keypoint outside its instance's box",
    "points_outside_mask": "labelled points outside the mask",
    "left_right": "vertices on the other side of the body than the keypoints next to them",
    "never_visible": "vertices that no view of the template shows together",
    "duplicate_across_splits": "nearly the same image in two splits",
}


@dataclass(frozen=True)
class QualitySettings:
    """When a row counts as suspicious.

    Attributes:
        tolerance_px: a point or keypoint so far outside a mask or box (pixels) is not yet outside.
        max_outside: share of an instance's points outside its mask.
        min_box_iou: intersection over union of the box and the mask's own box.
        min_area: square pixels.
        duplicate_iou: intersection over union from which two boxes of one category are one object.
        max_flipped: share of the points next to a keypoint whose vertex is on the other side.
        min_sided: points next to a keypoint that it takes to judge an instance's sides.
        max_hidden: share of the points that the view which shows most of them does not show, of the share that it
            would be for vertices chosen blindly.
        duplicate_bits: bits of 64 that the hashes of near-duplicates may differ in.
    """

    tolerance_px: float = 2.0
    max_outside: float = 0.05
    min_box_iou: float = 0.7
    min_area: float = 100.0
    duplicate_iou: float = 0.95
    max_flipped: float = 0.5
    min_sided: int = 3
    max_hidden: float = 0.6
    duplicate_bits: int = THRESHOLD


@dataclass(frozen=True)
class Finding:
    """One suspicious row: `value` is what was measured, `threshold` what it was compared with.

    `other` is the instance or image that it repeats.
    """

    kind: str
    instance_id: str | None
    image_id: str
    severity: Severity
    value: float
    threshold: float
    message: str
    other: str | None = None


def check_instance(
    record: InstanceRecord, image: ImageRecord, settings: QualitySettings = QualitySettings()
) -> list[Finding]:
    """Mask, box, size and keypoints of one instance; crowds and ignored ones are not judged."""
    if record.iscrowd or record.ignore:
        return []
    found: list[Finding] = []

    def add(kind: str, severity: Severity, value: float, threshold: float, message: str) -> None:
        found.append(_finding(record, kind, severity, value, threshold, message))

    area = record.area or record.xywh[2] * record.xywh[3]
    if record.silhouette is not None:
        area = silhouette_area(record.silhouette)
        if area == 0:
            add("empty_mask", "error", 0.0, 1.0, f"no pixel of {image.width} x {image.height} is set")
        else:
            iou = box_iou(record.xywh, silhouette_box(record.silhouette))
            if iou < settings.min_box_iou:
                text = f"IoU {iou:.2f} of the box and the mask's box"
                add("box_off_mask", "warning", iou, settings.min_box_iou, text)
    if 0 < area < settings.min_area or (record.silhouette is None and area == 0):
        add("tiny", "warning", float(area), settings.min_area, f"{area:.0f} square pixels")
    flat = record.extra.get("keypoints")
    if isinstance(flat, list) and flat and len(flat) % 3 == 0:
        xy, visibility = instance_keypoints(record, [""] * (len(flat) // 3))
        seen = visibility > 0
        x, y, w, h = record.xywh
        low, high = np.array([x, y]) - 0.5, np.array([x + w, y + h]) - 0.5
        far = np.maximum(np.maximum(low - xy, xy - high), 0.0).max(axis=1)[seen]
        if (far > settings.tolerance_px).any():
            count = int((far > settings.tolerance_px).sum())
            text = f"{count} of {len(far)} keypoints outside, at most {far.max():.1f} px"
            add("keypoint_outside_box", "warning", float(far.max()), settings.tolerance_px, text)
    return found


def check_duplicates(
    records: Iterable[InstanceRecord], settings: QualitySettings = QualitySettings()
) -> list[Finding]:
    """Instances that repeat an earlier one: same image and category, boxes that nearly coincide."""
    groups: dict[tuple[str, str], list[InstanceRecord]] = {}
    for record in records:
        if not (record.iscrowd or record.ignore):
            groups.setdefault((record.image_id, record.category), []).append(record)
    found = []
    for members in groups.values():
        for index, record in enumerate(members):
            for earlier in members[:index]:
                iou = box_iou(record.xywh, earlier.xywh)
                if iou >= settings.duplicate_iou:
                    text = f"IoU {iou:.2f} with {earlier.instance_id}"
                    one = _finding(record, "duplicate", "warning", iou, settings.duplicate_iou, text)
                    found.append(replace(one, other=earlier.instance_id))
                    break
    return found


def check_points(
    label: LabelRecord,
    record: InstanceRecord,
    image: ImageRecord,
    settings: QualitySettings = QualitySettings(),
) -> list[Finding]:
    """The labelled points of one instance against its mask; nothing without a mask or points."""
    if record.silhouette is None or not len(label.x):
        return []
    mask = decode_silhouette(record.silhouette, image.height, image.width)
    if not mask.any():
        return []
    away = distance_to_mask(np.stack([label.x, label.y], axis=1).astype(np.float64), mask)
    share = float((away > settings.tolerance_px).mean())
    if share <= settings.max_outside:
        return []
    text = f"{share:.0%} of {len(away)} points outside (over {settings.tolerance_px:g} px), at most {away.max():.1f} px"
    return [_finding(record, "points_outside_mask", "error", share, settings.max_outside, text)]


def check_sides(
    label: LabelRecord,
    record: InstanceRecord,
    names: KeypointSet,
    side: Int[np.ndarray, " V"],
    settings: QualitySettings = QualitySettings(),
) -> list[Finding]:
    """Vertices against the left and right keypoints next to them.

    A point is compared with its nearest visible keypoint that has a side, if that is within a tenth of the box's
    longer side and the nearest one of the other side is at least twice as far.

    Args:
        label: points and vertices.
        record: the instance, with its keypoints.
        names: what its keypoints are.
        side: of each template vertex: 1 left, -1 right, 0 near the mirror plane (`vertex_sides`).
        settings: thresholds.
    """
    try:
        xy, visibility = instance_keypoints(record, names.names)
    except AnnotationError:  # no keypoints, or not these: there is nothing to compare with
        return []
    order = names.side
    inside = (label.vertex >= 0) & (label.vertex < len(side))
    own = np.where(inside, side[np.where(inside, label.vertex, 0)], 0)
    points = np.stack([label.x, label.y], axis=1)
    near = {s: nearest_distances(points, xy[(visibility == 2) & (order == s)]) for s in (1, -1)}
    closest, other = np.minimum(near[1], near[-1]), np.maximum(near[1], near[-1])
    judged = (own != 0) & (closest <= 0.1 * max(record.xywh[2:])) & (2 * closest <= other)
    if judged.sum() < settings.min_sided:
        return []
    share = float((own != np.where(near[1] < near[-1], 1, -1))[judged].mean())
    if share <= settings.max_flipped:
        return []
    text = f"{share:.0%} of {int(judged.sum())} points next to a keypoint are on the other side of the body"
    return [_finding(record, "left_right", "error", share, settings.max_flipped, text)]


def check_views(
    label: LabelRecord,
    record: InstanceRecord,
    visible: Bool[np.ndarray, "N V"],
    settings: QualitySettings = QualitySettings(),
) -> list[Finding]:
    """The vertices of one label set against the template's views: one view should show nearly all of them.

    How many vertices a view can show depends on the mesh (66 % on the shipped person, whose face and hands are dense,
    46 % on the quadruped), so the share hidden is compared with that of vertices chosen blindly.

    Args:
        label: points and vertices.
        record: the instance.
        visible: which vertices each view shows.
        settings: thresholds.
    """
    vertex = label.vertex[(label.vertex >= 0) & (label.vertex < visible.shape[1])]
    if not len(vertex):
        return []
    hidden, blind = (1.0 - float(seen.mean(axis=1).max()) for seen in (visible[:, vertex], visible))
    if blind == 0 or hidden / blind <= settings.max_hidden:
        return []
    text = (
        f"the best of {len(visible)} views hides {hidden:.0%} of the {len(vertex)} vertices; "
        f"of vertices chosen blindly it would be {blind:.0%}"
    )
    return [_finding(record, "never_visible", "warning", hidden / blind, settings.max_hidden, text)]


def check_images(
    images: Sequence[ImageRecord],
    paths: Sequence[Path | str],
    settings: QualitySettings = QualitySettings(),
) -> list[Finding]:
    """Images that nearly repeat one of another split; every image is read.

    Raises:
        ImageError: an image cannot be read.
    """
    found = []
    if len({image.split for image in images}) < 2:
        return found
    for group in duplicate_groups(paths, settings.duplicate_bits):
        first = images[group[0]]
        others = [images[k] for k in group if images[k].split != first.split]
        for image in others:
            text = f"{image.split} image is nearly {first.image_id} of {first.split}"
            limit, value = float(settings.duplicate_bits), float(len(group))
            kind, other = "duplicate_across_splits", first.image_id
            found.append(Finding(kind, None, image.image_id, "error", value, limit, text, other))
    return found


def _finding(
    record: InstanceRecord, kind: str, severity: Severity, value: float, threshold: float, message: str
) -> Finding:
    return Finding(kind, record.instance_id, record.image_id, severity, value, threshold, message)
