"""A model that knows the answer: the colour of a pixel is its place on a globe, and vertices embed as their place."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from densecorr.models import CseModel, CseModelSettings, Predictor, UNetBackbone

N_VERTICES = 40_000


class KnownBackbone(nn.Module):
    """The place (x, y, z) of each cell, and a foreground logit: what is off the globe is background."""

    stride, out_channels, multiple = 2, 4, 2

    def forward(self, x: Tensor) -> Tensor:
        xyz = (avg_pool2d(x[:, :3] / 4 + 0.5, 2) - 0.5) * 2  # undoes the model's scaling of its input
        radius = xyz.norm(dim=1, keepdim=True)
        return torch.cat([xyz, 100 * (0.1 - (radius - 1).abs())], dim=1)


def globe_predictor() -> Predictor:
    """Vertices on a Fibonacci sphere; every seventh is of the training level, which so is even, too."""
    n = np.arange(N_VERTICES)
    z = 1 - (2 * n + 1) / N_VERTICES
    angle = np.pi * (3 - 5**0.5) * n
    V = np.stack([np.cos(angle) * np.sqrt(1 - z**2), np.sin(angle) * np.sqrt(1 - z**2), z], axis=1)
    basis = torch.from_numpy(V).float()
    settings = CseModelSettings(
        embedding=3, temperature=1e-3, crop_size=160, padding=0.05, backbone=UNetBackbone(widths=(4,))
    )
    model = CseModel(settings, basis)
    model.backbone, model.head = KnownBackbone(), nn.Identity()
    model.basis, model.C = basis[::7], nn.Parameter(torch.eye(3))
    colors = torch.zeros(N_VERTICES, 3, dtype=torch.uint8)
    return Predictor(model, {"basis": basis, "colors": colors}, {"category": "globe"})


@dataclass(frozen=True)
class Photo:
    """A globe turned by R (world to camera), seen along z, at a place and of a radius in pixels."""

    R: np.ndarray
    centre: tuple[float, float]
    radius: float
    width: int = 100
    height: int = 80

    @property
    def xywh(self) -> tuple[float, float, float, float]:
        """Its COCO box."""
        x, y = self.centre
        return (x + 0.5 - self.radius, y + 0.5 - self.radius, 2 * self.radius, 2 * self.radius)

    def image(self) -> np.ndarray:
        """RGB of the place each pixel shows; outside it is grey.

        Grey is the globe's middle: a pixel of the rim that is mixed with it keeps its direction.
        """
        ys, xs = np.mgrid[: self.height, : self.width].astype(float)
        seen = np.stack([(xs - self.centre[0]) / self.radius, (ys - self.centre[1]) / self.radius], axis=-1)
        squared = 1 - (seen**2).sum(axis=-1)
        camera = np.concatenate([seen, -np.sqrt(np.maximum(squared, 0))[..., None]], axis=-1)
        return np.rint(np.where(squared[..., None] > 0, (camera @ self.R + 1) / 2 * 255, 128)).astype(
            np.uint8
        )

    def look(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pixels of places on the globe, and which of them are seen well, not from the side."""
        camera = places @ self.R.T
        return camera[:, :2] * self.radius + self.centre, camera[:, 2] < -0.5


def rotation(seed: int, degrees: float) -> np.ndarray:
    """A turn by that much about a random axis."""
    import cv2

    axis = np.random.default_rng(seed).normal(size=3)
    return cv2.Rodrigues(axis / np.linalg.norm(axis) * np.deg2rad(degrees))[0]


def photo_pair(seed: int = 0) -> tuple[Photo, Photo, np.ndarray, np.ndarray]:
    """Two photos of the globe, and the pixels in each of 40 places that both show."""
    a = Photo(rotation(seed, 20), (46.0, 41.0), 30.0)
    b = Photo(rotation(seed + 1, 45), (58.5, 37.25), 27.0, width=110, height=90)
    places = np.random.default_rng(seed).normal(size=(400, 3))
    places /= np.linalg.norm(places, axis=1, keepdims=True)
    (xy_a, seen_a), (xy_b, seen_b) = a.look(places), b.look(places)
    both = np.flatnonzero(seen_a & seen_b)[:40]
    return a, b, xy_a[both], xy_b[both]
