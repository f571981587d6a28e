"""Reading, writing, cropping and resizing images; the one place that knows the pixel convention.

Positions are `(x, y)` in pixels with centres at integers: an image spans [-0.5, W - 0.5]. A COCO box
(x, y, w, h) counts edges instead (its pixel 0 spans [0, 1]), so its corner (x, y) lies at (x - 0.5, y - 0.5) here.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Shaped, UInt8

from .errors import AnnotationError
from .image_headers import image_errors, orientation_of
from .image_uris import local_image

_TURNS = {  # EXIF orientation to what sets it upright, as PIL.ImageOps.exif_transpose
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}


def read_image(path: Path | str) -> UInt8[np.ndarray, "H W 3"]:
    """An image as RGB, upright (EXIF orientation applied), from a file or an address (`s3://`, `https://`, ...).

    Grey, palette, CMYK and 16-bit files are converted; of an animation it is the first frame. What an address holds
    is fetched once and then kept on disk (`image_uris`).

    Raises:
        ImageError: no such file, not a whole image, or one of more pixels than Pillow trusts (179 million).
        DatasetNotFoundError: an address that is not cached, and nothing may be fetched offline.
        DependencyError: an address that needs a package which is not installed.
    """
    from PIL import Image

    file = local_image(path)
    with image_errors(path), Image.open(file) as image:
        image.load()
        turn = _TURNS.get(orientation_of(image))
        upright = image if turn is None else image.transpose(Image.Transpose[turn])
        if upright.mode.startswith("I"):  # 16-bit grey: PIL would clip instead of scale
            wide = np.asarray(upright, dtype=np.float64)
            scale = max(wide.max(), 65535.0 if wide.max() > 255 else 255.0)
            grey = np.clip(wide / scale * 255.0, 0, 255)
            return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)
        return np.asarray(upright.convert("RGB"))


def write_png(path: Path | str, image: UInt8[np.ndarray, "H W *channels"]) -> None:
    """Write (H, W) grey or (H, W, 3) RGB as PNG."""
    from PIL import Image

    Image.fromarray(image).save(path, format="PNG")


def decode_silhouette(rle: dict[str, Any], height: int, width: int) -> Bool[np.ndarray, "H W"]:
    """A COCO run-length encoding as a mask of the image's size."""
    from pycocotools import mask as coco_mask

    size = [int(side) for side in rle["size"]]
    if size != [height, width]:
        raise AnnotationError(
            f"a silhouette of size {[height, width]}", str(size), "Re-export the annotation."
        )
    counts = rle["counts"]
    return coco_mask.decode(
        {"size": size, "counts": counts.encode() if isinstance(counts, str) else counts}
    ).astype(bool)


def encode_silhouette(silhouette: Bool[np.ndarray, "H W"]) -> dict[str, Any]:
    """A mask as a compressed COCO run-length encoding with text counts."""
    from pycocotools import mask as coco_mask

    rle = coco_mask.encode(np.asfortranarray(silhouette.astype(np.uint8)))
    return {"size": [int(side) for side in rle["size"]], "counts": rle["counts"].decode()}


def box_of_silhouette(silhouette: Bool[np.ndarray, "H W"]) -> tuple[float, float, float, float]:
    """The tight COCO box (x, y, w, h) of a mask; zeros when it is empty."""
    ys, xs = np.nonzero(silhouette)
    if len(xs) == 0:
        return (0.0, 0.0, 0.0, 0.0)
    return (float(xs.min()), float(ys.min()), float(np.ptp(xs) + 1), float(np.ptp(ys) + 1))


def silhouette_iou(a: Bool[np.ndarray, "H W"], b: Bool[np.ndarray, "H W"]) -> float:
    """Intersection over union; 1 for two empty masks."""
    union = int((a | b).sum())
    return float((a & b).sum() / union) if union else 1.0


@dataclass(frozen=True)
class CropFrame:
    """A square crop: corner (x0, y0) in COCO edge coordinates, scale (crop pixels a pixel) and size."""

    x0: float
    y0: float
    scale: float
    size: int


