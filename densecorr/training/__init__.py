"""The training loop and what it reads and writes."""

from .encoded import EncodeSettings
from .prepare import TrainingLevel
from .settings import TrainSettings
from .train import train

__all__ = ["EncodeSettings", "TrainSettings", "TrainingLevel", "train"]
