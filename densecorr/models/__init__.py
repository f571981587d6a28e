"""Networks and vertex embeddings."""

from .cse import CseModel, CseModelSettings
from .predictor import DensePrediction, Predictor, load_predictor
from .unet import UNetBackbone

__all__ = ["CseModel", "CseModelSettings", "DensePrediction", "Predictor", "UNetBackbone", "load_predictor"]
