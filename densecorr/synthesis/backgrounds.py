"""What lies behind the subject: random crops of the user's photographs, or surroundings drawn here."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt8

from ..errors import DatasetNotFoundError, ImageError
from ..images import read_image

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
LEAST_SIDE = 32
CROP = (0.4, 1.0)  # side of a crop as a share of the image's shorter side
_KEPT_SIDE = 3  # images are kept at this many times the asked size: the smallest crop is then not enlarged


def list_backgrounds(folder: Path) -> tuple[Path, ...]:
    """The image files below a folder, by name; each has been looked at.

    Raises:
        DatasetNotFoundError: no image file there.
        ImageError: a file that is empty, unreadable or too small; the message names it.
    """
    files = sorted([folder] if folder.is_file() else folder.rglob("*"))
    found = tuple(path for path in files if path.is_file() and path.suffix.lower() in ENDINGS)
    if not found:
        raise DatasetNotFoundError(
            "background images (" + ", ".join(ENDINGS) + ")",
            f"none in {folder}",
            "Name a folder of photographs, or leave `backgrounds` out.",
        )
    for path in found:
        width, height = _look_at(path)
        if min(width, height) < LEAST_SIDE:
            raise ImageError(
                f"background images of at least {LEAST_SIDE} pixels a side",
                f"{width} x {height} in {path}",
                "Remove the file.",
            )
    return found


def crop_background(
    files: Sequence[Path], size: int, rng: np.random.Generator
) -> tuple[UInt8[np.ndarray, "S S 3"], str]:
    """A random square of one of the photographs at `size` pixels, half the time mirrored; and the file's name."""
    import cv2

    path = files[int(rng.integers(len(files)))]
    image = _read_reduced(path, _KEPT_SIDE * size)
    height, width = image.shape[:2]
    side = max(1, round(min(height, width) * rng.uniform(*CROP)))
    top, left = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
    crop = image[top : top + side, left : left + side]
    if rng.random() < 0.5:
        crop = crop[:, ::-1]
    method = cv2.INTER_AREA if side > size else cv2.INTER_CUBIC
    return cv2.resize(np.ascontiguousarray(crop), (size, size), interpolation=method), path.name


def draw_noise(side: int, rng: np.random.Generator) -> Float32[np.ndarray, "S S 3"]:
    """Noise of several scales, about [0, 255]."""
    import cv2

    background = np.zeros((side, side, 3), dtype=np.float32)
    for cells in (3, int(rng.integers(4, 9)), int(rng.integers(10, 40))):
        coarse = rng.uniform(0, 255, (cells, cells, 3)).astype(np.float32)
        background += cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC) / 3
    contrast = rng.uniform(0.3, 1.4)
    return ((background - 127) * contrast + rng.uniform(60, 190, 3)).astype(np.float32)


def draw_scene(side: int, rng: np.random.Generator) -> UInt8[np.ndarray, "S S 3"]:
    """A wall or sky above a floor whose grain grows towards the viewer: something a depth model can read."""
    import cv2

    horizon = int(side * rng.uniform(0.35, 0.7))
    near = np.maximum(np.arange(side) - horizon, 0.5) / side  # 1 / distance along the floor, up to a factor
    rows = np.clip(2.5 / near, 0, 1000)[:, None] * np.ones(side)
    columns = (np.arange(side) / side - rng.uniform(0.3, 0.7)) * 8 / near[:, None]
    grain = rng.uniform(0, 1, (64, 64)).astype(np.float32)
    floor = cv2.remap(
        grain,
        columns.astype(np.float32),
        rows.astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_WRAP,
    )
    clear = np.clip(4 * near, 0, 1)[:, None]  # the grain fades before it would alias
    ground = rng.uniform(60, 180, 3) * (1 + 0.5 * clear * (floor - 0.5))[..., None]
    wall = 0.35 * draw_noise(side, rng) + 0.65 * rng.uniform(90, 230, 3)
    above = (np.arange(side) < horizon)[:, None, None]
    return np.clip(np.where(above, wall, ground), 0, 255).astype(np.uint8)


def _look_at(path: Path) -> tuple[int, int]:
    """Width and height from the file's head."""
    import warnings

    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                return image.size
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ImageError(
            "readable background images", f"{path} ({error})", "Remove or replace the file."
        ) from error


@lru_cache(maxsize=16)
def _read_reduced(path: Path, shorter: int) -> UInt8[np.ndarray, "H W 3"]:
    """The photograph, its shorter side reduced to at most so many pixels."""
    import cv2

    image = read_image(path)
    scale = shorter / min(image.shape[:2])
    if scale >= 1:
        return image
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)
