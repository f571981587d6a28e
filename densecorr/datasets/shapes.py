"""Flat shapes of a rendered world: outlines, their coverage of pixels, and what they are painted with.

Outlines are lists of polygons (N, 2) in pixels with centres at integers; sizes are pixels.
"""

import math

import numpy as np
from jaxtyping import Float, Float32

from .textures import random_color

Outline = list[np.ndarray]
SUBPIXEL_BITS = 4  # OpenCV's fixed-point polygons: sixteenths of a pixel


def coverage(outline: Outline, side: int) -> Float32[np.ndarray, "S S"]:
    """Share of each pixel that the polygons, with the half pixel their outline is drawn in, cover."""
    import cv2

    grey = np.zeros((side, side), dtype=np.uint8)
    for polygon in outline:
        corners = np.rint(np.clip(polygon, -4 * side, 5 * side) * 2**SUBPIXEL_BITS).astype(np.int32)
        cv2.fillPoly(grey, [corners], 255, lineType=cv2.LINE_AA, shift=SUBPIXEL_BITS)
    return grey.astype(np.float32) / np.float32(255)


def noise_image(
    height: int, width: int, grain: float, rng: np.random.Generator
) -> Float32[np.ndarray, "h w"]:
    """Two octaves of smooth noise, about [0, 1]; `grain` is the coarse one's size in pixels."""
    import cv2

    total = np.zeros((height, width), dtype=np.float32)
    for weight, size in ((2 / 3, grain), (1 / 3, grain / 2)):
        small = rng.random((int(height / size) + 2, int(width / size) + 2), dtype=np.float32)
        total += np.float32(weight) * cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(total, 0, 1)


def paint(
    height: int, width: int, color: Float[np.ndarray, " 3"], rng: np.random.Generator
) -> Float32[np.ndarray, "h w 3"]:
    """A surface of about one colour: grain, a slow change of light, sometimes stripes or a second colour."""
    size = max(height, width)
    grain = rng.uniform(0.05, 0.4) * noise_image(height, width, max(size * rng.uniform(0.02, 0.3), 1.5), rng)
    slope, angle = rng.uniform(0.0, 0.6), rng.uniform(0, 2 * math.pi)
    y, x = (np.linspace(-0.5, 0.5, n, dtype=np.float32) * np.float32(n / size) for n in (height, width))
    across = np.float32(math.cos(angle)) * x[None] + np.float32(math.sin(angle)) * y[:, None]
    light = 0.85 + grain.astype(np.float32) + np.float32(slope) * across
    kind = rng.choice(["plain", "stripes", "blotches"], p=[0.7, 0.13, 0.17])
    if kind == "plain":
        return np.clip(light[..., None] * color.astype(np.float32), 0, 1)
    other = random_color(rng)
    other = (color + (other - color) * rng.uniform(0.2, 1.0)).astype(np.float32)
    if kind == "stripes":
        share = np.mod(across * np.float32(rng.uniform(4, 20)), 1) < 0.5
    else:
        share = noise_image(height, width, size * rng.uniform(0.05, 0.25), rng) > 0.5
    return np.clip(light[..., None] * np.where(share[..., None], other, color.astype(np.float32)), 0, 1)


def draw(
    image: Float32[np.ndarray, "S S 3"],
    alpha: Float32[np.ndarray, "S S"],
    color: Float[np.ndarray, " 3"],
    rng: np.random.Generator,
) -> None:
    """Paint a surface of about this colour over the image where `alpha` covers it, in place."""
    rows, columns = np.flatnonzero(alpha.any(axis=1)), np.flatnonzero(alpha.any(axis=0))
    if len(rows) == 0:
        return
    window = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    part = image[window]
    part += alpha[window][..., None] * (paint(part.shape[0], part.shape[1], color, rng) - part)


def rectangle(
    centre: Float[np.ndarray, " 2"], width: float, height: float, angle: float
) -> Float[np.ndarray, "4 2"]:
    """A turned rectangle; `angle` in radians."""
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * np.array([width, height]) / 2
    return centre + corners @ _turn(angle)


def ellipse(
    centre: Float[np.ndarray, " 2"], width: float, height: float, angle: float
) -> Float[np.ndarray, "N 2"]:
    """A turned ellipse as a polygon."""
    t = np.linspace(0, 2 * math.pi, 28, endpoint=False)
    return centre + np.stack([np.cos(t) * width / 2, np.sin(t) * height / 2], axis=1) @ _turn(angle)


def blob(
    centre: Float[np.ndarray, " 2"], width: float, height: float, rng: np.random.Generator
) -> np.ndarray:
    """An irregular rounded outline (N, 2)."""
    t = np.linspace(0, 2 * math.pi, 36, endpoint=False)
    radius = 1 + sum(
        rng.normal(0, 0.22 / k) * np.cos(k * t + rng.uniform(0, 2 * math.pi)) for k in (1, 2, 3, 4)
    )
    return centre + np.stack([np.cos(t) * radius * width / 2, np.sin(t) * radius * height / 2], axis=1)


def polygon(
    centre: Float[np.ndarray, " 2"], width: float, height: float, rng: np.random.Generator
) -> np.ndarray:
    """Three to six corners (N, 2) around a centre."""
    t = np.sort(rng.uniform(0, 2 * math.pi, rng.integers(3, 7)))
    return centre + np.stack([np.cos(t) * width / 2, np.sin(t) * height / 2], axis=1)


def random_thing(centre: Float[np.ndarray, " 2"], size: float, rng: np.random.Generator) -> Outline:
    """Something that may stand about: a box, a ball, a bush, a post, limbs; `size` is about its extent."""
    kind = rng.choice(
        ["box", "ellipse", "blob", "polygon", "post", "limbs"], p=[0.24, 0.14, 0.2, 0.12, 0.14, 0.16]
    )
    wide, tall = size * rng.uniform(0.4, 1.0), size * rng.uniform(0.4, 1.0)
    lean = rng.normal(0, 0.12)
    if kind == "box":
        return [rectangle(centre, wide, tall, lean)]
    if kind == "ellipse":
        return [ellipse(centre, wide, tall, lean)]
    if kind == "blob":
        return [blob(centre, wide, tall, rng)]
    if kind == "polygon":
        return [polygon(centre, 1.2 * wide, 1.2 * tall, rng)]
    if kind == "post":
        return [rectangle(centre, size * rng.uniform(0.04, 0.15), 2.5 * size, lean)]
    parts = [
        ellipse(centre, 0.45 * wide, 0.8 * tall, lean)
    ]  # a trunk with limbs: the outline of no one in particular
    for _ in range(int(rng.integers(3, 6))):
        angle = rng.uniform(0, 2 * math.pi)
        tip = centre + 0.45 * size * np.array([math.cos(angle), math.sin(angle)])
        parts.append(ellipse(tip, 0.6 * size, size * rng.uniform(0.08, 0.18), angle))
    return parts


def _turn(angle: float) -> Float[np.ndarray, "2 2"]:
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, s], [-s, c]])
