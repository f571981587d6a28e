"""A template to measure by hand: 41 vertices, 5 cm apart on a segment of 2 m, mirrored about its middle."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from densecorr.evaluation.instances import InstanceTruth, PointPrediction
from densecorr.evaluation.scored import ScoredPoints, score_points


@dataclass(frozen=True)
class Segment:
    x: np.ndarray
    unit: str = "m"
    mirror_residual: float = 0.0

    @property
    def diameter(self) -> float:
        return float(self.x[-1] - self.x[0])

    @property
    def mirror(self) -> np.ndarray:
        return np.arange(len(self.x))[::-1].copy()

    def rows(self, vertices: np.ndarray) -> np.ndarray:
        return np.abs(self.x[vertices][:, None] - self.x[None, :]).astype(np.float32)


def _make_truth(vertex: Any, instance_id: str = "a", **changed: Any) -> InstanceTruth:
    vertex = np.asarray(vertex, dtype=np.int64)
    values: dict[str, Any] = {
        "instance_id": instance_id,
        "image_id": f"image of {instance_id}",
        "category": "worm",
        "xywh": (0.0, 0.0, 100.0, 50.0),
        "xy": np.stack([10.0 * np.arange(len(vertex)), np.full(len(vertex), 5.0)], axis=1),
        "vertex": vertex,
        "area": 2500.0,
    }
    return InstanceTruth(**(values | changed))


def _make_prediction(truth: InstanceTruth, **changed: Any) -> PointPrediction:
    values: dict[str, Any] = {
        "instance_id": truth.instance_id,
        "vertex": truth.vertex,
        "xy": truth.xy,
        "score": 1.0,
        "inside": np.ones(len(truth.vertex), dtype=bool),
    }
    if "vertex" in changed:
        changed["vertex"] = np.asarray(changed["vertex"], dtype=np.int64)
    return PointPrediction(**(values | changed))


@pytest.fixture(scope="session")
def segment() -> Segment:
    return Segment(np.linspace(-1.0, 1.0, 41))


@pytest.fixture(scope="session")
def make_truth() -> Callable[..., InstanceTruth]:
    """Point i lies at x = 10 i, y = 5 in a box 100 wide and 50 high."""
    return _make_truth


@pytest.fixture(scope="session")
def make_prediction() -> Callable[..., PointPrediction]:
    """The right answer everywhere, except for what is changed."""
    return _make_prediction


@pytest.fixture(scope="session")
def score_one(segment: Segment) -> Callable[..., ScoredPoints]:
    """The scored points of one instance with the given true vertices and changes to a perfect prediction."""

    def score(true: Any, truth_changes: dict[str, Any] | None = None, **changed: Any) -> ScoredPoints:
        truth = _make_truth(true, **(truth_changes or {}))
        prediction = _make_prediction(truth, **changed)
        return score_points([truth], {"method": [prediction]}, segment.rows, segment)["method"]

    return score
