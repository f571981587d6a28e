"""Images without any model: the template's render in random colours and light before noise or a photograph."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8

from ..errors import SettingsError
from ..images import box_of_silhouette
from ..rendering.rasterize import vertex_map
from ..rendering.shading import shaded_image
from .backgrounds import crop_background, draw_noise, list_backgrounds
from .generated import NOTHING_VISIBLE, GeneratedImage, Subject, Verdict
from .viewpoints import Viewpoints, check_viewpoints, image_rng, image_seed, sample_view


@dataclass(frozen=True)
class ProceduralGenerator:
    """Settings: the offline default; `size` is the images' side in pixels.

    The template keeps its pose and shape, as in the paper; viewpoint, colours, light and background change, and half
    the time a box hides a part. Labels are exact by construction, so there is no gate.
    """

    kind: Literal["procedural"] = "procedural"
    size: int = 160
    viewpoints: Viewpoints = field(default_factory=Viewpoints)

    def load(
        self, device: str = "cpu", backgrounds: Path | None = None, offload: bool = False
    ) -> "ProceduralPainter":
        """The generator; it runs on the CPU whatever the device.

        Raises:
            SettingsError: a size or a viewpoint that cannot be.
            ImageError: a background file that cannot be used.
        """
        if self.size < 16:
            raise SettingsError("images of at least 16 pixels", str(self.size), "Correct generator.size.")
        check_viewpoints(self.viewpoints)
        return ProceduralPainter(self, list_backgrounds(backgrounds) if backgrounds else ())


class ProceduralPainter:
    """See the module's docstring."""

    batch_size = 1

    def __init__(self, settings: ProceduralGenerator, backgrounds: Sequence[Path] = ()) -> None:
        """Take checked settings and files."""
        self._settings, self._backgrounds = settings, backgrounds

    def __call__(self, subject: Subject, seed: int, indices: Sequence[int]) -> list[GeneratedImage]:
        """One image an index."""
        return [self._paint(subject, seed, index) for index in indices]

    def _paint(self, subject: Subject, seed: int, index: int) -> GeneratedImage:
        rng, size = image_rng(seed, index), self._settings.size
        view = sample_view(subject.V, self._settings.viewpoints, size, rng)
        fragments = subject.scene.fragments(view.camera)
        light = view.direction + rng.normal(0, 0.7, 3) + [0, 0.4, 0]
        colors = random_colors(subject.V, rng)
        image = shaded_image(fragments, subject.V, subject.F, colors, light, float(rng.uniform(0.3, 0.6)))
        silhouette = fragments.face >= 0
        image, background = self._finish(image, silhouette, rng)
        visible = silhouette & ~hide_part(image, silhouette, rng)
        return GeneratedImage(
            index,
            image,
            visible,
            np.where(visible, vertex_map(fragments, subject.F), -1).astype(np.int32),
            view,
            "",
            image_seed(seed, index),
            background,
            Verdict("" if visible.any() else NOTHING_VISIBLE),
        )

    def _finish(
        self,
        image: UInt8[np.ndarray, "S S 3"],
        silhouette: Bool[np.ndarray, "S S"],
        rng: np.random.Generator,
    ) -> tuple[UInt8[np.ndarray, "S S 3"], str]:
        if not self._backgrounds:
            return finish_image(image, silhouette, draw_noise(len(image), rng), rng), ""
        background, name = crop_background(self._backgrounds, len(image), rng)
        return finish_image(image, silhouette, background.astype(np.float32), rng), name


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
    image: UInt8[np.ndarray, "S S 3"],
    silhouette: Bool[np.ndarray, "S S"],
    background: Float32[np.ndarray, "S S 3"],
    rng: np.random.Generator,
) -> UInt8[np.ndarray, "S S 3"]:
    """Put the background behind the subject, then blur a little and add sensor noise."""
    import cv2

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
