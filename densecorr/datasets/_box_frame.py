"""DensePose's box frame (see `densepose.xy_to_dp`), for as long as that module cannot be imported."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float


def xy_to_dp(
    xy: Float[np.ndarray, "*n 2"], xywh: Float[np.ndarray, "*n 4"] | Sequence[float], side: float = 256.0
) -> Float[np.ndarray, "*n 2"]:
    """Full-image pixels into the DensePose frame of a COCO box."""
    box = np.asarray(xywh, dtype=np.float64)
    return (xy + 0.5 - box[..., :2]) * side / box[..., 2:]
