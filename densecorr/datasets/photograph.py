"""Light on a rendered subject and its ground, and what a camera's sensor makes of it."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8

from ..rendering.cameras import framing_camera, project_points, view_direction
from ..rendering.rasterize import Scene
from .backgrounds import Backdrop
from .world_settings import PhotographSettings

GAMMA = 2.2
SHADOW_MAP_SIZE = 144


@dataclass(frozen=True)
class Light:
    """A far lamp (`direction` to it, in the world), light from everywhere, and how dark shadows are."""

    direction: Float[np.ndarray, " 3"]
    color: Float[np.ndarray, " 3"]
    ambient: float
    shadow: float
    softness: float  # of the shadow on the ground: standard deviation as a share of the image's side


def sample_light(azimuth: float, settings: PhotographSettings, rng: np.random.Generator) -> Light:
    """A lamp somewhere on the camera's side of the subject (camera azimuth in degrees), hard or soft."""
    hard = rng.random() < settings.shadows
    elevation = rng.uniform(*settings.light_elevation)
    toward = math.radians(azimuth + rng.normal(0, 55))
    warm = rng.uniform(-1, 1)
    return Light(
        direction=view_direction(toward, math.radians(float(elevation if hard else 80.0))),
        color=np.clip(np.array([1 + 0.10 * warm, 1.0, 1 - 0.14 * warm]), 0, None),
        ambient=float(rng.uniform(*settings.ambient)) + (0.0 if hard else 0.15),
        shadow=float(rng.uniform(0.55, 0.85)) if hard else 0.35,
        softness=0.004 if hard else 0.02,
    )


class ShadowMap:
    """Depth of the subject as the lamp sees it."""

    def __init__(self, V: Float[np.ndarray, "V 3"], scene: Scene, light: Light) -> None:
        low, high = V.min(axis=0), V.max(axis=0)
        focal = SHADOW_MAP_SIZE / 2 / math.tan(math.radians(6.0))
        self._camera = framing_camera(V, (low + high) / 2, light.direction, focal, SHADOW_MAP_SIZE, 0.02)
        self._depth = scene.fragments(self._camera).depth
        self._bias = 0.012 * float(np.linalg.norm(high - low))

    def shade(self, X: Float[np.ndarray, "N 3"]) -> Float[np.ndarray, " N"]:
        """Share of the lamp that each point (metres) loses: the mean over the four nearest map pixels."""
        xy, depth = project_points(X, self._camera)
        low = np.floor(np.clip(xy, -1, SHADOW_MAP_SIZE)).astype(np.int64)
        part = np.clip(xy - low, 0, 1)
        total = np.zeros(len(X))
        for dx in (0, 1):
            for dy in (0, 1):
                x, y = low[:, 0] + dx, low[:, 1] + dy
                known = (x >= 0) & (y >= 0) & (x < SHADOW_MAP_SIZE) & (y < SHADOW_MAP_SIZE)
                nearest = np.where(known, self._depth[y * known, x * known], np.inf)
                weight = np.abs(1 - dx - part[:, 0]) * np.abs(1 - dy - part[:, 1])
                total += weight * (depth > nearest + self._bias)
        return total


def shade_subject(
    albedo: Float[np.ndarray, "N 3"],
    normals: Float[np.ndarray, "N 3"],
    to_eye: Float[np.ndarray, "N 3"],
    shade: Float[np.ndarray, " N"],
    light: Light,
    gloss: float,
) -> Float[np.ndarray, "N 3"]:
    """Lambert, a paler sky above, a broad highlight of strength `gloss`, and shadow; directions are unit."""
    lambert = np.clip(normals @ light.direction, 0, 1) * (1 - light.shadow * shade)
    sky = light.ambient * (0.7 + 0.3 * normals[:, 1])
    half = to_eye + light.direction
    half /= np.maximum(np.linalg.norm(half, axis=1, keepdims=True), 1e-9)
    shine = gloss * np.clip(np.einsum("ij,ij->i", normals, half), 0, 1) ** 24 * (1 - shade)
    strength = sky[:, None] + (1 - light.ambient) * 1.25 * lambert[:, None] * light.color
    return np.clip(np.clip(albedo, 0, 1) ** GAMMA * strength + shine[:, None], 0, 1) ** (1 / GAMMA)


def shade_ground(backdrop: Backdrop, shadows: ShadowMap, light: Light) -> Float32[np.ndarray, "S S 3"]:
    """The backdrop with the subject's shadow on its ground."""
    import cv2

    image = backdrop.image
    if not backdrop.ground.any():
        return image
    shade = np.zeros(backdrop.ground.shape, dtype=np.float32)
    shade[backdrop.ground] = shadows.shade(backdrop.points[backdrop.ground])
    shade = cv2.GaussianBlur(shade, (0, 0), light.softness * len(shade)) * backdrop.ground
    lost = light.shadow * (1 - light.ambient)
    return image * (1 - np.float32(lost) * shade[..., None])


def expose(
    image: Float32[np.ndarray, "S S 3"], settings: PhotographSettings, rng: np.random.Generator
) -> UInt8[np.ndarray, "S S 3"]:
    """Exposure, colour cast, vignette, lens blur, noise and JPEG blocks; nothing moves."""
    import cv2

    side = len(image)
    gain = rng.uniform(*settings.exposure) * (1 + rng.uniform(-settings.tint, settings.tint, 3))
    off = (np.arange(side, dtype=np.float32) - (side - 1) / 2) / (side / 2)
    vignette = 1 - np.float32(rng.uniform(0, 0.15)) * (off[:, None] ** 2 + off[None] ** 2)[..., None]
    image = cv2.GaussianBlur(
        image * gain.astype(np.float32) * vignette, (0, 0), rng.uniform(*settings.blur_px)
    )
    image = image + np.float32(rng.uniform(*settings.noise)) * rng.standard_normal(
        image.shape, dtype=np.float32
    )
    pixels = np.clip(np.rint(image * 255), 0, 255).astype(np.uint8)
    quality = int(rng.integers(settings.jpeg_quality[0], settings.jpeg_quality[1] + 1))
    _, data = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.ascontiguousarray(np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))[..., ::-1])


def composite(
    image: Float32[np.ndarray, "S S 3"], silhouette: Bool[np.ndarray, "S S"], colors: Float[np.ndarray, "N 3"]
) -> Float32[np.ndarray, "S S 3"]:
    """The image with the subject's colours at the pixels of its silhouette (row by row)."""
    out = image.copy()
    out[silhouette] = colors
    return out
