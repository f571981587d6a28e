"""Geodesic error, RCP and left/right confusion of result files: vertices at the annotated points of a COCO file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from densecorr.errors import AnnotationError, EmptyInstanceError, SettingsError
from densecorr.evaluation.densepose_files import read_json, read_truths
from densecorr.evaluation.densepose_results import read_geodesics, read_results
from densecorr.evaluation.densepose_types import DensePoseTruth, Id
from densecorr.evaluation.geodesic import SHIC_SCALE, bounded_error
from densecorr.evaluation.point_errors import CURVE_CM, PointErrors, check_mirror, point_errors
from densecorr.evaluation.point_matching import MIN_IOU, match_detections
from densecorr.evaluation.rcp import ratio_of_correct_points

from .field_scores import FieldOptions, FieldScores, averaged, by_id, ratio_scores

METRES = {"m": 1.0, "mm": 0.001}


class PointRow(msgspec.Struct):
    """An entry of the point form; other forms have no `annotation_id`."""

    annotation_id: Id | None = None
    vertex: list[int | None] | None = None


@dataclass(frozen=True)
class ScoredAnnotations:
    """Annotations with points, their errors, and how the predictions came to them."""

    truths: list[DensePoseTruth]
    errors: list[PointErrors]
    categories: list[str]
    matching: str

    def sums(self, values: Sequence[np.ndarray]) -> np.ndarray:
        """The sum of each annotation's values."""
        return np.array([float(np.sum(one, dtype=np.float64)) for one in values])

    @property
    def n_points(self) -> np.ndarray:
        """Scored points of each annotation."""
        return np.array([len(one.distance) for one in self.errors], dtype=np.float64)


def score_geodesic(gt: Path, pred: Path, options: FieldOptions) -> FieldScores:
    """Mean geodesic error, each distance capped at the diameter, which is also what a missing vertex costs."""
    scored = _read(gt, pred, options)
    mean = options.mean or "image"
    bounded = [bounded_error(one.distance, one.diameter).astype(np.float64) for one in scored.errors]
    share = [one / errors.diameter for one, errors in zip(bounded, scored.errors, strict=True)]
    count = scored.n_points
    ratios = {}
    if options.unit != "none":
        metres = METRES[options.unit]
        ratios["geodesic_error_m"] = averaged(metres * scored.sums(bounded), count, mean)
    elif len({truth.mesh for truth in scored.truths}) == 1:
        ratios["geodesic_error_mesh_units"] = averaged(scored.sums(bounded), count, mean)
    ratios["geodesic_error_percent"] = averaged(100.0 * scored.sums(share), count, mean)
    ratios["geodesic_error_228"] = averaged(SHIC_SCALE * scored.sums(share), count, mean)
    ratios["missing_percent"] = _missing(scored)
    over = "annotations of each one's mean" if mean == "image" else "all points"
    rule = (
        f"mean over {over}; a missing vertex costs the mesh's diameter; percent: of the diameter; 228: the diameter is "
        f"228; {scored.matching}"
    )
    return _scores(scored, ratios, rule, options)


def score_rcp(gt: Path, pred: Path, options: FieldOptions) -> FieldScores:
    """Area under the curve of the ratio of correct points up to 10 and 30 cm (Güler's thesis, sec. 4.2.3)."""
    if options.unit == "none":
        raise SettingsError("geodesics in m or mm", "unit none", "RCP is in centimetres: name the unit.")
    limits = options.thresholds or (10.0, 30.0)
    if not all(limit > 0 for limit in limits):
        raise SettingsError("thresholds above 0 cm", str(list(limits)), "Correct the thresholds.")
    scored = _read(gt, pred, options)
    mean = options.mean or "point"
    cm = [100.0 * METRES[options.unit] * one.distance.astype(np.float64) for one in scored.errors]
    ratios = {
        f"rcp_auc_{limit:g}": averaged(
            scored.sums([np.maximum(0.0, 1.0 - one / limit) for one in cm]), scored.n_points, mean
        )
        for limit in limits
    }
    ratios["missing_percent"] = _missing(scored)
    curve = ratio_of_correct_points(np.concatenate(cm), np.array(CURVE_CM))
    tables = {
        "rcp": [
            {"threshold_cm": t, "correct_percent": 100.0 * float(f)}
            for t, f in zip(CURVE_CM, curve, strict=True)
        ]
    }
    over = "all points" if mean == "point" else "annotations of each one's area"
    rule = (
        f"area under f(t), the share of points with a geodesic error of at most t, for t from 0 to "
        f"{' and '.join(f'{limit:g}' for limit in limits)} cm, divided by that limit (0 to 1); over {over}; a missing "
        f"vertex is never correct; {scored.matching}"
    )
    return _scores(scored, ratios, rule, options, tables)


def score_left_right(gt: Path, pred: Path, options: FieldOptions) -> FieldScores:
    """Share of points whose predicted vertex is nearer to the mirror image of the truth than to the truth."""
    if not options.mirrors:
        raise SettingsError("a mirror table", "none", "Name each mesh's .npy file of partners.")
    scored = _read(gt, pred, options)
    mean = options.mean or "point"
    sided = scored.sums([_known(one.sided) for one in scored.errors])
    confused = scored.sums([_known(one.confused) for one in scored.errors])
    if not sided.sum():
        raise EmptyInstanceError(
            "a point away from the symmetry plane", "none", "Annotate points on either side."
        )
    rule = (
        "share of points nearer to the mirrored truth than to the truth, or without a vertex, of those whose distance "
        "to the symmetry plane (half the geodesic to their partner) is over 5 % of the diameter; mean over "
        f"{'all such points' if mean == 'point' else 'annotations'}; {scored.matching}"
    )
    ratios = {"left_right_confusion_percent": averaged(100.0 * confused, sided, mean)}
    return _scores(scored, ratios, rule, options, n=int(sided.sum()))


