"""Pictures of predictions: template colours over an image, points, and rows of pictures with titles."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int, UInt8

from ..errors import ImageError

_SUBPIXEL_BITS = 4  # cv2 draws at 1/16 pixel
_CV2_RIM = 0.5  # cv2's antialiased disks come out half a pixel larger than asked
_GAP = 8


def overlay_vertex_map(
    image: UInt8[np.ndarray, "H W 3"],
    vertex_map: Int[np.ndarray, "H W"],
    colors: UInt8[np.ndarray, "V 3"],
    alpha: float = 0.75,
) -> UInt8[np.ndarray, "H W 3"]:
    """The image with each labelled pixel blended with its vertex's colour; -1 leaves the pixel as it is."""
    covered = vertex_map >= 0
    out = image.copy()
    blend = (1 - alpha) * image[covered].astype(np.float32) + alpha * colors[vertex_map[covered]].astype(
        np.float32
    )
    out[covered] = np.rint(blend).astype(np.uint8)
    return out


def overlay_points(
    image: UInt8[np.ndarray, "H W 3"],
    xy: Float[np.ndarray, "P 2"],
    colors: UInt8[np.ndarray, "P 3"],
    radius: float = 3.0,
) -> UInt8[np.ndarray, "H W 3"]:
    """The image with an antialiased dot, rimmed to show on any ground, at each point; NaN points are skipped.

    `xy` are pixels with centres at integers, `radius` pixels.
    """
    import cv2

    out = np.ascontiguousarray(image.copy())
    scale = 1 << _SUBPIXEL_BITS
    for point, color in zip(xy, colors, strict=True):
        if not np.isfinite(point).all():
            continue
        center = (round(float(point[0]) * scale), round(float(point[1]) * scale))
        for size, shade in ((radius + 1.0, (20, 20, 20)), (radius, tuple(int(c) for c in color))):
            cv2.circle(
                out, center, round((size - _CV2_RIM) * scale), shade, cv2.FILLED, cv2.LINE_AA, _SUBPIXEL_BITS
            )
    return out


def figure_row(
    images: Sequence[UInt8[np.ndarray, "_h _w 3"]], titles: Sequence[str], height: int = 256
) -> UInt8[np.ndarray, "H W 3"]:
    """Pictures side by side on white, scaled to one height (pixels), each under its title.

    Raises:
        ImageError: no picture, or a title too few or too many.
    """
    from PIL import Image, ImageDraw, ImageFont

    if not images or len(images) != len(titles):
        raise ImageError(
            "one title a picture", f"{len(titles)} for {len(images)}", "Give both lists the same length."
        )
    font = ImageFont.load_default(size=max(11, height // 16))
    line = round(1.8 * max(11, height // 16))
    scaled = [
        Image.fromarray(image).resize((max(1, round(image.shape[1] * height / image.shape[0])), height))
        for image in images
    ]
    width = sum(picture.width for picture in scaled) + _GAP * (len(scaled) - 1)
    canvas = Image.new("RGB", (width, height + line), "white")
    draw = ImageDraw.Draw(canvas)
    left = 0
    for picture, title in zip(scaled, titles, strict=True):
        canvas.paste(picture, (left, line))
        draw.text(
            (left + 2, line // 2), _fit(title, font, picture.width - 4), fill="black", font=font, anchor="lm"
        )
        left += picture.width + _GAP
    return np.asarray(canvas)


def stack_figures(figures: Sequence[UInt8[np.ndarray, "_h _w 3"]]) -> UInt8[np.ndarray, "H W 3"]:
    """Pictures below each other on white, the widest as wide as the result.

    Raises:
        ImageError: no picture.
    """
    if not figures:
        raise ImageError("at least one picture", "none", "Leave the figure out.")
    width = max(figure.shape[1] for figure in figures)
    pads = [((0, 0), (0, width - figure.shape[1]), (0, 0)) for figure in figures]
    return np.concatenate(
        [np.pad(figure, pad, constant_values=255) for figure, pad in zip(figures, pads, strict=True)]
    )


def _fit(text: str, font, width: int) -> str:  # noqa: ANN001 - PIL's font type depends on FreeType
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "...") > width:
        text = text[:-1]
    return text + "..."
