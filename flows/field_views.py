"""Position errors of reconstructed vertices and epipolar distances of matches, from files."""

from pathlib import Path

import msgspec
import numpy as np

from densecorr.errors import AnnotationError, DatasetNotFoundError, EmptyInstanceError, SettingsError
from densecorr.records import Camera

from .field_scores import FieldOptions, FieldScores, averaged, ratio_scores

Matrix = tuple[tuple[float, float, float], tuple[float, float, float], tuple[float, float, float]]
IN_MM = {"m": 1000.0, "mm": 1.0}
ALIGNED = {
    "none": "as they are",
    "root": "after the root is moved onto the true one",
    "procrustes": "after scale, rotation and shift fitted to each frame (no reflection)",
}


def score_mpvpe(gt: Path, pred: Path, options: FieldOptions) -> FieldScores:
    """Mean per-vertex position error (multi-view paper, sec. 4.4); with kappa also vertex similarity."""
    from densecorr.evaluation.multiview import position_errors, vertex_similarity

    true, visible = read_positions(gt)
    predicted, _ = read_positions(pred)
    errors = position_errors(predicted, true, options.align, options.root)
    found = np.isfinite(errors)
    if not found.any():
        raise EmptyInstanceError("at least one predicted position", "none", "Predict positions.")
    mean = options.mean or "image"
    scale, name = (1.0, "mpvpe_mesh_units") if options.unit == "none" else (IN_MM[options.unit], "mpvpe_mm")
    total = scale * np.where(found, errors, 0.0).sum(axis=1)
    ratios = {name: averaged(total, found.sum(axis=1), mean)}
    ratios["missing_percent"] = (100.0 * (~found).sum(axis=1), np.full(len(errors), float(errors.shape[1])))
    rule = (
        f"mean distance of vertices from their true positions, {ALIGNED[options.align]}; "
        f"mean over {'all vertices' if mean == 'point' else 'frames of each mean'}; a vertex without a position "
        "(NaN) is left out and counted as missing"
    )
    if options.align == "root":
        rule += f"; root: the mean of {f'vertices {list(options.root)}' if options.root else 'all vertices'}"
    if options.kappa is not None:
        if options.kappa <= 0:
            raise SettingsError("kappa above 0", str(options.kappa), "Correct it.")
        if visible is None:
            visible = np.ones(errors.shape, dtype=bool)
            rule += "; no `visible` in the truth: all vertices count as visible"
        values = vertex_similarity(errors, visible, options.kappa)
        for label, value in zip(("vs", "mmvs"), values, strict=True):
            known = np.isfinite(value)
            ratios[label] = (np.where(known, value, 0.0), known.astype(np.float64))
        rule += f"; VS and MVS with kappa {options.kappa:g} in the files' unit, a missing vertex adds 0"
    ids = [str(number) for number in range(len(errors))]
    return ratio_scores(ratios, ids, rule, int(found.sum()), options)


