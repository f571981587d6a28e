"""A state folder, a Prefect home and toy stages for the tests; nothing of the user's is touched."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # a command may be named toys:WORDS


@pytest.fixture(scope="session", autouse=True)
def _own_homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DENSECORR_STATE", str(tmp_path_factory.mktemp("state")))
        patch.setenv("PREFECT_HOME", str(tmp_path_factory.mktemp("prefect")))
        patch.setenv("PYTHONPATH", os.pathsep.join([str(HERE.parents[1]), str(HERE)]))
        patch.setenv("OMP_NUM_THREADS", "1")
        for name in ("PREFECT_API_URL", "PREFECT_PROFILES_PATH", "PREFECT_PROFILE", "DENSECORR_STORE"):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture
def text_file(tmp_path: Path) -> Path:
    """Five words, three of them with a b."""
    path = tmp_path / "text.txt"
    path.write_text("a b c abba bob")
    return path
