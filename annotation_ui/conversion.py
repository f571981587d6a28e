"""Table values as FiftyOne stores them, in plain numpy; nothing here imports FiftyOne.

FiftyOne counts from 0 to 1 over the image's edges: our pixel centre x is (x + 0.5) / width there, and a COCO
box, which counts edges already, is divided as it is.
"""

import hashlib
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from densecorr.errors import AnnotationError, DatasetNotFoundError

UNKNOWN_COLOR = (153, 153, 153)  # points without a vertex, or of a template whose colours were not given
_STEP = (
    51  # six levels a channel, 216 colours: FiftyOne colours whole labels, so points are grouped by colour
)


def relative_points(xy: Float[np.ndarray, "P 2"], width: int, height: int) -> Float[np.ndarray, "P 2"]:
    """Pixel positions (centres at integers) as shares of the image's width and height."""
    return (xy + 0.5) / np.array([width, height], dtype=np.float64)


def relative_box(xywh: tuple[float, ...], width: int, height: int) -> list[float]:
    """A COCO box (x, y, w, h in pixels, edge convention) as shares of the image's width and height."""
    x, y, w, h = xywh
    return [x / width, y / height, w / width, h / height]


def crop_silhouette(
    silhouette: Bool[np.ndarray, "H W"], xywh: tuple[float, ...]
) -> Bool[np.ndarray, "h w"] | None:
    """The part of a silhouette inside a COCO box, about one cell a pixel; None where that part is empty.

    FiftyOne stretches the mask over the box, so the cells are laid out on the box, not on the image's pixels:
    for a box with whole numbers they are the pixels themselves, else each takes the pixel at its centre.
    """
    x, y, w, h = xywh
    if w <= 0 or h <= 0:
        return None
    columns = _pixels_below(x, w)
    rows = _pixels_below(y, h)
    inside = (
        ((rows >= 0) & (rows < silhouette.shape[0]))[:, None]
        & (columns >= 0)
        & (columns < silhouette.shape[1])
    )
    clipped = np.ix_(np.clip(rows, 0, silhouette.shape[0] - 1), np.clip(columns, 0, silhouette.shape[1] - 1))
    mask = silhouette[clipped] & inside
    return mask if mask.any() else None


def _pixels_below(start: float, length: float) -> Int[np.ndarray, " n"]:
    """The pixel under the centre of each of round(length) equal cells from edge `start` on."""
    n = max(1, round(length))
    return np.floor(start + (np.arange(n) + 0.5) * length / n).astype(np.int64)


def point_colors(
    vertex: Int[np.ndarray, " P"], colors: UInt8[np.ndarray, "V 3"] | None
) -> UInt8[np.ndarray, "P 3"]:
    """The template colour of each point's vertex, rounded to 6 levels a channel; grey where vertex is -1.

    Raises:
        AnnotationError: a vertex that the template does not have.
    """
    grey = np.tile(np.array(UNKNOWN_COLOR, dtype=np.uint8), (len(vertex), 1))
    if colors is None or len(vertex) == 0:
        return grey
    if vertex.max() >= len(colors) or vertex.min() < -1:
        raise AnnotationError(
            f"vertices in [-1, {len(colors)})",
            f"{int(vertex.max() if vertex.max() >= len(colors) else vertex.min())}",
            "These labels were made for another template; export them with that one.",
        )
    rounded = ((colors.astype(np.int64) + _STEP // 2) // _STEP * _STEP).astype(np.uint8)
    rounded[~rounded.any(axis=1)] = _STEP  # black would be background in a painted overlay
    return np.where((vertex >= 0)[:, None], rounded[vertex], grey)


def color_runs(
    colors: UInt8[np.ndarray, "P 3"],
) -> tuple[Int[np.ndarray, " P"], list[tuple[str, int, int]]]:
    """An order in which points of one colour stand together, and ('#rrggbb', start, end) of each run in it.

    Colours come in ascending order, the points of one in theirs.
    """
    red, green, blue = colors.astype(np.int64).T
    packed = red << 16 | green << 8 | blue
    order = np.argsort(packed, kind="stable")
    found, starts = np.unique(packed[order], return_index=True)
    ends = np.append(starts[1:], len(order))[: len(starts)].tolist()
    return order, [(f"#{c:06x}", s, e) for c, s, e in zip(found.tolist(), starts.tolist(), ends, strict=True)]


def paint_nearest(
    canvas: UInt8[np.ndarray, "h w 3"],
    silhouette: Bool[np.ndarray, "H W"],
    xy: Float[np.ndarray, "P 2"],
    colors: UInt8[np.ndarray, "P 3"],
) -> None:
    """Colour each canvas cell under the silhouette like the labelled point nearest to it, in place.

    The canvas covers the image and may be coarser; xy are full-image pixels. This fills between points to
    make them easy to see; it is no prediction.
    """
    from scipy.spatial import KDTree

    if len(xy) == 0:
        return
    scale = np.array(silhouette.shape[::-1]) / np.array(
        canvas.shape[1::-1]
    )  # image pixels a canvas cell, x then y
    column = ((np.arange(canvas.shape[1]) + 0.5) * scale[0]).astype(np.int64)
    row = ((np.arange(canvas.shape[0]) + 0.5) * scale[1]).astype(np.int64)
    y, x = np.nonzero(silhouette[np.ix_(row, column)])
    cells = (np.stack([x, y], axis=1) + 0.5) * scale - 0.5
    canvas[y, x] = colors[KDTree(xy).query(cells)[1]]


def stable_object_id(*parts: str) -> str:
    """24 hexadecimal digits that depend on the parts alone: exported again, a label keeps its id."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]


def image_path(uri: str, image_root: Path) -> str:
    """The absolute path of an image: its own, or relative to the data set's image root.

    Raises:
        DatasetNotFoundError: the image is not on a file system.
    """
    if "://" in uri and not uri.startswith("file://"):
        raise DatasetNotFoundError(
            "images on a file system", uri, "Copy them to a folder and ingest that folder."
        )
    return str((image_root / uri.removeprefix("file://")).absolute())
