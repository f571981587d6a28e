"""Average precision and recall over instances, COCO's way, for any similarity of a detection and a truth.

Detections are matched per image and category, best score first, each to the free truth it is most similar to,
at similarities .50:.05:.95; precision is made monotone and read at 101 recall points; at most 20 detections
an image and category; object areas all, M (32^2 to 96^2 square pixels, bounds inclusive) and L (96^2 and up).
This follows `pycocotools.cocoeval.COCOeval` (R. A. Guler's thesis, sec. 4.2.3, scores GPS so), with one
difference: detections of equal score enter the precision/recall curve together, so that the result does not
depend on the order of the files.

The figures of detectron2's DensePose evaluator differ in more ways (which truths are hidden, how a detection
without one counts): they are a protocol of their own and no switch of this one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from ..errors import AnnotationError

THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0.0, 1.0, 101)
AREAS = {"": (0.0, 1e10), "_m": (32.0**2, 96.0**2), "_l": (96.0**2, 1e10)}
FIGURES = ("ap", "ap50", "ap75", "ap_m", "ap_l", "ar", "ar50", "ar75", "ar_m", "ar_l")


@dataclass(frozen=True)
class ImageSimilarities:
    """All D detections and G truths of one category in one image.

    `truth_ignore` truths can be matched and count neither way; `truth_crowd` ones are ignored and can be
    matched many times. `detection_unit` and `truth_unit` say which resampling unit each belongs to (0 when
    none is needed).
    """

    image_id: str
    category: str
    score: Float[np.ndarray, " D"]
    similarity: Float[np.ndarray, "D G"]
    detection_area: Float[np.ndarray, " D"]
    truth_area: Float[np.ndarray, " G"]
    truth_ignore: Bool[np.ndarray, " G"]
    truth_crowd: Bool[np.ndarray, " G"]
    detection_unit: Int[np.ndarray, " D"]
    truth_unit: Int[np.ndarray, " G"]


def average_precision(images: Sequence[ImageSimilarities], max_detections: int = 20) -> dict[str, float]:
    """AP, AP50, AP75, AP by area and the same for AR, each the mean over the categories that have truths.

    NaN where no truth counts; 0 where truths count and nothing was detected.

    Raises:
        AnnotationError: an image and category given twice, or a score that is not a number.
    """
    n_units = 1 + max(
        (int(u.max()) for i in images for u in (i.detection_unit, i.truth_unit) if u.size), default=0
    )
    figures = AveragePrecisionStatistic(images, n_units, max_detections)(np.ones((1, n_units)))[0]
    return dict(zip(FIGURES, figures.tolist(), strict=True))


class AveragePrecisionStatistic:
    """`FIGURES` as a function of how often each unit was drawn; the matching is done once.

    A unit drawn twice counts as two images alike, so each draw has its own truths and detections.
    """

    def __init__(self, images: Sequence[ImageSimilarities], n_units: int, max_detections: int = 20) -> None:
        """Match once; `n_units` is the length of a row of counts."""
        _check_images(images)
        self._statistic = CurveStatistic(
            [
                [
                    _match_category(
                        [image for image in images if image.category == category],
                        area,
                        n_units,
                        max_detections,
                    )
                    for category in sorted({image.category for image in images})
                ]
                for area in AREAS.values()
            ]
        )

    def __call__(self, counts: Float[np.ndarray, "B N"]) -> Float[np.ndarray, "B 10"]:
        """The figures under each row of counts."""
        return self._statistic(counts)


class CurveStatistic:
    """`FIGURES` from matched detections, in three area ranges (all, M, L) of one curve a category."""

    def __init__(self, curves: Sequence[Sequence["MatchedCurve"]]) -> None:
        self._curves = curves

    def __call__(self, counts: Float[np.ndarray, "B N"]) -> Float[np.ndarray, "B 10"]:
        """The figures under each row of counts."""
        every, medium, large = (
            _mean_over_categories([curve(counts) for curve in row]) for row in self._curves
        )
        picks = []
        for kind in (0, 1):  # precision, recall
            picks += [every[kind].mean(1), every[kind][:, 0], every[kind][:, 5]]
            picks += [medium[kind].mean(1), large[kind].mean(1)]
        return np.stack(picks, axis=1)


class MatchedCurve:
    """One category in one area range: detections by falling score, matched or not at each of T thresholds."""

    def __init__(
        self,
        score: Float[np.ndarray, " D"],
        true: Bool[np.ndarray, "T D"],
        counted: Bool[np.ndarray, "T D"],
        unit: Int[np.ndarray, " D"],
        truth_unit: Int[np.ndarray, " G"],
        n_units: int,
    ) -> None:
        """`true` are matched to a truth that counts, `counted` these and the false ones; units from 0."""
        by_score = np.argsort(-score, kind="stable")
        by_score = by_score[counted[:, by_score].any(axis=0)]
        self._unit, self._score = unit[by_score], score[by_score]
        self._true, self._counted = true[:, by_score], counted[:, by_score]
        self._n_truths = np.bincount(truth_unit, minlength=n_units).astype(np.float64)

    def __call__(self, counts: Float[np.ndarray, "B N"]) -> tuple[np.ndarray, np.ndarray]:
        """Precision and recall (B, T); NaN for rows of counts without a truth."""
        n_truths = counts @ self._n_truths
        precision, recall = np.full((2, len(counts), len(THRESHOLDS)), np.nan)
        known = n_truths > 0
        drawn = counts[known][:, self._unit]
        live = drawn.any(axis=0)
        drawn, score = drawn[:, live], self._score[live]
        ends = (
            np.flatnonzero(np.append(score[1:] != score[:-1], True)) if len(score) else np.zeros(0, dtype=int)
        )
        for t in range(len(THRESHOLDS)):
            true = np.cumsum(drawn * self._true[t, live], axis=1)[:, ends]
            found = np.cumsum(drawn * self._counted[t, live], axis=1)[:, ends]
            precision[known, t] = interpolated_precision(true, found, n_truths[known])
            recall[known, t] = true[:, -1] / n_truths[known] if len(ends) else 0.0
        return precision, recall


def _match_category(
    images: Sequence[ImageSimilarities], area: tuple[float, float], n_units: int, max_detections: int
) -> MatchedCurve:
    matches = [match_detections(image, area, max_detections) for image in images]
    pairs = list(zip(images, matches, strict=True))
    return MatchedCurve(
        score=np.concatenate([image.score[order] for image, (order, *_) in pairs]),
        true=np.concatenate([matched & ~left_out for _, matched, left_out, _ in matches], axis=1),
        counted=~np.concatenate([left_out for _, _, left_out, _ in matches], axis=1),
        unit=np.concatenate([image.detection_unit[order] for image, (order, *_) in pairs]),
        truth_unit=np.concatenate([image.truth_unit[use] for image, (*_, use) in pairs]),
        n_units=n_units,
    )


def match_detections(
    image: ImageSimilarities, area: tuple[float, float], max_detections: int = 20
) -> tuple[Int[np.ndarray, " d"], Bool[np.ndarray, "T d"], Bool[np.ndarray, "T d"], Bool[np.ndarray, " G"]]:
    """Greedy matching of one image and category at every threshold.

    Returns:
        The kept detections by falling score; whether each is matched; whether each is left out (matched to an
        ignored truth, or unmatched with an area outside the range); which truths count.
    """
    best = image.similarity.max(axis=1, initial=0.0)
    order = np.lexsort((image.detection_area, -best, -image.score))[
        :max_detections
    ]  # ties: the more similar first
    ignored_truth = image.truth_ignore | image.truth_crowd | _outside(image.truth_area, area)
    matched = np.zeros((len(THRESHOLDS), len(order)), dtype=bool)
    left_out = np.repeat(_outside(image.detection_area[order], area)[None, :], len(THRESHOLDS), axis=0)
    for t, threshold in enumerate(THRESHOLDS):
        free = np.ones(len(ignored_truth), dtype=bool)
        for column, detection in enumerate(order):
            similar = image.similarity[detection]
            eligible = (free | image.truth_crowd) & (similar >= min(threshold, 1 - 1e-10))
            if (eligible & ~ignored_truth).any():  # a truth that counts goes before one that does not
                eligible &= ~ignored_truth
            if eligible.any():
                last_best = len(similar) - 1 - int(np.argmax(np.where(eligible, similar, -1.0)[::-1]))
                free[last_best] = False
                matched[t, column], left_out[t, column] = True, ignored_truth[last_best]
    return order, matched, left_out, ~ignored_truth


def interpolated_precision(
    true: Float[np.ndarray, "B E"], found: Float[np.ndarray, "B E"], n_truths: Float[np.ndarray, " B"]
) -> Float[np.ndarray, " B"]:
    """Mean over 101 recall points of the best precision at that recall or beyond.

    Args:
        true: true positives among the detections down to each distinct score, whole numbers.
        found: true and false positives, likewise.
        n_truths: truths to find, positive whole numbers.
    """
    precision = np.divide(true, found, out=np.zeros_like(true), where=found > 0)
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    reached = np.zeros((true.shape[0], true.shape[1] + 1))  # recall points up to each detection's recall
    for n in np.unique(n_truths):
        points = np.searchsorted(RECALLS, np.arange(n + 1) / n, side="right")
        rows = n_truths == n
        reached[rows, 1:] = points[np.minimum(true[rows], n).astype(np.int64)]
    return (envelope * np.diff(reached, axis=1)).sum(axis=1) / len(RECALLS)


def _outside(area: Float[np.ndarray, " N"], bounds: tuple[float, float]) -> Bool[np.ndarray, " N"]:
    return (area < bounds[0]) | (area > bounds[1])


def _mean_over_categories(curves: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    stacked = np.array(curves)  # (categories, 2, B, T)
    known = np.isfinite(stacked)
    total = np.where(known, stacked, 0.0).sum(axis=0)
    n_known = known.sum(axis=0)
    return np.divide(total, n_known, out=np.full_like(total, np.nan), where=n_known > 0)


def _check_images(images: Sequence[ImageSimilarities]) -> None:
    keys = [(image.image_id, image.category) for image in images]
    if not keys:
        raise AnnotationError("at least one image", "none", "Evaluate on a data set with instances.")
    if len(set(keys)) != len(keys):
        raise AnnotationError("one entry an image and category", "a repeated one", "Merge the entries.")
    for image in images:
        if not np.isfinite(image.score).all():
            raise AnnotationError(
                "finite detection scores", f"NaN or inf in '{image.image_id}'", "Score each detection."
            )
