"""Calibration of result files: confidences against correctness, or expected errors against true ones."""

from pathlib import Path

import msgspec
import numpy as np

from densecorr.errors import AnnotationError
from densecorr.evaluation.calibration_error import (
    ReliabilityTable,
    bin_numbers,
    calibration_statistic,
    check_confidences,
    reliability,
)

from .field_scores import FieldOptions, FieldScores, by_id, ratio_scores

Numbers = float | list[float]
Id = str | int


class TrueRow(msgspec.Struct):
    """What was right: one value, or one for each answer under this id."""

    id: Id
    correct: bool | list[bool] | None = None
    error: Numbers | None = None
    image_id: Id | None = None


class StatedRow(msgspec.Struct):
    """What was stated."""

    id: Id
    confidence: Numbers | None = None
    expected_error: Numbers | None = None


def score_ece(gt: Path, pred: Path, options: FieldOptions) -> FieldScores:
    """Expected calibration error of probabilities, or of expected errors."""
    from densecorr.evaluation.densepose_files import read_json

    true: list[TrueRow] = read_json(gt, "true outcomes", list[TrueRow])
    known = [row.id for row in true]
    if len(set(known)) != len(known):
        twice = next(one for one in known if known.count(one) > 1)
        raise AnnotationError("every id once", f"{twice!r} twice in {gt}", "Rename the rows.")
    stated = by_id(read_json(pred, "stated confidences", list[StatedRow]), "id", known, "answer")
    absent = [one for one in known if one not in stated]
    if absent:
        raise AnnotationError(
            "a confidence for each id of the truth", f"none for {absent[0]!r}", "Leave neither out."
        )
    kinds = {_kind(row, stated[row.id]) for row in true}
    if len(kinds) > 1:
        raise AnnotationError(
            "`correct` and `confidence`, or `error` and `expected_error`, throughout",
            "both",
            "Split the files.",
        )
    errors = kinds == {"error"}
    parts = [_values(row, stated[row.id], errors) for row in true]
    told = np.concatenate([*(one for one, _ in parts), np.zeros(0)])
    truth = np.concatenate([*(one for _, one in parts), np.zeros(0)])
    if not errors:
        check_confidences(told)
    bins = options.bins or ("count" if errors else "width")
    top = float(told.max()) if errors and len(told) else 1.0
    table = reliability(told, truth, options.n_bins, bins, top)
    named = [str(row.id if row.image_id is None else row.image_id) for row in true]
    unit_ids, unit = np.unique(np.repeat(named, [len(one) for one, _ in parts]), return_inverse=True)
    sums = {
        name: np.bincount(unit, weights=values, minlength=len(unit_ids))
        for name, values in (("told", told), ("truth", truth), ("n", np.ones(len(told))))
    }
    scale, suffix = (1.0, "") if errors else (100.0, "_percent")
    words = ("mean_expected_error", "mean_true_error") if errors else ("confidence", "accuracy")
    main = "calibration_error" if errors else "ece"
    statistic = calibration_statistic(
        told, truth, bin_numbers(told, options.n_bins, bins, top), unit, len(unit_ids)
    )
    plain = {"largest_calibration_error" if errors else "mce_percent": scale * table.largest_gap}
    if errors and np.ptp(told) > 0 and np.ptp(truth) > 0:
        from scipy.stats import spearmanr

        plain["rank_correlation"] = float(spearmanr(told, truth).statistic)  # pyright: ignore[reportAttributeAccessIssue] its stub has no names
    return ratio_scores(
        {
            words[0] + suffix: (scale * sums["told"], sums["n"]),
            words[1] + suffix: (scale * sums["truth"], sums["n"]),
        },
        [str(one) for one in unit_ids],
        _rule(errors, bins, options.n_bins),
        len(told),
        options,
        others={main + suffix: lambda counts: scale * statistic(counts)},
        plain=plain,
        tables={"reliability": _rows(table, words)},
    )


def _rule(errors: bool, bins: str, n_bins: int) -> str:
    what = "expected and mean true error" if errors else "confidence and share of correct answers"
    size = "equal width" if bins == "width" else "equally many answers"
    return (
        f"mean over the answers of the difference between mean {what} of their bin; {n_bins} bins of {size}"
        f"{'; in the unit of the files' if errors else ''}; intervals resample images and keep the bins"
    )


def _kind(row: TrueRow, stated: StatedRow) -> str:
    if row.correct is not None and stated.confidence is not None:
        return "correct"
    if row.error is not None and stated.expected_error is not None:
        return "error"
    raise AnnotationError(
        "`correct` in the truth and `confidence` in the predictions, or `error` and `expected_error`",
        f"neither pair for {row.id!r}",
        "Complete the rows.",
    )


def _values(row: TrueRow, stated: StatedRow, errors: bool) -> tuple[np.ndarray, np.ndarray]:
    told, truth = (stated.expected_error, row.error) if errors else (stated.confidence, row.correct)
    a, b = np.atleast_1d(np.asarray(told, np.float64)), np.atleast_1d(np.asarray(truth, np.float64))
    if len(a) != len(b):
        raise AnnotationError(
            f"{len(b)} stated values for {row.id!r}", str(len(a)), "State one value for each answer."
        )
    if errors and len(a) and min(a.min(), b.min()) < 0:
        raise AnnotationError(
            "errors of at least 0", f"{min(a.min(), b.min()):g} for {row.id!r}", "Correct it."
        )
    return a, b


def _rows(table: ReliabilityTable, words: tuple[str, str]) -> list[dict]:
    columns = zip(table.low, table.high, table.stated, table.true, table.count, strict=True)
    return [
        {"low": float(low), "high": float(high), words[0]: float(a), words[1]: float(b), "n": int(n)}
        for low, high, a, b, n in columns
    ]
