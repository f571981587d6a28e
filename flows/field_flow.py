"""PCK and end-point error of flow files: one file, or folders of the same layout (TSS among them)."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from densecorr.errors import AnnotationError, DatasetNotFoundError, SettingsError
from densecorr.evaluation.flow import flow_correct, read_flow, summed_end_point_error
from densecorr.images import read_image

from .field_scores import FieldOptions, FieldScores, averaged, ratio_scores

SUFFIXES = (".flo", ".npy", ".npz")
DIRECTIONS = ("flow1", "flow2")  # TSS: image 1 to 2, and back


@dataclass(frozen=True)
class FlowPair:
    """True and predicted flow of one direction of a pair, and masks of the image it starts in (None: not given).

    `mirrored` is TSS's flag: one image of the pair has to be mirrored before the true flow holds.
    """

    unit_id: str
    category: str
    direction: str
    true: np.ndarray
    predicted: np.ndarray
    foreground: np.ndarray | None
    occluded: np.ndarray | None
    mirrored: bool | None


def score_flow_pck(gt: Path, pred: Path, options: FieldOptions) -> FieldScores:
    """Share of foreground pixels whose end point is within alpha times the longer side (TSS: .05)."""
    alphas, mean = options.alphas or (0.05,), options.mean or "image"
    if not all(0 < alpha < np.inf for alpha in alphas):
        raise SettingsError("alphas above 0", str(list(alphas)), "Correct the alphas.")

    def count(pair: FlowPair) -> list[float]:
        everywhere = np.ones(pair.true.shape[:2], dtype=bool)
        foreground = everywhere if pair.foreground is None else pair.foreground
        found = [flow_correct(pair.predicted, pair.true, foreground, alpha) for alpha in alphas]
        return [float(found[0][1]), *(float(correct) for correct, _ in found)]

    ids, groupings, table, notes = _each(gt, pred, count)
    ratios = {
        f"flow_pck_{alpha:g}_percent": averaged(100.0 * table[:, column], table[:, 0], mean)
        for column, alpha in enumerate(alphas, start=1)
    }
    rule = (
        "share of pixels that end within alpha x the longer side of the field (the image the flow starts in) of the "
        "truth; "
        f"mean over {'all pixels' if mean == 'point' else 'fields of each share'}; no answer is wrong; {notes}"
    )
    return ratio_scores(ratios, ids, rule, int(table[:, 0].sum()), options, groupings=groupings)


def score_aepe(gt: Path, pred: Path, options: FieldOptions) -> FieldScores:
    """Average end-point error over all foreground pixels and over those that B shows, too (HumanGPS, Table 1)."""
    mean = options.mean or "image"

    def count(pair: FlowPair) -> list[float]:
        everywhere = np.ones(pair.true.shape[:2], dtype=bool)
        foreground = everywhere if pair.foreground is None else pair.foreground
        total, n = summed_end_point_error(pair.predicted, pair.true, foreground)
        if pair.occluded is None:
            return [total, float(n), np.nan, np.nan]
        seen, n_seen = summed_end_point_error(pair.predicted, pair.true, foreground & ~pair.occluded)
        return [total, float(n), seen, float(n_seen)]

    ids, groupings, table, notes = _each(gt, pred, count)
    without = np.isnan(table[:, 2])
    if without.any() and not without.all():
        raise AnnotationError(
            "an occlusion mask of every field, or of none",
            f"none of {ids[int(np.flatnonzero(without)[0])]}",
            "Add it.",
        )
    ratios = {"aepe_all_px": averaged(table[:, 0], table[:, 1], mean)}
    if not without.any():
        ratios["aepe_non_occluded_px"] = averaged(table[:, 2], table[:, 3], mean)
    rule = (
        "mean distance between predicted and true end points, pixels of image B; all: each foreground pixel; "
        "non_occluded: those whose partner image B shows; mean over "
        f"{'all pixels' if mean == 'point' else 'fields of each mean'}; {notes}"
    )
    return ratio_scores(ratios, ids, rule, int(table[:, 1].sum()), options, groupings=groupings)


def _each(
    gt: Path, pred: Path, count: Callable[[FlowPair], list[float]]
) -> tuple[list[str], dict[str, list[str]], np.ndarray, str]:
    """Ids, groupings, what `count` says of each field (N, K), and notes for the rule; one field in memory at a time."""
    ids, categories, directions, mirrored, rows, notes = [], [], [], [], [], set()
    files, left_out = _find(gt, pred)
    for true, predicted, unit_id in files:
        pair = _read(true, predicted, unit_id)
        if not _known(pair).any():
            raise AnnotationError(
                "a known flow at a foreground pixel", f"none in {true}", "Leave such fields out."
            )
        ids.append(unit_id)
        categories.append(pair.category)
        directions.append(pair.direction)
        mirrored.append({True: "yes", False: "no", None: ""}[pair.mirrored])
        try:
            rows.append(count(pair))
        except AnnotationError as error:
            expected, received, remedy = error.args
            raise AnnotationError(expected, f"{received} ({predicted})", remedy) from error
        notes.add("with" if pair.foreground is not None else "without")
    said = {"with": "within the foreground masks", "without": "no foreground masks: every pixel counts"}
    text = "; ".join(said[one] for one in sorted(notes))
    if "with" in notes and "without" in notes:
        raise AnnotationError("a foreground mask of every field, or of none", "some", "Add the others.")
    groupings = {"category": categories, "direction": directions}
    if any(mirrored):
        groupings["mirrored"] = mirrored
        text += f"; {mirrored.count('yes')} of {len(ids)} fields are of pairs with one image mirrored (flip_gt.txt), "
        text += "predictions are taken to be so, too"
    return ids, groupings, np.array(rows, dtype=np.float64), text + left_out


def _known(pair: FlowPair) -> np.ndarray:
    known = np.asarray(np.isfinite(pair.true).all(axis=2))
    return known if pair.foreground is None else known & pair.foreground


def _find(gt: Path, pred: Path) -> tuple[list[tuple[Path, Path, str]], str]:
    """Pairs of files with the id of each, and a note on a direction that the predictions leave out."""
    if not gt.is_dir():
        return [(gt, pred, gt.stem)], ""
    if not pred.is_dir():
        raise DatasetNotFoundError(
            "a folder of predicted flow, as the truth is one", f"no folder {pred}", "Check the path."
        )
    true = [path for path in sorted(gt.rglob("*")) if path.suffix.lower() in SUFFIXES]
    if not true:
        raise DatasetNotFoundError(
            f"flow files ({', '.join(SUFFIXES)}) in {gt}", "none", "Name the folder of the true flow."
        )
    found: list[tuple[Path, Path, str]] = []
    absent: list[tuple[Path, str]] = []
    for path in true:
        stem = path.relative_to(gt).with_suffix("")
        options = [pred / stem.with_suffix(suffix) for suffix in (path.suffix, *SUFFIXES)]
        chosen = next((one for one in options if one.is_file()), None)
        if chosen is None:
            absent.append((path, stem.name))
        else:
            found.append((path, chosen, stem.as_posix()))
    one_way = {name for _, name in absent} & set(DIRECTIONS) - {Path(unit).name for _, _, unit in found}
    lacking = [path for path, name in absent if name not in one_way or not found]
    if lacking:
        raise DatasetNotFoundError(
            f"a predicted flow for {lacking[0].relative_to(gt)}",
            f"none in {pred} ({len(lacking)} of {len(true)} absent)",
            "Keep the truth's folders and names.",
        )
    known = {path.relative_to(gt).with_suffix("") for path in true}
    strange = [
        path.relative_to(pred)
        for path in sorted(pred.rglob("*"))
        if path.suffix.lower() in SUFFIXES and path.relative_to(pred).with_suffix("") not in known
    ]
    if strange:
        raise AnnotationError(
            "predictions for the fields of the truth", str(strange[0]), "Remove it or add its truth."
        )
    return found, f"; {', '.join(sorted(one_way))} not predicted and left out" if one_way else ""


def _read(true_path: Path, predicted_path: Path, unit_id: str) -> FlowPair:
    true, masks = read_flow(true_path)
    predicted, _ = read_flow(predicted_path)
    if predicted.shape != true.shape:
        raise AnnotationError(
            f"flow of shape {true.shape}",
            f"{predicted.shape} in {predicted_path}",
            "Predict at the truth's size.",
        )
    stem = true_path.stem
    names = {"foreground": [f"{stem}_foreground.png"], "occluded": [f"{stem}_occluded.png"]}
    if stem in DIRECTIONS:
        names["foreground"].append(f"mask{stem[-1]}.png")
    for name, files in names.items():
        path = next(
            (true_path.with_name(file) for file in files if true_path.with_name(file).is_file()), None
        )
        if name not in masks and path is not None:
            masks[name] = read_image(path).max(axis=2) > 0
            if masks[name].shape != true.shape[:2]:
                raise AnnotationError(
                    f"a mask of shape {true.shape[:2]}",
                    f"{masks[name].shape} in {path}",
                    "Use the mask of this image.",
                )
    parts = unit_id.split("/")
    flag = true_path.with_name("flip_gt.txt")
    return FlowPair(
        unit_id,
        parts[0] if len(parts) > 2 else "",
        parts[-1] if parts[-1] in DIRECTIONS else "",
        true,
        predicted,
        masks.get("foreground"),
        masks.get("occluded"),
        _read_flag(flag) if stem in DIRECTIONS and flag.is_file() else None,
    )


def _read_flag(path: Path) -> bool:
    text = path.read_text(encoding="utf-8", errors="replace").strip()
    if text not in ("0", "1"):
        raise AnnotationError(
            "0 or 1 (the pair has one image mirrored)", f"{text[:20]!r} in {path}", "Correct it."
        )
    return text == "1"
