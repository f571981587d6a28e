"""Scores, intervals, baselines and the report. One file a metric; to add one, name it in `Metric`."""

from .geodesic import GeodesicError
from .gps import GpsAveragePrecision
from .left_right import LeftRightConfusion
from .pck import Pck
from .rcp import RatioOfCorrectPoints

Metric = GeodesicError | RatioOfCorrectPoints | Pck | GpsAveragePrecision | LeftRightConfusion

__all__ = [
    "GeodesicError",
    "GpsAveragePrecision",
    "LeftRightConfusion",
    "Metric",
    "Pck",
    "RatioOfCorrectPoints",
]
