"""A silhouette for an annotation that has DensePose part masks and no segmentation."""

from typing import Any

from ..errors import AnnotationError
from ..images import encode_silhouette
from .checks import check_counts
from .coco_types import Rle
from .part_masks import SIDE, part_masks_to_silhouette


def masks_as_silhouette(
    dp_masks: Any, xywh: tuple[float, float, float, float], height: int, width: int
) -> dict[str, Any] | None:
    """The union of the part masks as a value of the column silhouette.

    None where they make none: all are empty or outside the image, one is not of 256 x 256, or the box has no area.

    Args:
        dp_masks: as `part_masks_to_silhouette`.
        xywh: the COCO box, pixels.
        height: of the image, pixels.
        width: of the image, pixels.

    Raises:
        AnnotationError: run lengths that do not fill their mask; more than 14 masks.
    """
    slots = dp_masks if isinstance(dp_masks, list) else [dp_masks]
    masks = [slot for slot in slots if isinstance(slot, Rle)]
    for mask in masks:
        check_counts(mask)
    if not masks or min(xywh[2:]) <= 0 or any(mask.size != [SIDE, SIDE] for mask in masks):
        return None
    if any(slot and not isinstance(slot, Rle) for slot in slots):
        raise AnnotationError("dp_masks of run-length encodings", "a filled list", "Encode each mask as RLE.")
    silhouette = part_masks_to_silhouette(dp_masks, xywh, height, width)
    return {**encode_silhouette(silhouette), "polygons": None} if silhouette.any() else None
