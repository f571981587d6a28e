"""Which server is used; a server of ours ends with the process that needed it."""

import http.server
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from densecorr.errors import DependencyError
from flows import server
from flows.server import BackgroundServer


class Healthy(http.server.BaseHTTPRequestHandler):
    """Answers 200 below /api, 404 below /cloud and 500 elsewhere."""

    def do_GET(self) -> None:
        code = 200 if self.path.startswith("/api/") else 404 if self.path.startswith("/cloud/") else 500
        self.send_response(code)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Healthy) as listener:
        threading.Thread(target=listener.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{listener.server_port}"
        listener.shutdown()


@pytest.fixture
def _clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DENSECORR_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))


def write_profile(tmp_path: Path, url: str) -> None:
    (tmp_path / "prefect").mkdir()
    (tmp_path / "prefect" / "profiles.toml").write_text(
        f'active = "mine"\n[profiles.mine]\nPREFECT_API_URL = "{url}"\n[profiles.other]\n'
    )


def this_process(url: str) -> BackgroundServer:
    return BackgroundServer(os.getpid(), psutil.Process().create_time(), url, "log")


@pytest.mark.usefixtures("_clean")
def test_environment_then_up_then_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert server.configured_server() is None
    write_profile(tmp_path, "http://profile/api")
    assert server.configured_server() == ("http://profile/api", "the Prefect profile")
    monkeypatch.setenv("PREFECT_PROFILE", "other")
    assert server.configured_server() is None
    server.write_background(this_process("http://up/api"))
    assert server.configured_server() == ("http://up/api", "densecorr up")
    monkeypatch.setenv("PREFECT_API_URL", "http://environment/api")
    assert server.configured_server() == ("http://environment/api", "PREFECT_API_URL")


@pytest.mark.usefixtures("_clean")
def test_a_server_whose_process_is_gone_is_forgotten() -> None:
    ours = this_process("http://up/api")
    server.write_background(
        BackgroundServer(ours.pid, ours.started - 100, ours.url, ours.log)
    )  # its pid was reused
    assert server.read_background() is None
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    server.write_background(BackgroundServer(process.pid, time.time(), ours.url, ours.log))
    assert server.read_background() is None
    server.background_file().write_text("{")
    assert server.read_background() is None


def test_an_answer_is_any_but_a_failure_of_the_server(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "http_proxy", "http://127.0.0.1:9"
    )  # a proxy must not be asked for this machine's addresses
    assert server.answers(f"{address}/api")
    assert server.answers(f"{address}/cloud")  # Prefect Cloud wants a key before it says more
    assert not server.answers(f"{address}/elsewhere")
    assert not server.answers("http://127.0.0.1:9/api")
    assert not server.answers("no address")


@pytest.mark.usefixtures("_clean")
def test_a_named_server_that_is_silent_is_an_error_not_a_detour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    assert server.reachable_server() is None
    with pytest.raises(DependencyError, match="PREFECT_API_URL names"), server.tracking_server():
        pass


@pytest.mark.usefixtures("_clean")
def test_a_running_server_is_used_and_the_environment_is_put_back(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", f"{address}/api")
    monkeypatch.setenv("NO_PROXY", "intern")
    before = dict(os.environ)
    with server.tracking_server() as url:
        assert url == f"{address}/api"
        assert os.environ["NO_PROXY"] == "127.0.0.1,localhost,intern"
        assert os.environ["DO_NOT_TRACK"] == "1"
    assert dict(os.environ) == before


def test_a_server_that_cannot_start_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_SERVER_DATABASE_CONNECTION_URL", "no-database")
    with pytest.raises(DependencyError, match="its end with code"), server.temporary_server():
        pass


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is POSIX's")
def test_a_temporary_server_does_not_outlive_a_killed_process(tmp_path: Path) -> None:
    code = (
        "import time, flows.server as s\n"
        "with s.temporary_server() as url:\n"
        "    print(url, flush=True)\n"
        "    time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=tmp_path)
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    assert server.answers(url)
    (child,) = psutil.Process(process.pid).children()
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=10)
    child.wait(timeout=10)
    assert not server.answers(url)
