"""A baseline that never looks at the image: the vertex usually found at a place in the box, and the reverse.

A method that does not beat it has learned where things are in a box, not what they look like. It is fitted on
the same pseudo-labels as the model it is compared with.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from jaxtyping import Float, Float32, Int

from ..errors import TrainingError
from .instances import InstanceTruth, PointPrediction

_MEDOID_LABELS = 512  # an even subset is enough for a medoid, which costs the square of it


@dataclass(frozen=True)
class PositionPriorSettings:
    """`grid` cells a side of the box; a cell takes in its surroundings until it has `min_labels` labels."""

    grid: int = 32
    min_labels: int = 5


@dataclass(frozen=True)
class PositionPrior:
    """`cell_vertex`: full vertex id of each cell; `position`: box-relative place of each coarse vertex."""

    cell_vertex: Int[np.ndarray, "G G"]
    position: Float[np.ndarray, "C 2"]
    to_coarse: Int[np.ndarray, " V"]


def to_box_relative(
    xy: Float[np.ndarray, "P 2"], xywh: tuple[float, float, float, float]
) -> Float[np.ndarray, "P 2"]:
    """Full-image pixels as shares of a COCO box, (0, 0) its top-left and (1, 1) its bottom-right edge."""
    x, y, w, h = xywh
    return (xy + 0.5 - np.array([x, y])) / np.array([max(w, 1e-9), max(h, 1e-9)])


def from_box_relative(
    relative: Float[np.ndarray, "P 2"], xywh: tuple[float, float, float, float]
) -> Float[np.ndarray, "P 2"]:
    """Inverse of `to_box_relative`."""
    x, y, w, h = xywh
    return relative * np.array([w, h]) + np.array([x, y]) - 0.5


def fit_position_prior(
    relative: Float[np.ndarray, "N 2"],
    vertex: Int[np.ndarray, " N"],
    coarse: Int[np.ndarray, " C"],
    to_coarse: Int[np.ndarray, " V"],
    coarse_D: Float32[np.ndarray, "C C"],
    settings: PositionPriorSettings,
) -> PositionPrior:
    """Fit both directions on N labels.

    Each cell takes, among its labels, the one at the least mean geodesic distance from the others (on the
    coarse level); each coarse vertex takes the medoid of its labels' positions, and one without labels that
    of the geodesically nearest vertex with some.

    Args:
        relative: box-relative positions of the labels (`to_box_relative`).
        vertex: full-resolution vertex of each label; -1 is skipped.
        coarse: full vertex ids of the coarse level.
        to_coarse: index into `coarse` of each full vertex.
        coarse_D: geodesic distances between coarse vertices.
        settings: grid and smoothing.

    Raises:
        TrainingError: no usable label.
    """
    known = (vertex >= 0) & np.isfinite(relative).all(axis=1)
    if not known.any():
        raise TrainingError("labels with a vertex", "none", "Fit on the training split's pseudo-labels.")
    relative, label = relative[known], to_coarse[vertex[known]]
    cells = _cell(relative, settings.grid)
    cell_vertex = np.empty((settings.grid, settings.grid), dtype=np.int64)
    by_row = [np.flatnonzero(cells[:, 1] == row) for row in range(settings.grid)]
    cumulative = _integral_image(cells, settings.grid)
    for row in range(settings.grid):
        for column in range(settings.grid):
            rows, columns = _window(cumulative, row, column, min(settings.min_labels, len(label)))
            nearby = np.concatenate([by_row[r] for r in range(*rows)])
            inside = (cells[nearby, 0] >= columns[0]) & (cells[nearby, 0] < columns[1])
            cell_vertex[row, column] = coarse[_geodesic_medoid(label[nearby[inside]], coarse_D)]
    return PositionPrior(cell_vertex, _positions(relative, label, coarse_D), to_coarse)


def predict_by_position(prior: PositionPrior, truth: InstanceTruth) -> PointPrediction:
    """The prior's answer for one instance, from its box alone."""
    cells = _cell(to_box_relative(truth.xy.astype(np.float64), truth.xywh), len(prior.cell_vertex))
    vertex = prior.cell_vertex[cells[:, 1], cells[:, 0]]
    asked = prior.to_coarse[np.maximum(truth.vertex, 0)]
    xy = from_box_relative(prior.position[asked], truth.xywh)
    return PointPrediction(truth.instance_id, vertex, xy, 0.0, np.ones(len(vertex), dtype=bool))


def _cell(relative: Float[np.ndarray, "N 2"], grid: int) -> Int[np.ndarray, "N 2"]:
    return np.clip(np.floor(relative * grid), 0, grid - 1).astype(np.int64)


def _integral_image(cells: Int[np.ndarray, "N 2"], grid: int) -> npt.NDArray[np.int64]:
    counts = np.bincount(cells[:, 1] * grid + cells[:, 0], minlength=grid * grid).reshape(grid, grid)
    cumulative = np.zeros((grid + 1, grid + 1), dtype=np.int64)
    cumulative[1:, 1:] = counts.cumsum(axis=0).cumsum(axis=1)
    return cumulative


def _window(
    cumulative: npt.NDArray[np.int64], row: int, column: int, min_labels: int
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Row and column ranges of the smallest square of cells around a cell that holds `min_labels` labels."""
    grid = len(cumulative) - 1
    for radius in range(grid):
        top, bottom = max(0, row - radius), min(grid, row + radius + 1)
        left, right = max(0, column - radius), min(grid, column + radius + 1)
        held = (
            cumulative[bottom, right]
            - cumulative[top, right]
            - cumulative[bottom, left]
            + cumulative[top, left]
        )
        if held >= min_labels:
            return (top, bottom), (left, right)
    return (0, grid), (0, grid)


def _geodesic_medoid(label: Int[np.ndarray, " n"], coarse_D: Float32[np.ndarray, "C C"]) -> int:
    candidates, counts = np.unique(label, return_counts=True)
    return int(candidates[np.argmin(coarse_D[np.ix_(candidates, candidates)] @ counts.astype(np.float64))])


def _positions(
    relative: Float[np.ndarray, "N 2"], label: Int[np.ndarray, " N"], coarse_D: Float32[np.ndarray, "C C"]
) -> Float[np.ndarray, "C 2"]:
    order = np.argsort(label, kind="stable")
    labelled, starts = np.unique(label[order], return_index=True)
    position = np.empty((len(coarse_D), 2))
    for vertex, members in zip(labelled, np.split(order, starts[1:]), strict=True):
        points = relative[members[:: -(-len(members) // _MEDOID_LABELS)]]
        spread = np.linalg.norm(points[:, None] - points[None], axis=-1).sum(axis=1)
        position[vertex] = points[np.argmin(spread)]
    nearest = labelled[np.argmin(coarse_D[:, labelled], axis=1)]
    return position[nearest]
