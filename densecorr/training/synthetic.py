"""Renders of the rigid template with exact labels (SHIC Sec. 3.5, eq. 4): procedural looks, no image generator.

The template keeps its pose and shape, as in the paper; only viewpoint, colours, light and background change.
The backgrounds and textures are plain noise, drawn here and not by the rendered world that demos are scored on.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from ..images import box_of_silhouette
from ..rendering.cameras import framing_camera, view_direction
from ..rendering.rasterize import make_scene, vertex_map
from ..rendering.shading import shaded_image
from .examples import LabelledInstance


@dataclass(frozen=True)
class SyntheticSettings:
    """How many renders and from where; angles in degrees, intervals as (low, high).

    `azimuths` should be those the images are taken from, where that is known; `points` labels an image.
    """

    images: int = 150
    azimuths: tuple[tuple[float, float], ...] = ((-180.0, 180.0),)
    elevation: tuple[float, float] = (-10.0, 30.0)
    size: int = 160
    points: int = 300
    seed: int = 0


def synthetic_instances(
    V: Float[np.ndarray, "V 3"],
    F: Int[np.ndarray, "F 3"],
    to_level: Int[np.ndarray, " V"],
    settings: SyntheticSettings,
) -> Iterator[LabelledInstance]:
    """Labelled renders one after another; image k depends on the seed and k alone.

    `to_level` maps a template vertex to its index at the training level.
    """
    scene = make_scene(V, F)
    middle = (V.min(axis=0) + V.max(axis=0)) / 2
    for index in range(settings.images):
        rng = np.random.default_rng([settings.seed, index])
        low, high = settings.azimuths[rng.integers(len(settings.azimuths))]
        azimuth, elevation = (
            math.radians(rng.uniform(low, high)),
            math.radians(rng.uniform(*settings.elevation)),
        )
        direction = view_direction(azimuth, elevation)
        focal = settings.size * rng.uniform(1.2, 2.6)
        camera = framing_camera(V, middle, direction, focal, settings.size, rng.uniform(0.06, 0.2))
        fragments = scene.fragments(camera)
        light = direction + rng.normal(0, 0.7, 3) + [0, 0.4, 0]
        image = shaded_image(fragments, V, F, random_colors(V, rng), light, float(rng.uniform(0.3, 0.6)))
        silhouette = fragments.face >= 0
        image = finish_image(image, silhouette, rng)
        hidden = hide_part(image, silhouette, rng)
        seen = silhouette & ~hidden
        ys, xs = np.nonzero(seen)
        if len(xs) == 0:
            continue
        picked = rng.choice(len(xs), min(settings.points, len(xs)), replace=False)
        vertex = vertex_map(fragments, F)[ys[picked], xs[picked]]
        yield LabelledInstance(
            image,
            seen,
            box_of_silhouette(seen),
            np.stack([xs[picked], ys[picked]], axis=1).astype(np.float64),
            to_level[vertex],
            np.ones(len(picked)),
        )


def random_colors(V: Float[np.ndarray, "V 3"], rng: np.random.Generator) -> Float[np.ndarray, "V 3"]:
    """Vertex colours in [0, 1]: a base colour, waves through space, sometimes regions of a second colour."""
    scaled = (V - V.min(axis=0)) / np.ptp(V)
    colors = np.broadcast_to(rng.uniform(0.15, 0.95, 3), V.shape).copy()
    waves = np.sin(scaled @ rng.normal(0, rng.uniform(4, 25), (3, 3)) + rng.uniform(0, 2 * np.pi, 3))
    if rng.random() < 0.7:
        region = waves[:, 0] + 0.7 * waves[:, 1] > rng.uniform(-0.8, 0.8)
        colors[region] = rng.uniform(0.1, 0.95, 3)
    return np.clip(colors + rng.uniform(0, 0.15) * waves, 0, 1)


def finish_image(
    image: UInt8[np.ndarray, "S S 3"], silhouette: Bool[np.ndarray, "S S"], rng: np.random.Generator
) -> UInt8[np.ndarray, "S S 3"]:
    """Put noise of several scales behind the subject, then blur a little and add sensor noise."""
    import cv2

    side = len(image)
    background = np.zeros((side, side, 3), dtype=np.float32)
    for cells in (3, int(rng.integers(4, 9)), int(rng.integers(10, 40))):
        coarse = rng.uniform(0, 255, (cells, cells, 3)).astype(np.float32)
        background += cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC) / 3
    contrast = rng.uniform(0.3, 1.4)
    background = (background - 127) * contrast + rng.uniform(60, 190, 3)
    out = np.where(silhouette[..., None], image, background).astype(np.float32)
    out = cv2.GaussianBlur(out, (0, 0), rng.uniform(0.3, 0.9)) + rng.normal(0, rng.uniform(1, 7), out.shape)
    return np.clip(np.rint(out), 0, 255).astype(np.uint8)


def hide_part(
    image: UInt8[np.ndarray, "S S 3"], silhouette: Bool[np.ndarray, "S S"], rng: np.random.Generator
) -> Bool[np.ndarray, "S S"]:
    """Half the time, paint a flat box over part of the subject, in place; the pixels it covers."""
    hidden = np.zeros_like(silhouette)
    if rng.random() < 0.5:
        return hidden
    x, y, w, h = box_of_silhouette(silhouette)
    width, height = rng.uniform(0.15, 0.5, 2) * (w, h)
    left, top = x + rng.uniform(-0.1, 0.9) * w, y + rng.uniform(-0.1, 0.9) * h
    rows = slice(max(0, int(top)), max(0, int(top + height)))
    columns = slice(max(0, int(left)), max(0, int(left + width)))
    hidden[rows, columns] = True
    image[rows, columns] = rng.uniform(0, 255, 3)
    return hidden
