"""The metrics of `densecorr score` besides GPS, by name; each scores one result file against one truth.

To add one: a function (gt, pred, options) -> FieldScores, and a line in `FIELD_METRICS`.
"""

from collections.abc import Callable
from pathlib import Path

from .field_confidence import score_ece
from .field_detection import score_bbox, score_segm
from .field_flow import score_aepe, score_flow_pck
from .field_keypoints import score_pck
from .field_points import score_geodesic, score_left_right, score_rcp
from .field_scores import FieldMetric, FieldOptions, FieldScores, slice_figures
from .field_views import score_epipolar, score_mpvpe

FIELD_METRICS: dict[str, Callable[[Path, Path, FieldOptions], FieldScores]] = {
    "geodesic": FieldMetric(score_geodesic, ("geodesics", "unit", "mean")),
    "rcp": FieldMetric(score_rcp, ("geodesics", "unit", "mean", "thresholds")),
    "left-right": FieldMetric(score_left_right, ("geodesics", "mirrors", "mean")),
    "pck": FieldMetric(score_pck, ("reference", "alphas", "mean", "images")),
    "flow-pck": FieldMetric(score_flow_pck, ("alphas", "mean")),
    "aepe": FieldMetric(score_aepe, ("mean",)),
    "mpvpe": FieldMetric(score_mpvpe, ("unit", "align", "root", "kappa", "mean")),
    "epipolar": FieldMetric(score_epipolar, ("thresholds", "mean")),
    "ece": FieldMetric(score_ece, ("bins", "n_bins")),
    "bbox": FieldMetric(score_bbox),
    "segm": FieldMetric(score_segm),
}

__all__ = ["FIELD_METRICS", "FieldMetric", "FieldOptions", "FieldScores", "slice_figures"]
