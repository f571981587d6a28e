"""What stands in front of a rendered subject: boxes, balls, posts, fences and foliage."""

import math

import numpy as np
from jaxtyping import Bool, Float, Float32

from .shapes import Outline, blob, coverage, draw, ellipse, rectangle
from .textures import random_color
from .world_settings import OcclusionSettings

N_TRIES = 12


def add_occluders(
    image: Float32[np.ndarray, "S S 3"],
    silhouette: Bool[np.ndarray, "S S"],
    settings: OcclusionSettings,
    subject_colors: Float[np.ndarray, "N 3"],
    rng: np.random.Generator,
) -> tuple[Float32[np.ndarray, "S S 3"], Bool[np.ndarray, "S S"]]:
    """The image with something in front of the subject, and the pixels it hides (at least half covered).

    With `settings.probability` one or two occluders are drawn that cover a share of the silhouette within
    `settings.share`; when none of `N_TRIES` random ones does, the image stays as it is.
    """
    clear = np.zeros_like(silhouette)
    if not silhouette.any() or rng.random() >= settings.probability:
        return image, clear
    for _ in range(N_TRIES):
        outlines = [_occluder(silhouette, rng) for _ in range(1 + int(rng.random() < 0.25))]
        alphas = [coverage(outline, len(image)) for outline in outlines]
        hidden = np.maximum.reduce(alphas) >= 0.5
        share = float((hidden & silhouette).sum() / silhouette.sum())
        if settings.share[0] <= share <= settings.share[1]:
            image = image.copy()
            for alpha in alphas:
                alike = rng.random() < settings.look_alike and len(subject_colors) > 0
                color = subject_colors[rng.integers(len(subject_colors))] if alike else random_color(rng)
                draw(image, alpha, color, rng)
            return image, hidden
    return image, clear


def _occluder(silhouette: Bool[np.ndarray, "S S"], rng: np.random.Generator) -> Outline:
    """An outline around a random point of the silhouette."""
    side = len(silhouette)
    inside = np.argwhere(silhouette)
    centre = inside[rng.integers(len(inside))][::-1].astype(np.float64)
    kind = rng.choice(
        ["box", "ball", "blob", "post", "fence", "leaves"], p=[0.25, 0.12, 0.13, 0.18, 0.12, 0.2]
    )
    size = side * rng.uniform(0.15, 0.5)
    lean = rng.normal(0, 0.15)
    if kind == "box":
        return [_reaching_border(rectangle(centre, size, size * rng.uniform(0.4, 1.6), lean), side, rng)]
    if kind == "ball":
        return [ellipse(centre, size, size * rng.uniform(0.6, 1.0), lean)]
    if kind == "blob":
        return [blob(centre, size, size * rng.uniform(0.5, 1.2), rng)]
    if kind == "leaves":
        return _leaves(centre, size, side, rng)
    turn = rng.choice([0.0, math.pi / 2]) + lean  # upright or lying
    width = side * rng.uniform(0.03, 0.11)
    if kind == "post":
        return [rectangle(centre, width, 4.0 * side, turn)]
    gap = width * rng.uniform(1.8, 3.5)
    across = np.array([math.cos(turn), math.sin(turn)])
    return [
        rectangle(centre + k * gap * across, 0.6 * width, 4.0 * side, turn)
        for k in range(int(rng.integers(2, 5)))
    ]


def _leaves(centre: Float[np.ndarray, " 2"], size: float, side: int, rng: np.random.Generator) -> Outline:
    """A spray of small ellipses."""
    places = centre + rng.normal(0, 0.35 * size, (int(rng.integers(12, 45)), 2))
    return [
        ellipse(
            place, side * rng.uniform(0.03, 0.09), side * rng.uniform(0.015, 0.04), rng.uniform(0, math.pi)
        )
        for place in places
    ]


def _reaching_border(
    corners: Float[np.ndarray, "4 2"], side: int, rng: np.random.Generator
) -> Float[np.ndarray, "4 2"]:
    """Often a box stands on the ground out of sight: its lower edge leaves the image."""
    if rng.random() < 0.5:
        corners = corners.copy()
        corners[2:, 1] = 1.2 * side
    return corners
