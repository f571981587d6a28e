"""Annotating from scratch: the points to annotate on parts that were delineated, with ids of their own."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from densecorr.errors import AnnotationError
from densecorr.records import Decision, LabelRecord
from densecorr.review.masks import OBJECT
from densecorr.review.protocol import spread_over_parts
from densecorr.review.state import initial_state


def propose_points(
    label: LabelRecord,
    decisions: Iterable[Decision],
    parts: Mapping[str, Sequence[Sequence[float]]],
    height: int,
    width: int,
) -> list[dict[str, Any]]:
    """Points spread over parts, at most 14 a part; the same for the same parts and decisions.

    Args:
        label: the label set.
        decisions: the reviewer's on it: no id that was ever used in them is used again.
        parts: polygons (x, y, x, y, ...; full-image pixels) of each part; the object's mask is none.
        height: of the image, pixels.
        width: of the image, pixels.

    Raises:
        AnnotationError: something that is no polygon.
    """
    try:
        found = spread_over_parts({key: part for key, part in parts.items() if key != OBJECT}, height, width)
    except (TypeError, ValueError, AttributeError) as error:
        raise AnnotationError(
            "parts as {name: [[x, y, ...], ...]}", str(error), "Outline the part again."
        ) from error
    used = {int(key) for act in decisions for key in act.after.get("points", {})}
    first = max(used | set(initial_state(label).points), default=-1) + 1
    return [
        {"point_id": first + k, "x": float(x), "y": float(y), "part": found.names[part]}
        for k, ((x, y), part) in enumerate(zip(found.xy.tolist(), found.part.tolist(), strict=True))
    ]


def warm_up() -> None:
    """Import now what would make the first answer slow."""
    spread_over_parts({"": [[0.0, 0.0, 2.0, 0.0, 2.0, 2.0]]}, 4, 4)
