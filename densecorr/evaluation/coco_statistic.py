"""COCOeval's figures as a function of how often each image was drawn, for bootstrap intervals.

Detections are matched once, by pycocotools (`evalImgs`). What its `accumulate` does with them is done here with
weights: the figures under whole-number counts are those that it gives for as many copies of each image, but for
detections of one image with equal scores, whose copies stand together here and in turn there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.sparse import csr_array

from .average_precision import interpolated_precision

AT_50, AT_75 = 0, 5  # of the thresholds .50:.05:.95


@dataclass(frozen=True)
class CategoryCurve:
    """One category in one area range at T thresholds.

    Attributes:
        hit_unit: image of each true positive by falling score, for each threshold.
        misses: how many false positives of each image come after the last and before this true positive, (N, hits) for
            each threshold; those after all of them change no figure and are left out.
        n_truths: objects of each image that count, (N,).
    """

    hit_unit: tuple[Int[np.ndarray, " _"], ...]
    misses: tuple[csr_array, ...]
    n_truths: Float[np.ndarray, " N"]

    def precision(self, counts: Float[np.ndarray, "B N"]) -> Float[np.ndarray, "B T"]:
        """Mean precision at 101 recall points; NaN for rows of counts without an object."""
        n_truths = counts @ self.n_truths
        out, known = np.full((len(counts), len(self.hit_unit)), np.nan), n_truths > 0
        for t, (unit, misses) in enumerate(zip(self.hit_unit, self.misses, strict=True)):
            true = np.cumsum(counts[known][:, unit], axis=1)
            found = true + np.cumsum(np.asarray(counts[known] @ misses), axis=1)
            out[known, t] = interpolated_precision(true, found, n_truths[known])
        return out

    def recall(self, counts: Float[np.ndarray, "B N"]) -> Float[np.ndarray, "B T"]:
        """The share of the objects that is found; NaN likewise."""
        n_images = len(self.n_truths)
        hits = np.stack([np.bincount(unit, minlength=n_images) for unit in self.hit_unit], axis=1)
        below = (counts @ self.n_truths)[:, None]
        return np.divide(
            counts @ hits, below, out=np.full((len(counts), hits.shape[1]), np.nan), where=below > 0
        )


class CocoStatistic:
    """The twelve figures of `COCOeval.summarize`, then AP and AP50 of each category, in percent; NaN for its -1."""

    def __init__(self, evaluator: Any) -> None:
        """`evaluator` is a `COCOeval` after `evaluate()`, with its own areas and numbers of detections."""
        params = evaluator.params
        places = {image: index for index, image in enumerate(params.imgIds)}
        images = len(places)
        self._curves = []
        for k in range(len(params.catIds)):
            own = [
                [one for one in evaluator.evalImgs[start : start + images] if one is not None]
                for start in (images * (k * len(params.areaRng) + a) for a in range(len(params.areaRng)))
            ]
            every, (few, some, most) = own[0], params.maxDets
            chosen = [(every, few), (every, some), *((area, most) for area in own)]
            self._curves.append([category_curve(cells, n, places) for cells, n in chosen])

    def __call__(self, counts: Float[np.ndarray, "B N"]) -> Float[np.ndarray, "B K"]:
        """The figures under each row of counts, in the order of `coco_detection.NAMES`, then by category."""
        precision = _stack([[one.precision(counts) for one in row[2:]] for row in self._curves])
        recall = _stack([[one.recall(counts) for one in row] for row in self._curves])
        ap, ar = _mean(precision.mean(axis=3)), _mean(recall.mean(axis=3))  # (areas or limits, B)
        at_50 = precision[:, 0, :, AT_50]
        rows = [
            *(ap[0], _mean(at_50), _mean(precision[:, 0, :, AT_75]), ap[1], ap[2], ap[3]),
            *(ar[0], ar[1], ar[2], ar[3], ar[4], ar[5]),
            *(
                one
                for ap_, ap_50 in zip(precision[:, 0].mean(axis=2), at_50, strict=True)
                for one in (ap_, ap_50)
            ),
        ]
        return 100.0 * np.stack(rows, axis=1)


def category_curve(cells: Sequence[dict[str, Any]], most: int, places: dict[Any, int]) -> CategoryCurve:
    """The curve of one category and area range from COCOeval's matches, `most` detections an image.

    Args:
        cells: its `evalImgs`, without the empty ones.
        most: detections an image, best first.
        places: image id to its column in the counts.
    """
    n_images, n_thresholds = len(places), 10
    unit = np.array([places[one["image_id"]] for one in cells], dtype=np.int64)
    score = np.concatenate([np.zeros(0), *(one["dtScores"][:most] for one in cells)])
    order = np.argsort(-score, kind="mergesort")  # as COCOeval's: ties stay in the images' order

    def joined(name: str) -> Bool[np.ndarray, "T D"]:
        parts = [np.asarray(one[name])[:, :most].astype(bool) for one in cells]
        return np.concatenate([np.zeros((n_thresholds, 0), dtype=bool), *parts], axis=1)[:, order]

    matched, ignored = joined("dtMatches"), joined("dtIgnore")
    of = np.repeat(unit, [len(one["dtScores"][:most]) for one in cells])[order]
    hit_unit, misses = [], []
    for hit, miss in zip(matched & ~ignored, ~matched & ~ignored, strict=True):
        hits, missed = np.flatnonzero(hit), np.flatnonzero(miss)
        before = np.searchsorted(hits, missed)
        missed, before = missed[before < len(hits)], before[before < len(hits)]
        hit_unit.append(of[hits])
        misses.append(csr_array((np.ones(len(missed)), (of[missed], before)), shape=(n_images, len(hits))))
    truths = [np.count_nonzero(np.asarray(one["gtIgnore"]) == 0) for one in cells]
    n_truths = np.bincount(unit, weights=truths, minlength=n_images)
    return CategoryCurve(tuple(hit_unit), tuple(misses), n_truths.astype(np.float64))


def _stack(values: Sequence[Sequence[np.ndarray]]) -> Float[np.ndarray, "K A B T"]:
    return np.array(values, dtype=np.float64)


def _mean(values: Float[np.ndarray, "K ..."]) -> np.ndarray:
    """The mean over the categories that have objects; NaN where none has."""
    known = np.isfinite(values)
    n_known = known.sum(axis=0)
    total = np.where(known, values, 0.0).sum(axis=0)
    return np.divide(total, n_known, out=np.full(total.shape, np.nan), where=n_known > 0)