def read_positions(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """Positions (N, V, 3) and which vertices are visible (N, V), if the file says so.

    Raises:
        DatasetNotFoundError: no such file.
        AnnotationError: another form.
    """
    if not path.is_file():
        raise DatasetNotFoundError(f"a file of positions at {path}", "no such file", "Check the path.")
    visible = None
    try:
        if path.suffix.lower() == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                X = arrays["vertices"]
                visible = arrays["visible"] if "visible" in arrays else None
        else:
            X = np.load(path, allow_pickle=False)
    except (OSError, ValueError, KeyError) as error:
        raise AnnotationError(
            "an .npy file, or .npz with the array `vertices`", f"{path} ({error})", "Correct it."
        ) from error
    if X.ndim == 2:
        X = X[None]
    if X.ndim != 3 or X.shape[2] != 3 or X.dtype.kind != "f":
        raise AnnotationError(
            "positions of shape (N, V, 3), floating point",
            f"{X.dtype} of shape {X.shape} in {path}",
            "Save frames x vertices x 3.",
        )
    if visible is not None and (visible.dtype != bool or visible.shape != X.shape[:2]):
        raise AnnotationError(
            f"`visible` as bool of shape {X.shape[:2]}",
            f"{visible.dtype} of shape {visible.shape}",
            "Correct it.",
        )
    return X, visible


class CameraRow(msgspec.Struct):
    """A camera of the file: OpenCV's K, R, t and k1, k2, p1, p2, k3."""

    K: Matrix
    R: Matrix
    t: tuple[float, float, float]
    distortion: tuple[float, float, float, float, float] = (0.0, 0.0, 0.0, 0.0, 0.0)
    width: int = 0
    height: int = 0


class CameraFile(msgspec.Struct):
    """The truth: cameras by name."""

    cameras: dict[str, CameraRow]


class MatchRow(msgspec.Struct):
    """Matched points of two views, pixels."""

    camera_a: str
    camera_b: str
    xy_a: list[tuple[float, float]]
    xy_b: list[tuple[float, float]]
    pair_id: str | None = None


def score_epipolar(gt: Path, pred: Path, options: FieldOptions) -> FieldScores:
    """Symmetric epipolar distance of matched points of calibrated views (multi-view paper, eq. 1 and sec. 4.4)."""
    from densecorr.evaluation.densepose_files import read_json
    from densecorr.evaluation.multiview import epipolar_distances

    cameras = {
        name: Camera(
            np.array(row.K, dtype=np.float64),
            np.array(row.R, dtype=np.float64),
            np.array(row.t, dtype=np.float64),
            row.width,
            row.height,
            row.distortion,
        )
        for name, row in read_json(gt, "cameras", CameraFile).cameras.items()
    }
    rows: list[MatchRow] = read_json(pred, "matches", list[MatchRow])
    thresholds, mean = options.thresholds or (1.0, 2.0, 5.0), options.mean or "image"
    if not all(threshold > 0 for threshold in thresholds):
        raise SettingsError("thresholds above 0 pixels", str(list(thresholds)), "Correct the thresholds.")
    distances = []
    for number, row in enumerate(rows):
        where = f"pair {row.pair_id or number}"
        for name in (row.camera_a, row.camera_b):
            if name not in cameras:
                raise AnnotationError(
                    f"cameras of the file: {', '.join(cameras) or 'none'}",
                    f"{name!r} in {where}",
                    "Use their names.",
                )
        if len(row.xy_a) != len(row.xy_b):
            raise AnnotationError(
                "as many points in both views",
                f"{len(row.xy_a)} and {len(row.xy_b)} in {where}",
                "Complete the matches.",
            )
        xy_a, xy_b = (np.array(xy, dtype=np.float64).reshape(-1, 2) for xy in (row.xy_a, row.xy_b))
        both = epipolar_distances(xy_a, xy_b, cameras[row.camera_a], cameras[row.camera_b])
        distances.append(both.mean(axis=1))
    pooled = np.concatenate([*distances, np.zeros(0)])
    if not len(pooled):
        raise EmptyInstanceError("at least one match", f"none in {pred}", "Match some points.")
    count = np.array([len(one) for one in distances], dtype=np.float64)
    ratios = {"epipolar_px": averaged(np.array([one.sum() for one in distances]), count, mean)}
    for threshold in thresholds:
        within = np.array([(one <= threshold).sum() for one in distances], dtype=np.float64)
        ratios[f"epipolar_within_{threshold:g}px_percent"] = averaged(100.0 * within, count, mean)
    rule = (
        "distance of each point to the epipolar line of its partner, mean of both views, in undistorted pixels; "
        f"mean over {'all matches' if mean == 'point' else 'pairs of views of each mean'}; "
        "the median is over all matches"
    )
    return ratio_scores(
        ratios,
        [row.pair_id or str(number) for number, row in enumerate(rows)],
        rule,
        len(pooled),
        options,
        groupings={"views": [f"{row.camera_a} - {row.camera_b}" for row in rows]},
        plain={"epipolar_median_px": float(np.median(pooled))},
    )
