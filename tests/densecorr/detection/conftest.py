"""Tiny networks, written and loaded once."""

from pathlib import Path

import numpy as np
import pytest

from densecorr.detection.grounding_dino import GroundingDino, load_grounding_dino
from densecorr.detection.segment_anything import SegmentAnything, load_segment_anything
from tests import tiny_detectors


@pytest.fixture(scope="session")
def detector_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_detectors.write_grounding_dino(tmp_path_factory.mktemp("grounding_dino"))


@pytest.fixture(scope="session")
def segmenter_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_detectors.write_sam(tmp_path_factory.mktemp("sam"))


@pytest.fixture(scope="session")
def detector(detector_folder: Path) -> GroundingDino:
    return load_grounding_dino(str(detector_folder), "fp32", "cpu")


@pytest.fixture(scope="session")
def segmenter(segmenter_folder: Path) -> SegmentAnything:
    return load_segment_anything(str(segmenter_folder), "fp32", "cpu")


@pytest.fixture(scope="session")
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (48, 60, 3), dtype=np.uint8)
