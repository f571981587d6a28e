import importlib
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from annotation_ui.app import import_fiftyone


@pytest.fixture(scope="session")
def mongod() -> Path:
    """The mongod program that DENSECORR_MONGOD names, which the tests may start and stop."""
    named = os.environ.get("DENSECORR_MONGOD")
    if not named:
        pytest.skip("no DENSECORR_MONGOD: `bash infra/get_mongod.sh FOLDER` gets one")
    return Path(named)


@pytest.fixture(scope="session")
def fiftyone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """FiftyOne on a database of its own name, dropped afterwards; a mongod is started if one is named."""
    uri, program = os.environ.get("FIFTYONE_DATABASE_URI"), os.environ.get("DENSECORR_MONGOD")
    if "fiftyone" in sys.modules:
        pytest.skip("FiftyOne was imported before, on another database")
    if not uri and not program:
        pytest.skip(
            "no DENSECORR_MONGOD or FIFTYONE_DATABASE_URI: `bash infra/get_mongod.sh FOLDER` gets one"
        )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DENSECORR_MONGO_DIR", str(tmp_path_factory.mktemp("mongo")))
        patch.setenv("FIFTYONE_DATABASE_NAME", f"densecorr-test-{os.getpid()}")
        patch.setenv("FIFTYONE_DATABASE_URI", uri or "")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # those of FiftyOne's own imports
            module = import_fiftyone()
        yield module
        client = importlib.import_module("fiftyone.core.odm").get_db_client()
        client.drop_database(os.environ["FIFTYONE_DATABASE_NAME"])
