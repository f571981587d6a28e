"""Surroundings of a rendered subject, all procedural: sky above ground, a wall above a floor, or clutter.

The ground is the plane y = 0 the subject stands on, so that its texture has the camera's perspective and can
take a cast shadow. Images are (S, S, 3) float32 in [0, 1].
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32

from ..records import Camera
from ..rendering.cameras import pixel_rays
from .shapes import coverage, draw, noise_image, paint, random_thing
from .textures import LATTICE, random_color
from .world_settings import BackdropSettings

GROUNDS = np.array(
    [
        [96, 124, 58], [70, 98, 48], [150, 146, 88], [196, 178, 138], [128, 122, 116],
        [92, 92, 94], [150, 118, 84], [226, 230, 236], [124, 96, 70],
    ]
) / 255.0  # fmt: skip
SKIES = np.array(  # above, at the horizon
    [
        [[86, 140, 206], [190, 214, 234]], [[160, 172, 184], [214, 218, 220]],
        [[92, 112, 160], [238, 196, 150]],
        [[52, 92, 168], [150, 192, 228]], [[198, 204, 210], [236, 238, 238]],
    ]
) / 255.0  # fmt: skip


@dataclass(frozen=True)
class Backdrop:
    """Surroundings without the subject; `ground` marks pixels that show the plane y = 0, at `points` (m)."""

    image: Float32[np.ndarray, "S S 3"]
    ground: Bool[np.ndarray, "S S"]
    points: Float[np.ndarray, "S S 3"]


def paint_backdrop(
    camera: Camera,
    settings: BackdropSettings,
    subject_colors: Float[np.ndarray, "N 3"],
    subject_depth: float,
    rng: np.random.Generator,
) -> Backdrop:
    """Surroundings of a subject seen by a square camera.

    Args:
        camera: above the plane y = 0, or there will be no ground.
        settings: weights of the kinds, number of things, blur.
        subject_colors: colours that look-alike things may have, in [0, 1].
        subject_depth: metres from the camera to the subject.
        rng: source of all choices.
    """
    import cv2

    side = camera.width
    weights = np.array([settings.outdoors, settings.indoors, settings.clutter])
    kind = rng.choice(["outdoors", "indoors", "clutter"], p=weights / weights.sum())
    points, depth = _ground_points(camera)
    if kind == "outdoors":
        ground = np.isfinite(depth)
        image = _sky(side, ground, rng)
    elif kind == "indoors":
        ground = depth < subject_depth * rng.uniform(1.15, 2.2)
        image = _wall(side, rng)
    else:
        ground = np.zeros((side, side), dtype=bool)
        image = paint(side, side, random_color(rng), rng)
    if ground.any():
        image[ground] = _floor(points[ground], depth[ground], kind == "indoors", rng)
    n_things = int(rng.integers(settings.n_things[0], settings.n_things[1] + 1)) * (
        2 if kind == "clutter" else 1
    )
    for _ in range(n_things):
        _add_thing(image, ground, subject_colors, settings.look_alike, rng)
    blur = rng.uniform(*settings.blur_px)
    if blur > 0.2:
        image = cv2.GaussianBlur(image, (0, 0), blur)
    return Backdrop(np.clip(image, 0, 1).astype(np.float32), ground, points)


def _ground_points(camera: Camera) -> tuple[Float[np.ndarray, "S S 3"], Float[np.ndarray, "S S"]]:
    """Where each pixel's ray meets y = 0, and its depth (inf where it does not)."""
    eye, rays = pixel_rays(camera, (0, camera.width), (0, camera.height))
    height, rays = float(eye[1]), rays.astype(np.float64)
    falls = (rays[:, 1] < -1e-4) & (height > 0.02)
    depth = np.where(falls, height / np.maximum(-rays[:, 1], 1e-4), np.inf)
    points = eye + np.where(falls, depth, 0.0)[:, None] * rays
    return points.reshape(camera.height, camera.width, 3), depth.reshape(camera.height, camera.width)


def _sky(
    side: int, ground: Bool[np.ndarray, "S S"], rng: np.random.Generator
) -> Float32[np.ndarray, "S S 3"]:
    """Sky with clouds; often trees, hills or houses along the horizon."""
    top, low = SKIES[rng.integers(len(SKIES))]
    down = np.linspace(0, 1, side)[:, None, None]
    clouds = noise_image(side, side, side * rng.uniform(0.2, 0.5), rng)[..., None] * rng.uniform(0.0, 0.35)
    image = (top + (low - top) * down + clouds * 0.8).astype(np.float32)
    horizon = np.where(ground.any(axis=0), ground.argmax(axis=0), side)
    for _ in range(int(rng.integers(0, 4))):  # farther rows first
        rise = side * rng.uniform(0.03, 0.55)
        ragged = noise_image(side, side, side * rng.uniform(0.04, 0.3), rng)[0]
        edge = horizon - rise * (0.5 + ragged)
        if rng.random() < 0.3:  # houses: a stepped outline
            step = max(int(side * rng.uniform(0.08, 0.2)), 1)
            edge = np.repeat(edge[::step], step)[:side]
        color = np.array([0.28, 0.34, 0.20]) if rng.random() < 0.6 else random_color(rng)
        row = paint(side, side, np.clip(color * rng.uniform(0.5, 1.5), 0, 1), rng)
        leaves = 0.55 + 0.9 * noise_image(side, side, side * rng.uniform(0.015, 0.05), rng)[..., None]
        behind = np.arange(side)[:, None] >= edge[None]
        image = np.where(behind[..., None], row * leaves, image)
    return image.astype(np.float32)


