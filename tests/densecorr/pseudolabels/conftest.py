"""The shipped quadruped seen from twelve sides, and views whose similarities can be written by hand."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from densecorr.features import FeatureExtractor, SilhouetteFeatures
from densecorr.images import CropFrame
from densecorr.pseudolabels.lift import lift_views
from densecorr.pseudolabels.zero_shot import InstanceScores
from densecorr.rendering.cameras import RigSettings, framing_camera, view_direction
from densecorr.rendering.rasterize import make_scene, vertex_map
from densecorr.rendering.views import Views, ViewSettings, draw_view, render_views
from densecorr.templates.catalog import load_catalog_mesh
from densecorr.view_features import Similarities, ViewFeatures


@dataclass(frozen=True)
class Photo:
    """A render of the quadruped from a new side, as if it were a photograph."""

    image: np.ndarray
    silhouette: np.ndarray
    vertex: np.ndarray


@dataclass(frozen=True)
class Subject:
    """The quadruped, some of its vertices, and its views lifted by the offline extractor."""

    V: np.ndarray
    F: np.ndarray
    vertices: np.ndarray
    rendered: Views
    views: ViewFeatures
    extractor: FeatureExtractor

    @property
    def distances(self) -> np.ndarray:
        """Straight lines between the vertices: near enough to geodesics to tell near from far."""
        P = self.V[self.vertices]
        return np.linalg.norm(P[:, None] - P[None], axis=-1).astype(np.float32)

    @property
    def diameter(self) -> float:
        return float(self.distances.max())

    def photograph(self, azimuth: float, elevation: float = 14.0, size: int = 200) -> Photo:
        middle = (self.V.min(axis=0) + self.V.max(axis=0)) / 2
        direction = view_direction(math.radians(azimuth), math.radians(elevation))
        camera = framing_camera(self.V, middle, direction, 1.5 * size, size, 0.17)
        fragments = make_scene(self.V, self.F).fragments(camera)
        image = draw_view(fragments, self.V, self.F, camera, "normals")
        return Photo(image, fragments.face >= 0, vertex_map(fragments, self.F))


@pytest.fixture(scope="session")
def subject() -> Subject:
    V, F = load_catalog_mesh("quadruped")
    vertices = np.arange(0, len(V), 12)
    rendered = render_views(V, F, ViewSettings(RigSettings(n_azimuths=12, elevations=(10.0,), size=128)))
    extractor = SilhouetteFeatures().load()
    views = lift_views(V, F, rendered, vertices, extractor)
    return Subject(V, F, vertices, rendered, views, extractor)


def _plain_views(n_views: int, n_vertices: int, azimuths: list[float]) -> ViewFeatures:
    n_rows = n_views * n_vertices
    return ViewFeatures(
        torch.eye(n_rows),
        np.arange(n_views + 1) * n_vertices,
        torch.arange(n_rows).reshape(n_views, n_vertices),
        torch.arange(n_vertices).repeat(n_views),
        10 * np.arange(n_vertices),
        np.stack([azimuths, np.zeros(n_views)], axis=1),
    )


@pytest.fixture(scope="session")
def plain_views():
    """Views in which each of n vertices (ids 0, 10, 20...) lies in a cell of its own."""
    return _plain_views


def _scores(similarity: list[list[float]], views: ViewFeatures, scale: float = 1.0) -> InstanceScores:
    """Cells at x = 2, 6, 10... of a crop that starts at pixel (100, 50) and enlarges by `scale`."""
    centers = np.stack([2.0 + 4 * np.arange(len(similarity)), np.full(len(similarity), 2.0)], axis=1)
    known = Similarities.known(torch.tensor(similarity), views)
    return InstanceScores(known, centers, CropFrame(100.0, 50.0, scale, 16))


@pytest.fixture(scope="session")
def make_scores():
    """The scores of an instance whose similarities with some views are given, a row for each of its cells."""
    return _scores
