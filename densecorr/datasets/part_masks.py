"""DensePose's `dp_masks`: up to 14 body-part masks of 256 x 256 that cover the annotation's box, put into the image.

A pixel takes the value of the frame's cell that its centre falls into, so silhouette and part labels agree exactly.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Num, UInt8

from ..errors import AnnotationError
from .coco_types import Rle
from .densepose import N_MASKS, TRAINING_SIDE, xy_to_dp

SIDE = int(TRAINING_SIDE)

PART_NAMES = (
    "torso",
    "right hand",
    "left hand",
    "left foot",
    "right foot",
    "upper leg right",
    "upper leg left",
    "lower leg right",
    "lower leg left",
    "upper arm left",
    "upper arm right",
    "lower arm left",
    "lower arm right",
    "head",
)
"""The coarse parts 1..14 in the order of the slots, as the DensePose-COCO annotations have them."""


def part_masks_to_silhouette(
    dp_masks: Any, xywh: Sequence[float | int] | Num[np.ndarray, " 4"], height: int, width: int
) -> Bool[np.ndarray, "H W"]:
    """The union of all parts as a mask of the image.

    Args:
        dp_masks: a list of run-length encodings (empty lists, null: no such part), or one encoding of the whole object.
        xywh: the COCO box that the 256 x 256 frame covers.
        height: of the image, pixels.
        width: of the image, pixels.

    Raises:
        AnnotationError: more than 14 slots, or one that is not an encoding of 256 x 256.
    """
    slots = [dp_masks] if isinstance(dp_masks, dict | Rle) else dp_masks
    return _paste(_frame(slots), xywh, height, width) > 0


def part_masks_to_labels(
    dp_masks: Any, xywh: Sequence[float | int] | Num[np.ndarray, " 4"], height: int, width: int
) -> UInt8[np.ndarray, "H W"]:
    """The part of each pixel (`PART_NAMES`, from 1), 0 outside; where parts overlap, the later slot's.

    Arguments and errors as of `part_masks_to_silhouette`; one mask of the whole object names no part and is an error.
    """
    if isinstance(dp_masks, dict | Rle):
        raise AnnotationError(
            "a list of part masks", "one mask of the whole object", "It has no parts; take its silhouette."
        )
    return _paste(_frame(dp_masks), xywh, height, width)


def _frame(slots: Any) -> UInt8[np.ndarray, "256 256"]:
    """The slots as one label map of the box frame."""
    from pycocotools import mask as coco_mask

    if slots is not None and not isinstance(slots, list | tuple):
        raise AnnotationError("dp_masks as a list", type(slots).__name__, "Correct the annotation.")
    slots = slots or ()
    if len(slots) > N_MASKS:
        raise AnnotationError(f"at most {N_MASKS} dp_masks", str(len(slots)), "Keep the fourteen body parts.")
    frame = np.zeros((SIDE, SIDE), dtype=np.uint8)
    for part, slot in enumerate(slots, start=1):
        if not slot:
            continue
        frame[coco_mask.decode(part_runs(slot, f"slot {part}")) > 0] = part
    return frame


def part_runs(slot: Any, place: str) -> Any:
    """One filled slot of `dp_masks` as the compressed run lengths that pycocotools takes.

    Raises:
        AnnotationError: not an encoding of 256 x 256; `place` says where it stands.
    """
    if isinstance(slot, dict) and slot.get("size") == [SIDE, SIDE] and isinstance(slot.get("counts"), str):
        return slot
    from pycocotools import mask as coco_mask

    code: Any = {"size": slot.size, "counts": slot.counts} if isinstance(slot, Rle) else slot
    if not isinstance(code, dict) or list(code.get("size", ())) != [SIDE, SIDE]:
        said = code.get("size") if isinstance(code, dict) else type(code).__name__
        raise AnnotationError(
            f"dp_masks as run lengths of {SIDE} x {SIDE}", f"{said} in {place}", "Encode them so."
        )
    runs: Any = code
    return coco_mask.frPyObjects(runs, SIDE, SIDE) if isinstance(code["counts"], list) else code


def _paste(
    frame: UInt8[np.ndarray, "256 256"],
    xywh: Sequence[float | int] | Num[np.ndarray, " 4"],
    height: int,
    width: int,
) -> UInt8[np.ndarray, "H W"]:
    image = np.zeros((height, width), dtype=np.uint8)
    box = np.asarray(xywh, dtype=np.float64)
    if not (np.isfinite(box).all() and (box[2:] > 0).all()):
        raise AnnotationError("a box with positive sides", str(box.tolist()), "Part masks need their box.")
    centres = np.repeat(np.arange(max(height, width), dtype=np.float64)[:, None], 2, axis=1)
    cells = np.floor(xy_to_dp(centres, box.tolist())).astype(np.int64)
    across, down = cells[:width, 0], cells[:height, 1]
    columns, rows = (np.flatnonzero((cell >= 0) & (cell < SIDE)) for cell in (across, down))
    image[np.ix_(rows, columns)] = frame[np.ix_(down[rows], across[columns])]
    return image
