import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def mongod() -> Path:
    """The mongod program that DENSECORR_MONGOD names, which the tests may start and stop."""
    named = os.environ.get("DENSECORR_MONGOD")
    if not named:
        pytest.skip("no DENSECORR_MONGOD: `bash infra/get_mongod.sh FOLDER` gets one")
    return Path(named)
