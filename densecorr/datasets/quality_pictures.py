"""Pictures of suspicious instances: box, mask, labelled points and keypoints drawn on the image."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

SIDE = 320  # pixels of a picture's longer side
LEAST_CONTEXT = 24  # pixels of the image around what is drawn
BOX, OUTLINE = (255, 170, 0), (0, 200, 255)
SIDES = {0: (255, 40, 90), 1: (60, 230, 60), -1: (205, 90, 255)}  # middle or not told apart, left, right


@dataclass(frozen=True)
class Marks:
    """Positions to draw, full-image pixels, and the side of the body of each: 1 left, -1 right, 0 neither or not told.

    Labelled points are drawn as dots, keypoints as crosses.
    """

    xy: Float[np.ndarray, "P 2"]
    side: Int[np.ndarray, " P"]
    crosses: bool = False


def draw_instance(
    image: UInt8[np.ndarray, "H W 3"],
    xywh: tuple[float, float, float, float] | None = None,
    silhouette: Bool[np.ndarray, "H W"] | None = None,
    marks: Sequence[Marks] = (),
) -> UInt8[np.ndarray, "h w 3"]:
    """The part of an image around a box, with the box, the silhouette's outline, points and keypoints drawn.

    Marks far outside stay in the picture: the part drawn includes them as far as the image goes, and those off the
    image are drawn at its edge.
    """
    import cv2

    height, width = image.shape[:2]
    corners = [] if xywh is None else [[xywh[0], xywh[1]], [xywh[0] + xywh[2], xywh[1] + xywh[3]]]
    marked = [row for one in marks for row in one.xy.tolist()]
    seen = np.array([*corners, *marked], dtype=np.float64).reshape(-1, 2)
    seen = seen[np.isfinite(seen).all(axis=1)]
    low, high = (
        (seen.min(axis=0), seen.max(axis=0)) if len(seen) else (np.zeros(2), np.array([width, height]))
    )
    pad = max(LEAST_CONTEXT, 0.15 * float((high - low).max()))
    x0, y0 = (
        int(max(0, min(value, side - 2))) for value, side in zip(low - pad, (width, height), strict=True)
    )
    x1, y1 = (int(np.ceil(value)) for value in high + pad)
    part = image[y0 : max(y0 + 1, y1), x0 : max(x0 + 1, x1)]
    scale = SIDE / max(part.shape[:2])
    size = tuple(max(1, round(side * scale)) for side in part.shape[1::-1])
    out = np.ascontiguousarray(
        cv2.resize(part, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    )

    def place(points: np.ndarray) -> np.ndarray:
        """Pixels with centres at integers, in the picture."""
        return np.rint((points + 0.5 - [x0, y0]) * scale - 0.5).astype(np.int32)

    if silhouette is not None:
        mask = silhouette[y0 : y0 + part.shape[0], x0 : x0 + part.shape[1]].astype(np.uint8)
        large = cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST)
        contours, _ = cv2.findContours(large, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(out, contours, -1, OUTLINE, 1)
    if xywh is not None:
        first, second = place(np.array(corners) - 0.5).tolist()
        cv2.rectangle(out, first, second, BOX, 1)
    for one in marks:
        known = np.isfinite(one.xy).all(axis=1)
        for point, side in zip(
            np.clip(place(one.xy[known]), 2, np.array(size) - 3).tolist(),
            one.side[known].tolist(),
            strict=True,
        ):
            if one.crosses:
                cv2.drawMarker(out, point, (0, 0, 0), cv2.MARKER_TILTED_CROSS, 11, 4)
                cv2.drawMarker(out, point, SIDES[side], cv2.MARKER_TILTED_CROSS, 9, 2)
            else:
                cv2.circle(out, point, 2, SIDES[side], cv2.FILLED, cv2.LINE_AA)
    return out


def beside(a: UInt8[np.ndarray, "h w 3"], b: UInt8[np.ndarray, "_h _w 3"]) -> UInt8[np.ndarray, "_h2 _w2 3"]:
    """Two pictures side by side with a white gap, on white where one is lower."""
    height, gap = max(len(a), len(b)), 6
    out = np.full((height, a.shape[1] + gap + b.shape[1], 3), 255, dtype=np.uint8)
    out[: len(a), : a.shape[1]] = a
    out[: len(b), a.shape[1] + gap :] = b
    return out
