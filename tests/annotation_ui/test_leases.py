import importlib
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from annotation_ui.desk_errors import DeskError
from annotation_ui.leases import COLLECTION, DURATION, Leases, MemoryLeases, MongoLeases, database_name
from annotation_ui.mongo import join_mongod
from flows.review_open import free_port

DATABASE = f"densecorr-leases-{os.getpid()}"


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A MongoDB: the one that is configured, else a mongod of the test's own."""
    configured, program = os.environ.get("FIFTYONE_DATABASE_URI"), os.environ.get("DENSECORR_MONGOD")
    if not configured and not program:
        pytest.skip(
            "no DENSECORR_MONGOD or FIFTYONE_DATABASE_URI: `bash infra/get_mongod.sh FOLDER` gets one"
        )
    uri = configured or join_mongod(Path(str(program)), tmp_path_factory.mktemp("mongo"))
    yield uri
    importlib.import_module("pymongo").MongoClient(uri).drop_database(DATABASE)


@pytest.fixture(params=["memory", pytest.param("mongo", marks=pytest.mark.mongo)])
def leases(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Leases:
    """The two kinds; each test has a data set of its own."""
    if request.param == "memory":
        return MemoryLeases()
    monkeypatch.setattr("annotation_ui.leases._TIMEOUT_MS", 10_000)  # the machine may be busy
    return MongoLeases(request.getfixturevalue("uri"), DATABASE, f"d-{time.monotonic_ns()}")


def test_the_first_has_it_until_it_is_given_back(leases: Leases) -> None:
    assert leases.take("i/0", "ann").reviewer == "ann"
    assert leases.take("i/0", "bob").reviewer == "ann"
    assert leases.take("i/1", "bob").reviewer == "bob"
    assert {key: lease.reviewer for key, lease in leases.held().items()} == {"i/0": "ann", "i/1": "bob"}
    leases.release("bob", "i/0")  # not his: nothing happens
    assert leases.take("i/0", "bob").reviewer == "ann"
    leases.release("ann", "i/0")
    assert leases.take("i/0", "bob").reviewer == "bob"
    leases.release("bob")
    assert leases.held() == {}


def test_a_lease_lasts_a_quarter_of_an_hour_and_is_renewed(leases: Leases) -> None:
    first = leases.take("i/0", "ann")
    assert timedelta(minutes=14) < first.until - datetime.now(UTC) < timedelta(minutes=16)
    time.sleep(0.01)
    assert leases.take("i/0", "bob").until == first.until
    assert leases.take("i/0", "ann").until > first.until


def test_of_many_who_ask_at_once_one_gets_it(leases: Leases) -> None:
    names = [f"r{i}" for i in range(8)]
    holders: list[str] = []
    start = threading.Barrier(len(names))

    def ask(name: str) -> None:
        start.wait()
        holders.append(leases.take("i/0", name).reviewer)

    threads = [threading.Thread(target=ask, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(holders) == len(names)
    assert len(set(holders)) == 1


def test_in_memory_an_old_lease_is_nobodys() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    leases = MemoryLeases(lambda: now)
    leases.take("i/0", "ann")
    now += DURATION
    assert leases.held() == {}
    assert leases.take("i/0", "bob").reviewer == "bob"


@pytest.mark.mongo
def test_in_mongo_an_old_lease_is_nobodys(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("annotation_ui.leases._TIMEOUT_MS", 10_000)
    leases = MongoLeases(uri, DATABASE, "old")
    leases.take("i/0", "ann")
    collection = importlib.import_module("pymongo").MongoClient(uri)[DATABASE][COLLECTION]
    past = datetime.now(UTC) - timedelta(seconds=1)
    collection.update_one({"_id": "old/i/0"}, {"$set": {"until": past}})
    assert leases.held() == {}
    assert leases.take("i/0", "bob").reviewer == "bob"
    assert MongoLeases(uri, DATABASE, "another").held() == {}


def is_slow(ask: Callable[[], Any], than_s: float = 0.1) -> bool:
    started = time.monotonic()
    with pytest.raises(DeskError) as caught:
        ask()
    assert caught.value.kind == "database"
    return time.monotonic() - started > than_s


def test_a_database_that_is_away_is_said_and_not_asked_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "annotation_ui.leases._TIMEOUT_MS", 1000
    )  # more than a busy machine takes for nothing
    leases = MongoLeases("mongodb://127.0.0.1:9", DATABASE, "d")
    assert is_slow(lambda: leases.take("i/0", "ann"), than_s=0.5)
    assert not is_slow(lambda: leases.take("i/0", "ann"), than_s=0.5)
    assert not is_slow(leases.held, than_s=0.5)


@pytest.mark.mongo
def test_a_database_that_comes_back_is_used_again(
    mongod: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("annotation_ui.leases._PAUSE_S", 0.0)
    port = free_port(27500)
    leases = MongoLeases(f"mongodb://127.0.0.1:{port}", DATABASE, "d")
    command = [mongod, "--dbpath", tmp_path, "--port", str(port), "--bind_ip", "127.0.0.1", "--nounixsocket"]
    for _ in range(2):
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
            try:
                assert patiently(lambda: leases.take("i/0", "ann")).reviewer == "ann"
            finally:
                server.terminate()
        assert is_slow(leases.held)


def patiently(ask: Callable[[], Any]) -> Any:
    """The answer of a server that is starting."""
    for _ in range(100):
        try:
            return ask()
        except DeskError:
            time.sleep(0.1)
    return ask()


def test_the_database_is_fiftyones(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("FIFTYONE_DATABASE_NAME", raising=False)
    monkeypatch.setenv("FIFTYONE_CONFIG_PATH", str(tmp_path / "config.json"))
    assert database_name() == "fiftyone"
    (tmp_path / "config.json").write_text('{"database_name": "ours"}')
    assert database_name() == "ours"
    monkeypatch.setenv("FIFTYONE_DATABASE_NAME", "mine")
    assert database_name() == "mine"
