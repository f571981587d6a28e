import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from annotation_ui.app import describe_fiftyone, mongo_available
from annotation_ui.mongo import configured_uri, data_folder, find_database
from densecorr.errors import DependencyError

JOIN = """
import sys
from pathlib import Path
from annotation_ui.mongo import join_mongod
print(join_mongod(Path(sys.argv[1]), Path(sys.argv[2])), flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def bare_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No database named, no mongod on PATH, no config file."""
    monkeypatch.delenv("FIFTYONE_DATABASE_URI", raising=False)
    monkeypatch.delenv("DENSECORR_MONGOD", raising=False)
    monkeypatch.setenv("FIFTYONE_CONFIG_PATH", str(tmp_path / "config.json"))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")


def fake_mongod(path: Path, version: str, status: int = 0) -> Path:
    path.write_text(f"#!/bin/sh\necho 'db version v{version}'\nexit {status}\n")
    path.chmod(0o755)
    return path


def test_a_named_program_is_tried_and_its_version_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = fake_mongod(tmp_path / "mongod", "7.0.14")
    monkeypatch.setenv("DENSECORR_MONGOD", str(program))
    database = find_database()
    assert (database.kind, database.target, database.version) == ("program", str(program), "7.0.14")
    assert mongo_available() == (True, f"MongoDB 7.0.14 ({program})")
    assert "densecorr review open" in describe_fiftyone()


def test_a_program_on_the_path_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = fake_mongod(tmp_path / "mongod", "6.0.27")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    database = find_database()
    assert database.kind == "bundled" or database.target == str(program)


@pytest.mark.parametrize(
    ("version", "status", "reason"), [("5.0.9", 0, "5.0.9 at"), ("7.0.1", 127, "db version v7.0.1")]
)
def test_an_old_or_broken_program_is_refused_with_its_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: str, status: int, reason: str
) -> None:
    monkeypatch.setenv("DENSECORR_MONGOD", str(fake_mongod(tmp_path / "mongod", version, status)))
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)  # leave out FiftyOne's own mongod
    with pytest.raises(DependencyError, match=reason):
        find_database()


def test_without_any_mongodb_the_answer_is_quick_and_names_the_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("annotation_ui.mongo._programs", list)
    start = time.monotonic()
    available, reason = mongo_available()
    assert not available
    assert "FIFTYONE_DATABASE_URI" in reason
    assert "\n" not in describe_fiftyone()
    assert time.monotonic() - start < 1.0


def test_a_server_that_is_away_is_an_error_in_seconds_without_its_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FIFTYONE_DATABASE_URI", "mongodb://me:secret@127.0.0.1:1/")
    start = time.monotonic()
    with pytest.raises(DependencyError, match=r"127\.0\.0\.1:1") as caught:
        find_database(timeout_s=0.5)
    assert "secret" not in str(caught.value)
    assert time.monotonic() - start < 3.0


def test_the_config_file_names_a_server_and_the_environment_wins(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert configured_uri() is None
    (tmp_path / "config.json").write_text('{"database_uri": "mongodb://config"}')
    assert configured_uri() == "mongodb://config"
    monkeypatch.setenv("FIFTYONE_DATABASE_URI", "mongodb://environment")
    assert configured_uri() == "mongodb://environment"


def test_a_damaged_config_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(DependencyError, match=r"config\.json"):
        configured_uri()


def test_the_data_folder_can_be_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("DENSECORR_MONGO_DIR", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert data_folder() == tmp_path / "densecorr" / "mongo"
    monkeypatch.setenv("DENSECORR_MONGO_DIR", str(tmp_path / "mine"))
    assert data_folder() == tmp_path / "mine"


@pytest.mark.mongo
def test_processes_share_one_mongod_and_the_last_one_stops_it(mongod: Path, tmp_path: Path) -> None:
    import psutil

    folder = tmp_path / "data"
    command = [sys.executable, "-c", JOIN, str(mongod), str(folder)]
    first = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    second = None
    try:
        assert first.stdout is not None
        uri = first.stdout.readline().strip()
        second = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert second.stdout is not None
        assert second.stdout.readline().strip() == uri
        pid = int((folder / "mongod.pid").read_text())
        first.communicate(timeout=30)
        assert psutil.pid_exists(pid)
        second.communicate(timeout=30)
        assert not psutil.pid_exists(pid)
    finally:
        for process in (first, second):
            if process is not None:
                process.kill()
                process.communicate()
