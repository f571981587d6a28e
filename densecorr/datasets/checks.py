"""Refusing annotations that would fail, or silently spoil a result, hours later; and setting them aside."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
from jaxtyping import Int64

from ..errors import AnnotationError
from .arrow import QUARANTINE
from .coco_types import Rle

LARGEST = 2**31  # of a box's numbers, pixels; NaN is not below it
Kind = Literal["image", "annotation", "category"]


class Rejects:
    """Bad rows: the first one raises, or all are gathered as the quarantine table."""

    def __init__(self, path: Path, on_error: Literal["raise", "skip"]) -> None:
        self._path, self._raises = path, on_error == "raise"
        self._rows: dict[str, list[str | None]] = {name: [] for name in QUARANTINE.names}

    def add(
        self, kind: Kind, id_: str | None, image_id: str | None, error: AnnotationError, raw: str
    ) -> None:
        """Raise the error with file and id added to it, or keep the row with its reason."""
        expected, received, remedy = error.args
        if self._raises:
            raise AnnotationError(
                expected,
                f"{received} ({kind} {id_ if id_ is not None else raw[:80]} of {self._path})",
                f"{remedy} Or set on_error to 'skip': bad rows then go to the quarantine table.",
            ) from error
        values = (kind, id_, image_id, f"expected {expected}; received {received}", raw)
        for name, value in zip(QUARANTINE.names, values, strict=True):
            self._rows[name].append(value)

    def table(self) -> pa.Table:
        """The rows gathered so far."""
        return pa.table(self._rows, schema=QUARANTINE)


def check_box(xywh: Sequence[float | int]) -> tuple[float, float, float, float]:
    """A COCO box (x, y, w, h) of four finite numbers, w and h not negative.

    Raises:
        AnnotationError: anything else.
    """
    if len(xywh) != 4 or not all(abs(value) < LARGEST for value in xywh):
        raise AnnotationError("a box of four finite numbers", str(list(xywh)), "Write x, y, width, height.")
    x, y, w, h = map(float, xywh)
    if w < 0 or h < 0:
        raise AnnotationError(
            "a box of width and height at least 0",
            str(list(xywh)),
            "COCO boxes are x, y, width, height; a box of two corners needs converting.",
        )
    return (x, y, w, h)


def check_polygons(polygons: Sequence[Sequence[float | int]], height: int, width: int) -> None:
    """Polygons of at least three points, near the image.

    Raises:
        AnnotationError: an odd count, fewer than three points, or a point further off than the image is
            large (a rasteriser would need the memory for all of it).
    """
    reach = max(height, width)
    for index, polygon in enumerate(polygons):
        if len(polygon) % 2:
            raise AnnotationError(
                "polygons of x, y pairs",
                f"{len(polygon)} numbers in polygon {index}",
                "Complete the last point.",
            )
        if len(polygon) < 6:
            raise AnnotationError(
                "polygons of at least three points",
                f"{len(polygon) // 2} in polygon {index}",
                "Remove the degenerate polygon.",
            )
        xs, ys = polygon[::2], polygon[1::2]
        if min(xs) < -reach or max(xs) > width + reach or min(ys) < -reach or max(ys) > height + reach:
            raise AnnotationError(
                f"polygons near an image of {width} x {height}",
                f"x {min(xs):g}..{max(xs):g}, y {min(ys):g}..{max(ys):g} in polygon {index}",
                "Check which image and which scale the polygon belongs to.",
            )


def check_rle(rle: Rle, height: int, width: int) -> None:
    """A run-length encoding of exactly the image's size.

    Raises:
        AnnotationError: another size, or runs that do not fill it.
    """
    if rle.size != [height, width]:
        raise AnnotationError(
            f"a run-length encoding of size [{height}, {width}] (height, width)",
            str(rle.size),
            "Encode the mask at the image's size; check that height and width are not exchanged.",
        )
    check_counts(rle)


def check_counts(rle: Rle) -> None:
    """The runs of an encoding are not negative and fill its size; pycocotools would read on past the end.

    Raises:
        AnnotationError: they do not.
    """
    remedy = "The encoding is damaged or belongs to another image; encode the mask again."
    if len(rle.size) != 2 or min(rle.size) < 0:
        raise AnnotationError("a run-length encoding of size [height, width]", str(rle.size), remedy)
    counts = decode_counts(rle.counts).tolist() if isinstance(rle.counts, str) else rle.counts
    total = rle.size[0] * rle.size[1]
    if counts and min(counts) < 0:
        raise AnnotationError("run lengths of at least 0", str(min(counts)), remedy)
    if sum(counts) != total:
        raise AnnotationError(f"run lengths that sum to {total} pixels", str(sum(counts)), remedy)


def decode_counts(text: str) -> Int64[np.ndarray, " R"]:
    """Run lengths of a compressed COCO encoding.

    Each character holds five bits and a flag that more follow, lowest bits first, the last with a sign;
    from the fourth run on the difference to the run before the last is stored (pycocotools, `rleFrString`).

    Raises:
        AnnotationError: characters outside the code, or an unfinished number.
    """
    code = np.frombuffer(text.encode("utf-8"), dtype=np.uint8).astype(np.int64) - 48
    if code.size == 0:
        return np.zeros(0, dtype=np.int64)
    ends = np.flatnonzero(code < 32)
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    if code.min() < 0 or code.max() > 63 or code[-1] >= 32 or lengths.max() > 7:
        raise AnnotationError("compressed run lengths", f"'{text[:40]}'", "Encode the mask again.")
    shift = 5 * (np.arange(code.size) - np.repeat(starts, lengths))
    counts = np.add.reduceat((code & 31) << shift, starts)
    counts -= np.where(code[ends] & 16, 1 << (5 * lengths), 0)
    counts[1::2] = np.cumsum(counts[1::2])
    counts[2::2] = np.cumsum(counts[2::2])
    return counts
