"""What a model predicts for one object: the vertex of each pixel of its box."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int32, UInt8


@dataclass(frozen=True)
class DensePrediction:
    """One instance: the vertex of each pixel of its box, row by row, -1 outside the predicted silhouette.

    `vertices[j, i]` belongs to image pixel (x0 + i, y0 + j), with (x0, y0) the floor of the box's corner.
    """

    xywh: tuple[float, float, float, float]
    vertices: Int32[np.ndarray, "h w"]
    score: float

    def vertex_map(self, height: int, width: int) -> Int32[np.ndarray, "H W"]:
        """The vertices in the full image, -1 elsewhere."""
        out = np.full((height, width), -1, dtype=np.int32)
        x0, y0 = int(np.floor(self.xywh[0])), int(np.floor(self.xywh[1]))
        h, w = self.vertices.shape
        left, top = max(x0, 0), max(y0, 0)
        right, bottom = min(x0 + w, width), min(y0 + h, height)
        if right > left and bottom > top:
            out[top:bottom, left:right] = self.vertices[top - y0 : bottom - y0, left - x0 : right - x0]
        return out

    def overlay(self, image: UInt8[np.ndarray, "H W 3"], colors: UInt8[np.ndarray, "V 3"]) -> np.ndarray:
        """The image with the prediction painted over it in template colours."""
        vertex = self.vertex_map(*image.shape[:2])
        painted = 0.35 * image + 0.65 * colors[np.maximum(vertex, 0)]
        return np.where((vertex >= 0)[..., None], painted, image).astype(np.uint8)

    def show(self, image: UInt8[np.ndarray, "H W 3"], colors: UInt8[np.ndarray, "V 3"]) -> None:
        """Open the overlay in the system's picture viewer."""
        from PIL import Image

        Image.fromarray(self.overlay(image, colors)).show()
