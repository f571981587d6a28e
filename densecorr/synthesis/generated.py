"""What a generator is given and what it returns, whichever it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Bool, Float, Int, Int32, UInt8

from ..rendering.rasterize import Scene, make_scene
from .viewpoints import SampledView

NOTHING_VISIBLE = "nothing visible"


@dataclass(frozen=True)
class Subject:
    """A template ready to be seen from many sides, and what it is called."""

    category: str
    V: Float[np.ndarray, "V 3"]
    F: Int[np.ndarray, "F 3"]
    scene: Scene


def make_subject(category: str, V: Float[np.ndarray, "V 3"], F: Int[np.ndarray, "F 3"]) -> Subject:
    """The subject of a category's template (vertices in metres)."""
    return Subject(category, V, F, make_scene(V, F))


@dataclass(frozen=True)
class Verdict:
    """Whether an image can be used: `reason` is "" if it is; figures are None where nothing was measured."""

    reason: str = ""
    depth_agreement: float | None = None
    silhouette_iou: float | None = None

    @property
    def kept(self) -> bool:
        """Whether the image is used."""
        return not self.reason


@dataclass(frozen=True)
class GeneratedImage:
    """One image of a subject.

    `silhouette` are the pixels that show the template, `vertex` the template vertex each of them shows (-1
    elsewhere), both exact by projection. `seed` is that of the image alone; `background` names the user's file, or
    is "".
    """

    index: int
    image: UInt8[np.ndarray, "H W 3"]
    silhouette: Bool[np.ndarray, "H W"]
    vertex: Int32[np.ndarray, "H W"]
    view: SampledView
    prompt: str
    seed: int
    background: str
    verdict: Verdict


class ImageGenerator(Protocol):
    """Loaded settings of the union `Generator`."""

    batch_size: int  # images it likes to be asked for at once

    def __call__(self, subject: Subject, seed: int, indices: Sequence[int]) -> list[GeneratedImage]:
        """The images of these indices, in order; image k depends on the seed and k, not on the others."""
        ...


def sample_points(
    generated: GeneratedImage, n_points: int, seed: int
) -> tuple[Float[np.ndarray, "P 2"], Int[np.ndarray, " P"]]:
    """Some visible pixels (all, if they are fewer) and the vertex at each; the choice depends on seed and index."""
    rng = np.random.default_rng([seed, generated.index, 1])  # not the stream the image was drawn from
    ys, xs = np.nonzero(generated.silhouette)
    picked = np.sort(rng.choice(len(xs), min(n_points, len(xs)), replace=False))
    xy = np.stack([xs[picked], ys[picked]], axis=1).astype(np.float64)
    return xy, generated.vertex[ys[picked], xs[picked]].astype(np.int64)
