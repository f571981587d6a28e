"""Tiny models, written once."""

from pathlib import Path

import pytest

from tests import tiny_models


@pytest.fixture(scope="session")
def dinov2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.write_dinov2(tmp_path_factory.mktemp("models") / "dinov2")


@pytest.fixture(scope="session")
def stable_diffusion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.write_stable_diffusion(tmp_path_factory.mktemp("models") / "sd")