def crop_frame(xywh: tuple[float, float, float, float], size: int, padding: float = 0.1) -> CropFrame:
    """The square around a COCO box, its longer side enlarged by `padding` at both ends, as `size` pixels."""
    x, y, w, h = xywh
    side = max(w, h, 1.0) * (1.0 + 2.0 * padding)
    return CropFrame(x + w / 2 - side / 2, y + h / 2 - side / 2, size / side, size)


def to_crop(xy: Float[np.ndarray, "*n 2"], frame: CropFrame) -> Float[np.ndarray, "*n 2"]:
    """Full-image pixels to crop pixels (centres at integers in both)."""
    return (xy + 0.5 - np.array([frame.x0, frame.y0])) * frame.scale - 0.5


def from_crop(xy: Float[np.ndarray, "*n 2"], frame: CropFrame) -> Float[np.ndarray, "*n 2"]:
    """Crop pixels to full-image pixels (centres at integers in both)."""
    return (xy + 0.5) / frame.scale + np.array([frame.x0, frame.y0]) - 0.5


def crop_image(image: UInt8[np.ndarray, "H W 3"], frame: CropFrame) -> UInt8[np.ndarray, "size size 3"]:
    """The crop's pixels, area-averaged when shrinking; the border is repeated outside the image."""
    return _warp(image, frame, replicate=True)


def crop_mask(mask: Bool[np.ndarray, "H W"], frame: CropFrame) -> Bool[np.ndarray, "size size"]:
    """The crop of a mask: a crop pixel is set when at least half of it was; outside the image nothing is."""
    return _warp(mask.astype(np.uint8) * 255, frame, replicate=False) >= 128


def uncrop_mask(mask: Bool[np.ndarray, "size size"], frame: CropFrame, height: int, width: int) -> np.ndarray:
    """A crop's mask back in the full (height, width) image."""
    import cv2

    matrix = np.array([[frame.scale, 0, 0], [0, frame.scale, 0]], dtype=np.float64)
    matrix[:, 2] = to_crop(np.zeros((1, 2)), frame)[0]
    grey = cv2.warpAffine(
        mask.astype(np.uint8) * 255, matrix, (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    )
    return grey >= 128


def contact_sheet(
    images: list[UInt8[np.ndarray, "_h _w 3"]], columns: int, side: int
) -> UInt8[np.ndarray, "H W 3"]:
    """Images resized to squares of `side` pixels in rows of `columns`, black where there is none."""
    import cv2

    n_rows = -(-len(images) // columns)
    sheet = np.zeros((n_rows * side, columns * side, 3), dtype=np.uint8)
    for index, image in enumerate(images):
        y, x = divmod(index, columns)
        small = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
        sheet[y * side : (y + 1) * side, x * side : (x + 1) * side] = small
    return sheet


def _warp(pixels: Shaped[np.ndarray, "H W *c"], frame: CropFrame, replicate: bool) -> np.ndarray:
    import cv2

    if frame.scale < 0.5:  # shrink by whole factors first: a warp alone would skip pixels
        factor = int(0.5 / frame.scale) + 1
        height, width = pixels.shape[:2]
        pad_h, pad_w = -height % factor, -width % factor
        border = cv2.BORDER_REPLICATE if replicate else cv2.BORDER_CONSTANT
        padded = cv2.copyMakeBorder(pixels, 0, pad_h, 0, pad_w, border, value=0)
        pixels = cv2.resize(
            padded, (padded.shape[1] // factor, padded.shape[0] // factor), interpolation=cv2.INTER_AREA
        )
        frame = CropFrame(frame.x0 / factor, frame.y0 / factor, frame.scale * factor, frame.size)
    matrix = np.array([[frame.scale, 0, 0], [0, frame.scale, 0]], dtype=np.float64)
    matrix[:, 2] = to_crop(np.zeros((1, 2)), frame)[0]
    border = cv2.BORDER_REPLICATE if replicate else cv2.BORDER_CONSTANT
    return cv2.warpAffine(
        pixels, matrix, (frame.size, frame.size), flags=cv2.INTER_LINEAR, borderMode=border, borderValue=0
    )
