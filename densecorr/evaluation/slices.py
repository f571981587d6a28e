"""Into which slice an object falls: by its size, the side of it that is seen, and who made its points."""

from collections.abc import Iterable

import numpy as np

from .scored import ScoredPoints

UNKNOWN = "unknown"
SIZES = ((32.0**2, "small"), (96.0**2, "medium"), (np.inf, "large"))  # COCO's, upper bounds exclusive here
SIDES = ("front", "left side", "back", "right side")


def size_slice(area: float) -> str:
    """COCO's size class of an area in square pixels."""
    return next(name for limit, name in SIZES if area < limit)


def viewpoint_slice(azimuth: float | None) -> str | None:
    """The side seen: the quarter of the camera's azimuth (degrees, 0 in front, positive to the subject's left)."""
    return None if azimuth is None else SIDES[int(((azimuth + 45.0) % 360.0) // 90.0)]


def slice_names(scored: ScoredPoints) -> dict[str, list[str]]:
    """The slice of each instance by size, viewpoint and source; `UNKNOWN` where the annotations do not say."""
    return {
        "size": [size_slice(area) for area in scored.area.tolist()],
        "viewpoint": [viewpoint_slice(azimuth) or UNKNOWN for azimuth in scored.azimuth],
        "source": [source or UNKNOWN for source in scored.source],
    }


def in_order(names: Iterable[str]) -> list[str]:
    """The slices that occur: sizes and sides in their own order, others by name, unknown ones last."""
    order = [*(name for _, name in SIZES), *SIDES]
    return sorted(
        set(names), key=lambda name: (name == UNKNOWN, order.index(name) if name in order else 0, name)
    )


def why_left_out(by: str, name: str) -> str:
    """Why there are no slices by something: `name` is that of all instances."""
    return f"the data set does not know the {by}" if name == UNKNOWN else f"the {by} of all is {name}"
