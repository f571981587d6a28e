"""PCK of keypoint transfer result files: PF-PASCAL, SPair-71k, or a JSON list of pairs."""

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from densecorr.datasets.coco_types import Rle
from densecorr.errors import AnnotationError, EmptyInstanceError, ImageError, SettingsError
from densecorr.evaluation.keypoint_pck import (
    IN_WORDS,
    KeypointPair,
    Reference,
    correct_counts,
    mean_over_groups,
)

from .field_scores import FieldOptions, FieldScores, averaged, by_id, ratio_scores

ALPHAS = (0.05, 0.1, 0.15)


class TrueRow(msgspec.Struct):
    """A pair of the JSON form."""

    pair_id: str
    xy_b: list[tuple[float, float]]
    category: str = ""
    size_b: tuple[float, float] | None = None
    xywh_b: tuple[float, float, float, float] | None = None
    silhouette_b: Rle | None = None


class PredictedRow(msgspec.Struct):
    """The predicted keypoints of a pair, null where there is no answer."""

    pair_id: str
    xy_b: list[tuple[float, float] | None]


def score_pck(gt: Path, pred: Path, options: FieldOptions) -> FieldScores:
    """PCK at each alpha, over everything and as the mean over categories."""
    from densecorr.evaluation.densepose_files import read_json

    if options.reference is None:
        raise SettingsError(
            f"a reference length: {', '.join(IN_WORDS)}",
            "none",
            "Name it: SPair-71k takes bbox, PF-PASCAL image (SHIC) or square (SCNet).",
        )
    alphas, mean = options.alphas or ALPHAS, options.mean or "point"
    pairs = read_keypoint_pairs(gt, options.images, options.reference)
    rows = by_id(
        read_json(pred, "predicted keypoints", list[PredictedRow]),
        "pair_id",
        [pair.pair_id for pair in pairs],
        "pair",
    )
    predicted = [
        _points(rows[pair.pair_id]) if pair.pair_id in rows else np.full(pair.xy.shape, np.nan)
        for pair in pairs
    ]
    correct, count = correct_counts(pairs, predicted, alphas, options.reference)
    categories = [pair.category for pair in pairs]
    ratios = {
        f"pck_{alpha:g}_percent": averaged(100.0 * correct[:, column], count, mean)
        for column, alpha in enumerate(alphas)
    }
    others = {}
    if len(set(categories)) > 1:
        for alpha in alphas:
            above, below = ratios[f"pck_{alpha:g}_percent"]
            others[f"pck_{alpha:g}_category_mean_percent"] = mean_over_groups(
                above[:, None], below[:, None], categories
            )
    missing = np.array([np.isnan(guess).any(axis=1).sum() for guess in predicted], dtype=np.float64)
    ratios["missing_percent"] = (100.0 * missing, count)
    over = "all keypoints" if mean == "point" else "pairs of each pair's share"
    rule = (
        f"correct within alpha x {IN_WORDS[options.reference]} (the threshold included); mean over {over}; "
        "category_mean: of each category's figure; a keypoint or pair without an answer is wrong"
    )
    return ratio_scores(
        ratios,
        [pair.pair_id for pair in pairs],
        rule,
        int(count.sum()),
        options,
        groupings={"category": categories},
        others=others,
    )


def read_keypoint_pairs(gt: Path, images: Path | None, reference: Reference) -> list[KeypointPair]:
    """The true keypoints of a PF-PASCAL csv, SPair-71k's JSON files, or a JSON list of pairs.

    Image sizes are read from the image files when a reference needs them and the pairs do not have them.

    Raises:
        DatasetNotFoundError: no such file, or an image that is not there.
        AnnotationError: another form, or a pair twice.
        EmptyInstanceError: no pairs.
    """
    from densecorr.datasets.pairs import read_pairs
    from densecorr.evaluation.densepose_files import read_json

    if gt.is_file() and gt.suffix == ".json" and gt.read_bytes().lstrip()[:1] == b"[":
        rows: list[TrueRow] = read_json(gt, "pairs of keypoints", list[TrueRow])
        pairs = [_pair(row) for row in rows]
    else:
        wants_size = reference in ("image", "square")
        pairs = [
            KeypointPair(
                one.pair_id,
                one.category,
                one.xy_b,
                _image_size(gt, one.pair_id, one.image_b, images) if wants_size else None,
                one.xywh_b,
            )
            for one in read_pairs(gt)
        ]
    if not pairs:
        raise EmptyInstanceError("at least one pair", f"none in {gt}", "Name a file that has pairs.")
    ids = [pair.pair_id for pair in pairs]
    if len(set(ids)) != len(ids):
        twice = next(one for one in ids if ids.count(one) > 1)
        raise AnnotationError("every pair_id once", f"{twice!r} twice in {gt}", "Rename the pairs.")
    return pairs


def _pair(row: TrueRow) -> KeypointPair:
    from pycocotools import mask

    from densecorr.datasets.checks import check_counts

    area = None
    if row.silhouette_b is not None:
        check_counts(row.silhouette_b)
        rle: Any = {"size": row.silhouette_b.size, "counts": row.silhouette_b.counts}
        if isinstance(rle["counts"], list):
            rle = mask.frPyObjects(rle, *rle["size"])  # pyright: ignore[reportCallIssue, reportArgumentType] its stub lacks a dict
        area = float(mask.area(rle))
    xy = np.array(row.xy_b, dtype=np.float64).reshape(-1, 2)
    return KeypointPair(row.pair_id, row.category, xy, row.size_b, row.xywh_b, area)


def _points(row: PredictedRow) -> np.ndarray:
    none = (np.nan, np.nan)
    return np.array([none if one is None else one for one in row.xy_b], dtype=np.float64).reshape(-1, 2)


def _image_size(gt: Path, pair_id: str, name: str, images: Path | None) -> tuple[float, float] | None:
    """Width and height of image B: of its file, else as a SPair-71k file says."""
    from PIL import Image

    from densecorr.datasets.pairs import find_pair_image

    if images is not None:
        path = find_pair_image(images, name)
        try:
            with Image.open(path) as image:
                return float(image.size[0]), float(image.size[1])
        except OSError as error:
            raise ImageError("a readable image", f"{path} ({error})", "Replace the damaged file.") from error
    if gt.suffix.lower() == ".csv":
        return None
    file = gt / f"{pair_id}.json" if gt.is_dir() else gt
    size = json.loads(file.read_text(encoding="utf-8")).get("trg_imsize")
    return (float(size[0]), float(size[1])) if isinstance(size, list) and len(size) >= 2 else None
