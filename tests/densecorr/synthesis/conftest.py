"""A globe and a lopsided shape as subjects, and the tiny models of the ControlNet generator, written once."""

import numpy as np
import pytest
import trimesh

from densecorr.synthesis import ControlNetGenerator, Subject, make_subject
from tests import tiny_synthesis


@pytest.fixture(scope="session")
def globe() -> Subject:
    """42 vertices on the unit sphere."""
    sphere = trimesh.creation.icosphere(subdivisions=1)
    return make_subject("globe", np.array(sphere.vertices), np.array(sphere.faces))


@pytest.fixture(scope="session")
def lopsided() -> Subject:
    """A sphere with a long nose to its left and towards the front: no view of it looks like its mirror image."""
    sphere = trimesh.creation.icosphere(subdivisions=3)
    V = np.array(sphere.vertices)
    V[:, 0] += 1.2 * np.clip(V[:, 0], 0, None) ** 3
    V[:, 2] += 0.8 * np.clip(V[:, 0], 0, None)
    return make_subject("nose", V, np.array(sphere.faces))


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> ControlNetGenerator:
    return tiny_synthesis.write_generator(tmp_path_factory.mktemp("models"))
