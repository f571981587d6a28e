"""Greedy matching as detectron2's DensePose evaluator does it, for many images at once.

The evaluator looks at one image, area range, threshold, detection and annotation after another. Here each step from
one annotation to the next is taken for all images, area ranges and thresholds together, in the evaluator's order.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from .average_precision import AREAS, THRESHOLDS
from .densepose_types import ImageGroup

BOX_IOU = 0.8
LEAST = np.minimum(THRESHOLDS, 1 - 1e-10)
GROUPS_AT_ONCE = 256


@dataclass(frozen=True)
class Matches:
    """One image and category in one area range, at T thresholds: detections by falling score."""

    score: Float[np.ndarray, " D"]
    matched: Bool[np.ndarray, "T D"]
    hidden: Bool[np.ndarray, "T D"]
    counts: Bool[np.ndarray, " G"]  # annotations to be found


@dataclass(frozen=True)
class _Padded:
    """N images by A area ranges; what is added to the largest image's size is like nothing and never free."""

    similarity: Float[np.ndarray, "N D G"]
    box_iou: Float[np.ndarray, "N D G"]
    out: Bool[np.ndarray, "A N G"]  # annotations that do not count in an area range
    odd: Bool[np.ndarray, "A N D"]  # detections whose box is outside it
    exists: Bool[np.ndarray, "N G"]
    crowd: Bool[np.ndarray, "N G"]
    no_id: Bool[np.ndarray, "N G"]


def match_groups(
    groups: Sequence[ImageGroup],
    similarities: Sequence[Float[np.ndarray, "_ _"]],
    box_ious: Sequence[Float[np.ndarray, "_ _"]],
) -> list[list[Matches]]:
    """The matches of every group, by area range (`AREAS`).

    Args:
        groups: annotations in their order, detections by falling score.
        similarities: GPS, GPSm or IoU of silhouettes, detections by annotations.
        box_ious: of the boxes, over the detection's area for crowds.
    """
    by_size = sorted(range(len(groups)), key=lambda i: (len(groups[i].truths), len(groups[i].detections)))
    found: dict[int, list[Matches]] = {}
    for start in range(0, len(by_size), GROUPS_AT_ONCE):
        some = by_size[start : start + GROUPS_AT_ONCE]
        own = [groups[i] for i in some]
        padded = _pad(own, [similarities[i] for i in some], [box_ious[i] for i in some])
        matched, hidden = _match(padded)
        for row, (i, group) in enumerate(zip(some, own, strict=True)):
            score, n_truths = (
                np.array([d.score for d in group.detections], dtype=np.float64),
                len(group.truths),
            )
            found[i] = [
                _matches(score, matched[area, row], hidden[area, row], padded.out[area, row, :n_truths])
                for area in range(len(AREAS))
            ]
    return [[found[i][area] for i in range(len(groups))] for area in range(len(AREAS))]


def _matches(
    score: Float[np.ndarray, " D"], matched: np.ndarray, hidden: np.ndarray, out: Bool[np.ndarray, " G"]
) -> Matches:
    n = len(score) if not out.all() else 0  # else every detection is hidden
    return Matches(score[:n], matched[:, :n], hidden[:, :n], ~out)


def _pad(
    groups: Sequence[ImageGroup], similarities: Sequence[np.ndarray], box_ious: Sequence[np.ndarray]
) -> _Padded:
    n, d = len(groups), max(len(group.detections) for group in groups)
    g = max(len(group.truths) for group in groups)
    similarity, box_iou = np.full((n, d, g), -1.0), np.full((n, d, g), -1.0)
    exists, crowd, no_id, hidden = np.zeros((4, n, g), dtype=bool)
    area, size = np.zeros((n, g)), np.zeros((n, d))
    for row, group in enumerate(groups):
        truths, (rows, columns) = group.truths, similarities[row].shape
        similarity[row, :rows, :columns] = similarities[row]
        box_iou[row, :rows, :columns] = box_ious[row]
        exists[row, :columns] = True
        crowd[row, :columns] = [truth.iscrowd for truth in truths]
        no_id[row, :columns] = [truth.id == 0 for truth in truths]
        hidden[row, :columns] = [truth.dp is None for truth in truths]
        area[row, :columns] = [truth.area for truth in truths]
        size[row, :rows] = [one.xywh[2] * one.xywh[3] for one in group.detections]
    low, high = np.array(list(AREAS.values()), dtype=np.float64).T[:, :, None, None]
    out = hidden | (area < low) | (area > high)
    return _Padded(similarity, box_iou, out, (size < low) | (size > high), exists, crowd, no_id)


def _match(of: _Padded) -> tuple[Bool[np.ndarray, "A N T D"], Bool[np.ndarray, "A N T D"]]:
    """Which detections are matched and which hidden, the last-threshold quirk included."""
    (n_areas, n, n_truths), n_detections, last = of.out.shape, of.similarity.shape[1], len(LEAST) - 1
    shape = (n_areas, n, len(LEAST))
    free = np.zeros((n_truths, *shape), dtype=bool)  # not taken, or a crowd
    free[:] = of.exists.T[:, None, :, None]
    matched, hidden = np.zeros((2, n_detections, *shape), dtype=bool)
    for d in range(n_detections):
        value = of.similarity[:, d]
        reaching = np.flatnonzero((~(value < LEAST[0])).any(axis=0)).tolist()
        best = _best(value, np.broadcast_to(LEAST, shape), free, of.out, reaching, either=True)
        for g in reaching:
            chosen = best == g
            matched[d] |= chosen & ~of.no_id[:, g, None]
            hidden[d] |= chosen & of.out[:, :, g, None]
            free[g] &= ~chosen | of.crowd[:, g, None]
    for d in range(
        n_detections
    ):  # as found at .95, the annotation whose box fits best decides for all thresholds
        value = of.box_iou[:, d]
        reaching = np.flatnonzero((value >= BOX_IOU).any(axis=0)).tolist()
        limit = np.full((n_areas, n, 1), BOX_IOU)
        best = _best(value, limit, free[..., last:], of.out, reaching, either=False)
        best[matched[d, ..., last:]] = -1
        for g in reaching:
            chosen, out = best[..., 0] == g, of.out[:, :, g]
            hidden[d][chosen] = out[chosen][:, None]
            chosen &= out
            matched[d, ..., last] |= chosen & ~of.no_id[:, g]
            free[g, ..., last] &= ~chosen | of.crowd[:, g]
    hidden |= ~matched & np.moveaxis(of.odd, 2, 0)[..., None]
    return np.moveaxis(matched, 0, 3), np.moveaxis(hidden, 0, 3)


def _best(
    value: Float[np.ndarray, "N G"],
    limit: Float[np.ndarray, "A N T"],
    free: Bool[np.ndarray, "G A N T"],
    out: Bool[np.ndarray, "A N G"],
    reaching: Sequence[int],
    *,
    either: bool,
) -> np.ndarray:
    """The annotation that one detection of each image takes, -1 for none: the last of the most similar.

    Those that count come first; with `either`, those that do not are looked at only if none of them was found.
    """
    best = np.full(limit.shape, -1)
    for turn in (False, True):
        open_ = best < 0 if turn and either else True
        for g in reaching:
            own = value[:, g, None]
            better = free[g] & (out[:, :, g, None] == turn) & open_ & ~(own < limit)
            limit = np.where(better, own, limit)
            best[better] = g
    return best
