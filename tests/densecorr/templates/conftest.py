import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_meshes() -> Path:
    root = Path(__file__).resolve().parents[3]
    folder = Path(os.environ.get("DENSECORR_SHARED_DATA", root.parent / "shared" / "data")) / "meshes"
    if not folder.is_dir():
        pytest.skip(f"no shared meshes in {folder}")
    return folder
