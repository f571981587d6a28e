"""One colour for each vertex, the same in every picture of the product."""

import numpy as np
from jaxtyping import Float, UInt8

_DARKEST = 30.0
_STRETCH = 3.0


def template_colors(V: Float[np.ndarray, "V 3"]) -> UInt8[np.ndarray, "V 3"]:
    """RGB by position in the bounding box: red grows to the subject's left, green upward, blue to the front.

    Smooth over the surface, and different for places that differ in position; the middle of each axis is
    stretched, because limbs thin the ends out. Colour the *template* and carry colours by vertex id: a posed
    mesh has other positions. An axis without extent is mid-grey.
    """
    low, size = V.min(axis=0), np.ptp(V, axis=0)
    centred = np.divide(2.0 * (V - low), size, out=np.ones_like(V), where=size > 0) - 1.0  # [-1, 1]
    stretched = np.arcsinh(_STRETCH * centred) / np.arcsinh(_STRETCH)
    return np.round(_DARKEST + (255.0 - _DARKEST) * 0.5 * (stretched + 1.0)).astype(np.uint8)