def _known(values: np.ndarray | None) -> np.ndarray:
    assert values is not None  # mirrors were given
    return values


def _missing(scored: ScoredAnnotations) -> tuple[np.ndarray, np.ndarray]:
    missing = scored.sums([~np.isfinite(one.distance) for one in scored.errors])
    return averaged(100.0 * missing, scored.n_points, "point")


def _scores(
    scored: ScoredAnnotations,
    ratios: dict[str, tuple[np.ndarray, np.ndarray]],
    rule: str,
    options: FieldOptions,
    tables: dict | None = None,
    n: int | None = None,
) -> FieldScores:
    return ratio_scores(
        ratios,
        [str(truth.id) for truth in scored.truths],
        rule,
        int(scored.n_points.sum()) if n is None else n,
        options,
        groupings={"category": scored.categories, "mesh": [truth.mesh for truth in scored.truths]},
        tables=tables,
    )


def _read(gt: Path, pred: Path, options: FieldOptions) -> ScoredAnnotations:
    images, categories, every = read_truths(gt)
    truths = [t for t in every if t.dp is not None and (t.vertex >= 0).any()]
    if not truths:
        raise EmptyInstanceError("an annotated vertex", f"none in {gt}", "Name a file with dp_vertex.")
    heads: list[PointRow] = read_json(pred, "predictions", list[PointRow])
    if not heads:
        raise EmptyInstanceError("at least one prediction", f"none in {pred}", "Name a file that has some.")
    if any(row.annotation_id is not None for row in heads):
        given = by_id(heads, "annotation_id", [t.id for t in every], "annotation")
        guesses = {key: _row_vertices(row) for key, row in given.items()}
        matching = "an annotation without an entry is missed"
    else:
        guesses = match_detections(truths, read_results(pred, images, categories))
        matching = (
            "an annotation is answered by the detection of its category with the greatest box IoU, at least "
            f"{MIN_IOU:g}, each used once; without one it is missed"
        )
    matrices = _read_meshes(options.geodesics, sorted({truth.mesh for truth in truths}))
    diameters = {mesh: _diameter(matrix, mesh) for mesh, matrix in matrices.items()}
    mirrors = _read_mirrors(options.mirrors, matrices)
    errors = []
    for truth in truths:
        guess = guesses.get(truth.id, np.full(len(truth.vertex), -1))
        try:
            if len(guess) != len(truth.vertex):
                raise AnnotationError(
                    f"{len(truth.vertex)} predicted vertices",
                    str(len(guess)),
                    "Predict each point, in order.",
                )
            use = truth.vertex >= 0
            on_mesh = diameters[truth.mesh], mirrors.get(truth.mesh)
            errors.append(point_errors(matrices[truth.mesh], truth.vertex[use], guess[use], *on_mesh))
        except AnnotationError as error:
            expected, received, remedy = error.args
            raise AnnotationError(expected, f"{received} (annotation {truth.id})", remedy) from error
    named = [categories.get(truth.category_id, str(truth.category_id)) for truth in truths]
    return ScoredAnnotations(truths, errors, named, matching)


def _read_meshes(paths: Mapping[str, Path], meshes: Sequence[str]) -> dict[str, np.ndarray]:
    """The geodesics of each mesh; a file without a name serves a truth with one mesh."""
    found = read_geodesics([f"{name}={path}" if name else str(path) for name, path in paths.items()])
    absent = [mesh for mesh in meshes if mesh not in found]
    if absent and not (len(meshes) == 1 and "" in found):
        raise SettingsError(
            f"geodesics of each mesh: {', '.join(mesh or 'the mesh' for mesh in meshes)}",
            f"only {', '.join(found) or 'none'}",
            "Name each mesh's .npy file: NAME=file.npy.",
        )
    return {mesh: found[mesh] if mesh in found else found[""] for mesh in meshes}


def _diameter(D: np.ndarray, mesh: str) -> float:
    diameter = float(np.max(D))
    if not (np.isfinite(diameter) and diameter > 0):
        raise AnnotationError(
            "finite geodesic distances",
            f"a largest of {diameter:g} ({mesh or 'the mesh'})",
            "Leave out the vertices that no path reaches.",
        )
    return diameter


def _row_vertices(row: PointRow) -> np.ndarray:
    if row.vertex is None:
        raise AnnotationError(
            "`vertex`, one an annotated point", f"none for annotation_id {row.annotation_id!r}", "Add it."
        )
    return np.array([-1 if one is None else one for one in row.vertex], dtype=np.int64)


def _read_mirrors(paths: Mapping[str, Path], matrices: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    mirrors = {}
    for mesh, matrix in matrices.items():
        path = paths.get(mesh, paths.get(""))
        if not paths:
            continue
        if path is None:
            raise SettingsError(f"a mirror table of {mesh}", "none", "Name each mesh's .npy file.")
        try:
            mirror = np.load(path, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise AnnotationError(
                "an .npy file of partners", f"{path} ({error})", "Check the path."
            ) from error
        check_mirror(mirror, len(matrix), mesh or "the mesh")
        mirrors[mesh] = mirror.astype(np.int64)
    return mirrors
