"""The template as the panel gets it: mesh, colours, left-right partners, parts; and likeness to a vertex."""

import base64
import threading
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Shaped, UInt8

from densecorr.templates.colors import template_colors
from densecorr.templates.stored import Template, geodesic_rows

_SYMMETRIC = 0.05  # mean distance of mirrored vertices to the surface, a share of the diameter
_ALIKE = 0.15  # share of the diameter over which likeness falls to 1 / e
_solving = threading.Lock()  # a solver serves one thread at a time


def encode_array(array: Shaped[np.ndarray, "*shape"], kind: str) -> str:
    """Base64 of little-endian values (`<f4`, `<i4`, `u1`), row by row."""
    return base64.b64encode(np.ascontiguousarray(array, dtype=kind).tobytes()).decode()


def describe_template(template: Template) -> dict[str, Any]:
    """The object `template` of docs/review-protocol.md."""
    parts, names = body_parts(template)
    return {
        "template_id": template.template_id,
        "name": template.template_id,
        "vertices": encode_array(template.V, "<f4"),
        "faces": encode_array(template.F, "<i4"),
        "colors": encode_array(template_colors(template.V), "u1"),
        "mirror": encode_array(template.mirror, "<i4") if has_sides(template) else None,
        "parts": None if parts is None else encode_array(parts, "u1"),
        "part_names": names,
        "diameter": template.diameter,
    }


def has_sides(template: Template) -> bool:
    """Whether the template is alike enough on both sides for its left-right partners to mean something."""
    return template.mirror_residual <= _SYMMETRIC and bool(
        (template.mirror != np.arange(len(template.V))).any()
    )


def body_parts(template: Template) -> tuple[UInt8[np.ndarray, " V"] | None, list[str]]:
    """The part of each vertex and the parts' names, for the body that ships with densecorr; else None."""
    from densecorr.templates.body import load_body

    if not template.template_id.startswith("body"):
        return None, []
    body = load_body()
    if not np.array_equal(body.F, template.F):
        return None, []
    of_bone = [_part_name(bone) for bone in body.bones]
    names = sorted(set(of_bone))
    return np.array([names.index(name) for name in of_bone], np.uint8)[body.owner], names


def _part_name(bone: str) -> str:
    """The part a bone belongs to, such as `left hand`."""
    stem, _, side = bone.partition(".")
    known = {
        "upperleg": "thigh",
        "lowerleg": "shin",
        "foot": "foot",
        "toes": "foot",
        "upperarm": "upper arm",
        "lowerarm": "lower arm",
        "wrist": "hand",
        "finger": "hand",
        "metacarpal": "hand",
    }
    part = next((name for start, name in known.items() if stem.startswith(start)), None)
    if part is None:
        return "head" if stem.startswith(("neck", "head")) else "torso"
    return f"{'left' if side == 'L' else 'right'} {part}"


def distances_from(template: Template, vertex: int) -> Float[np.ndarray, " V"]:
    """Geodesic distances from a vertex in diameters; about a second for the first where none are stored."""
    with _solving:
        return geodesic_rows(template, [vertex])[0] / np.float32(template.diameter)


def likeness(distances: Float[np.ndarray, " V"]) -> UInt8[np.ndarray, " V"]:
    """255 at distance 0, less with the distance (in diameters), 0 where there is no path."""
    return np.round(255 * np.exp(-np.maximum(distances, 0.0) / _ALIKE)).astype(np.uint8)


def nearest_vertices(template: Template, positions: Float[np.ndarray, "n 3"]) -> Int[np.ndarray, " n"]:
    """The vertex nearest in space to each position."""
    gaps = ((template.V[None] - positions[:, None]) ** 2).sum(axis=2)
    return gaps.argmin(axis=1)
