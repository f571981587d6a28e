"""The template from a known camera, painted in its colours: what the guideline's examples are drawn on."""

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from densecorr.records import Camera
from densecorr.rendering.cameras import framing_camera, view_direction
from densecorr.rendering.rasterize import Fragments, rasterize, vertex_map
from densecorr.rendering.shading import interpolate
from densecorr.templates.colors import template_colors
from densecorr.templates.stored import Template

TOLERANCE = 0.03  # diameters; what the ranking, too, takes a reviewer to let pass
SIZE = 512  # pixels of a picture
DISTINCT = 60  # of 255, in one channel at least: colours that nobody takes for the same


@dataclass(frozen=True, eq=False)
class Scene:
    """A template seen by a camera.

    Attributes:
        template: it.
        colors: of its vertices.
        camera: what sees it.
        seen: what each pixel shows.
        vertex: at each pixel, -1 beside the object.
    """

    template: Template
    colors: UInt8[np.ndarray, "V 3"]
    camera: Camera
    seen: Fragments
    vertex: Int[np.ndarray, "H W"]


def guide_scene(template: Template) -> Scene:
    """The template from obliquely in front; one that is longer than wide is seen more from its side."""
    return _seen_from(template, 60.0 if _is_long(template) else 30.0, 10.0)


def plain_scene(template: Template) -> Scene:
    """The template from the front or, if it is longer than wide, from its left: two of the panel's views."""
    return _seen_from(template, 90.0 if _is_long(template) else 0.0, 0.0)


def is_distinct(
    scene: Scene, xy: Int[np.ndarray, "P 2"], vertex: Int[np.ndarray, " P"]
) -> Bool[np.ndarray, " P"]:
    """Whether the vertex's colour clearly differs from the surface's at the pixel."""
    return contrast_of(scene, xy, scene.colors[vertex]) > DISTINCT


def contrast_of(
    scene: Scene, xy: Int[np.ndarray, "P 2"], colors: UInt8[np.ndarray, "P 3"]
) -> Int[np.ndarray, " P"]:
    """How far colours are from the surface's at pixels: the largest difference of a channel."""
    under = scene.colors[scene.vertex[xy[:, 1], xy[:, 0]]].astype(int)
    return np.abs(colors - under).max(axis=1, initial=0)


def _is_long(template: Template) -> bool:
    width, _, length = np.ptp(template.V, axis=0)
    return bool(length > width)


def _seen_from(template: Template, azimuth: float, elevation: float) -> Scene:
    """From an angle in degrees, framed."""
    V = template.V
    middle = (V.min(axis=0) + V.max(axis=0)) / 2
    focal = SIZE / 2 / math.tan(math.radians(15.0))
    direction = view_direction(math.radians(azimuth), math.radians(elevation))
    return _rendered(template, framing_camera(V, middle, direction, focal, SIZE, margin=0.06))


def magnified(scene: Scene, xy: Int[np.ndarray, " 2"], zoom: float) -> Scene:
    """The same camera with a longer lens, the pixel in the middle."""
    K = np.diag([zoom, zoom, 1.0]) @ scene.camera.K
    K[:2, 2] += SIZE // 2 - zoom * xy
    return _rendered(scene.template, replace(scene.camera, K=K))


def _rendered(template: Template, camera: Camera) -> Scene:
    seen = rasterize(template.V, template.F, camera)
    return Scene(template, template_colors(template.V), camera, seen, vertex_map(seen, template.F))


def within(scene: Scene, distance: Float[np.ndarray, " V"], most: float) -> Bool[np.ndarray, "H W"]:
    """The pixels that show places up to a distance, in diameters."""
    near = np.minimum(distance, 1.0)[:, None]  # other components are infinitely far
    return (scene.vertex >= 0) & (interpolate(scene.seen, scene.template.F, near)[..., 0] <= most)


def clearance(scene: Scene) -> Float[np.ndarray, "H W"]:
    """Pixels to the nearest outline, of the object or of a part before another."""
    depth = np.where(scene.vertex >= 0, scene.seen.depth, 1e9)
    step = cv2.dilate(depth, np.ones((3, 3))) - cv2.erode(depth, np.ones((3, 3)))
    smooth = (scene.vertex >= 0) & (step < TOLERANCE * scene.template.diameter)
    return cv2.distanceTransform(smooth.astype(np.uint8), cv2.DIST_L2, 5)
