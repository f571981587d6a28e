"""densecorr: dense surface correspondences from images and one mesh per category.

import densecorr
model = densecorr.load_predictor("runs/store/...")             # a `train` artifact's folder
prediction = model.predict(image := densecorr.read_image("photo.jpg"), xywh=(40, 30, 200, 320))
prediction.show(image, model.colors)
"""

from typing import Any

__all__ = ["load_predictor", "read_image"]


def __getattr__(name: str) -> Any:
    """Import on first use: `import densecorr` alone stays quick, torch takes seconds."""
    if name == "load_predictor":
        from .models import load_predictor

        return load_predictor
    if name == "read_image":
        from .images import read_image

        return read_image
    raise AttributeError(f"module 'densecorr' has no attribute '{name}'")
