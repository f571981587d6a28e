"""Networks and vertex embeddings."""

from .cse import CseModel, CseModelSettings
from .decoder import DecoderBackbone
from .prediction import DensePrediction
from .predictor import Predictor
from .stored import load_predictor
from .unet import UNetBackbone

__all__ = [
    "CseModel",
    "CseModelSettings",
    "DecoderBackbone",
    "DensePrediction",
    "Predictor",
    "UNetBackbone",
    "load_predictor",
]
