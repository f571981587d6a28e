"""Left for right: does a label set turn the surface inside out, or could it as well show another side?

A map from the image to the surface that is right keeps its sense of rotation: three image points that run
anticlockwise go to three vertices that run anticlockwise seen from outside. Labels on the wrong side (x_F for x, SHIC
Sec. 3.4) reverse it everywhere, which one can see without the truth and on any template that has a mirror image.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

MIRRORED = -0.25
"""Agreement below which a label set is mirrored; a right one has about 1, its mirror image about -1."""

UNCLEAR = 0.2
"""A view lead below this share of the data set's median says that two sides fit about equally well."""

_MAX_EDGE = 0.12  # of the diameter: longer triangles jump between limbs
_MIN_TRIANGLES = 8


def orientation_agreement(
    xy: Float[np.ndarray, "P 2"],
    vertex: Int[np.ndarray, " P"],
    V: Float[np.ndarray, "V 3"],
    normals: Float[np.ndarray, "V 3"],
    diameter: float,
) -> float | None:
    """Mean agreement in [-1, 1] of the senses of rotation of neighbouring labels in the image and on the surface.

    Args:
        xy: pixels (x right, y down) of the labelled points.
        vertex: their vertices, -1 where unknown.
        V: template vertices.
        normals: outward unit normals of the vertices.
        diameter: largest distance on the template, in the unit of V.

    Returns:
        None where fewer than a handful of triangles of neighbours lie close together on the surface.
    """
    from scipy.spatial import Delaunay, QhullError

    known = np.flatnonzero(vertex >= 0)
    if len(known) < 4:
        return None
    try:
        corners = known[Delaunay(xy[known]).simplices]
    except QhullError:  # all on one line
        return None
    a, b, c = (V[vertex[corners[:, k]]] for k in range(3))
    longest = np.max([np.linalg.norm(p - q, axis=1) for p, q in ((a, b), (b, c), (c, a))], axis=0)
    normal = normals[vertex[corners]].mean(axis=1)
    surface = np.einsum("tk,tk->t", np.cross(b - a, c - a), normal)
    p, q, r = (xy[corners[:, k]] for k in range(3))
    # y points down: a triangle that looks anticlockwise has a negative determinant
    image = -((q - p)[:, 0] * (r - p)[:, 1] - (q - p)[:, 1] * (r - p)[:, 0])
    use = (longest < _MAX_EDGE * diameter) & (np.abs(surface) > 1e-9 * diameter**2) & (np.abs(image) > 1e-9)
    if use.sum() < _MIN_TRIANGLES:
        return None
    return float(np.average(np.sign(surface * image)[use], weights=np.linalg.norm(normal, axis=1)[use]))


def probably_mirrored(
    agreement: Sequence[float | None], lead: Sequence[float | None]
) -> Bool[np.ndarray, " N"]:
    """Which of a data set's label sets are probably left for right, or front for back, and should be looked at.

    Args:
        agreement: `orientation_agreement` of each.
        lead: `view_matching.view_lead` of each: on rendered quadrupeds it tells the sets nearer to the mirror image of
            the truth from the others far better than their scores do.
    """
    turned, leads = (np.array([np.nan if v is None else v for v in values]) for values in (agreement, lead))
    known = np.isfinite(leads)
    typical = float(np.median(leads[known])) if known.any() else 0.0
    return (turned < MIRRORED) | (leads < UNCLEAR * typical)
