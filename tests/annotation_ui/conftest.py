import importlib
import os
import shutil
import sys
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from annotation_ui.app import import_fiftyone
from annotation_ui.desk import Desk
from annotation_ui.desk_settings import DeskSettings
from storage.artifacts import Store
from tests.annotation_ui.review_world import make_world


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


@pytest.fixture(scope="module")
def template_world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, DeskSettings]:
    folder = tmp_path_factory.mktemp("world") / "store"
    _, settings = make_world(folder)
    return folder, settings


@pytest.fixture
def world(template_world: tuple[Path, DeskSettings], tmp_path: Path) -> tuple[Store, DeskSettings]:
    """A store of its own for each test: five balls, twelve points each."""
    shutil.copytree(template_world[0], tmp_path / "store")
    return Store(tmp_path / "store"), replace(template_world[1], store=str(tmp_path / "store"))


@pytest.fixture
def desk(world: tuple[Store, DeskSettings]) -> Iterator[Desk]:
    desk = Desk(world[1])
    yield desk
    desk.close()
