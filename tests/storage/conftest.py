"""Stores to test on: a local folder, and an object store in memory."""

import secrets
from collections.abc import Callable
from pathlib import Path

import pytest

from storage.artifacts import Store


@pytest.fixture(params=["local", "memory"])
def make_store(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Store]:
    """Opens the same store anew at each call; code that must hold for both kinds is tested on both."""
    if request.param == "local":
        return lambda: Store(tmp_path / "store")
    pytest.importorskip("fsspec")
    uri = f"fsspec+memory://{secrets.token_hex(8)}/store"
    return lambda: Store(uri, cache=tmp_path / "cache")


@pytest.fixture
def store(make_store: Callable[[], Store]) -> Store:
    """One store of either kind."""
    return make_store()
