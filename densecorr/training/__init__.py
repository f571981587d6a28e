"""The training loop and what it reads and writes."""

from .synthetic import SyntheticSettings
from .train import TrainSettings, train

__all__ = ["SyntheticSettings", "TrainSettings", "train"]
