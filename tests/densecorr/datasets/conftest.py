"""The toy COCO data sets of tests/data/coco, written once."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

MAKE = Path(__file__).parents[2] / "data" / "coco" / "make.py"


@pytest.fixture(scope="session")
def toy() -> ModuleType:
    """tests/data/coco/make.py"""
    spec = importlib.util.spec_from_file_location("make_coco", MAKE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def coco_folder(toy: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """instances.json and the others, and images/."""
    folder = tmp_path_factory.mktemp("coco")
    toy.write(folder)
    return folder