def _wall(side: int, rng: np.random.Generator) -> Float32[np.ndarray, "S S 3"]:
    """A painted, papered, tiled or panelled wall."""
    color = random_color(rng)
    if rng.random() < 0.6:
        color = 1.0 - (1.0 - color) * 0.45  # most walls are pale
    wall = paint(side, side, color, rng)
    if rng.random() < 0.4:
        period, offset = side * rng.uniform(0.05, 0.2), rng.uniform(0, side)
        rows, columns = np.indices((side, side))
        brick = rng.random() < 0.5
        shift = np.where((rows // period) % 2 == 0, 0, 0.5 * period) if brick else 0
        joint = (np.mod(columns + shift + offset, period * (2 if brick else 1)) < 1.5) | (
            np.mod(rows + offset, period) < 1.5
        )
        wall = np.where(joint[..., None], wall * np.float32(rng.uniform(0.6, 0.9)), wall)
    return wall.astype(np.float32)


def _floor(
    points: Float[np.ndarray, "N 3"], depth: Float[np.ndarray, " N"], indoors: bool, rng: np.random.Generator
) -> Float32[np.ndarray, "N 3"]:
    """Colours of ground points: grass, sand, snow or asphalt; boards, tiles or a carpet indoors."""
    plane = points[:, [0, 2]]
    clear = 1.0 / (1.0 + (depth / (2.5 * depth.min())) ** 2)  # detail fades before it would alias
    base = random_color(rng) if indoors else GROUNDS[rng.integers(len(GROUNDS))] * rng.uniform(0.8, 1.2)
    value = 1.0 + rng.uniform(0.3, 0.7) * clear * (_grain(plane, rng.uniform(0.02, 0.10), rng) - 0.5)
    value += rng.uniform(0.1, 0.6) * (_grain(plane, rng.uniform(0.3, 1.2), rng) - 0.5)
    if indoors and rng.random() < 0.7:
        angle = rng.uniform(0, np.pi)
        across = plane @ np.array([np.cos(angle), np.sin(angle)])
        along = plane @ np.array([-np.sin(angle), np.cos(angle)])
        width = rng.uniform(0.1, 0.5)
        joint = np.mod(across, width) < 0.06 * width
        if rng.random() < 0.5:
            joint |= np.mod(along, width) < 0.06 * width
        board = np.mod(np.floor(across / width) * 0.618, 1.0)
        value *= 1.0 + clear * (0.25 * (board - 0.5) - 0.4 * joint)
    return (np.clip(base, 0, 1) * np.clip(value, 0.2, 1.6)[:, None]).astype(np.float32)


def _grain(plane: Float[np.ndarray, "N 2"], cell: float, rng: np.random.Generator) -> Float[np.ndarray, " N"]:
    """Bilinear noise on the ground plane, in [0, 1]; `cell` in metres. Cheaper than `textures.noise`."""
    n = 4 * LATTICE
    lattice = rng.random((n, n), dtype=np.float32)
    q = plane / cell
    low = np.floor(q).astype(np.int64)
    a, b = (q - low).T
    i, j = np.mod(low, n).T
    i1, j1 = (i + 1) % n, (j + 1) % n
    return (lattice[i, j] * (1 - a) + lattice[i1, j] * a) * (1 - b) + (
        lattice[i, j1] * (1 - a) + lattice[i1, j1] * a
    ) * b


def _add_thing(
    image: Float32[np.ndarray, "S S 3"],
    ground: Bool[np.ndarray, "S S"],
    subject_colors: Float[np.ndarray, "N 3"],
    look_alike: float,
    rng: np.random.Generator,
) -> None:
    """Draw one thing over the image, in place."""
    side = len(image)
    centre = rng.uniform(-0.05, 1.05, 2) * side
    size = side * rng.uniform(0.08, 0.5)
    column = int(np.clip(centre[0], 0, side - 1))
    if ground[:, column].any():  # it stands on the ground, most of it above the horizon
        foot = rng.uniform(ground[:, column].argmax(), side)
        centre[1] = foot - size * rng.uniform(0.2, 0.5)
    alike = rng.random() < look_alike and len(subject_colors) > 0
    color = subject_colors[rng.integers(len(subject_colors))] if alike else random_color(rng)
    draw(image, coverage(random_thing(centre, size, rng), side), color, rng)
