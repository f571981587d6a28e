"""`densecorr up | status | down`, and a schedule against the server that `up` keeps running."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from command_line import densecorr

from flows import cli
from flows.server import answers, read_background
from storage.artifacts import Store


@pytest.fixture
def port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setenv("DENSECORR_STATE", str(tmp_path / "state"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_up_status_down(
    port: int,
    tmp_path: Path,
    text_file: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def say(*arguments: str) -> tuple[str, str]:
        """What a command prints that needs no process of its own."""
        assert cli.main(list(arguments)) == 0
        return capsys.readouterr()

    monkeypatch.chdir(tmp_path)
    assert "no server is running" in say("down")[1]
    (tmp_path / ".env").write_text("PREFECT_API_URL=http://stray.invalid/api\n")  # must not bite
    up = densecorr("up", "--port", str(port), cwd=tmp_path)
    try:
        assert up.returncode == 0, up.stderr
        assert up.stdout == f"export PREFECT_API_URL=http://127.0.0.1:{port}/api\n"
        out, err = say("up", "--port", str(port))
        assert out == up.stdout
        assert "running already" in err
        assert f"http://127.0.0.1:{port}/api (densecorr up), answers" in say("status")[0]
        tracked = densecorr("toys:WORDS", "--text", str(text_file), cwd=tmp_path)
        assert tracked.returncode == 0, tracked.stderr
        assert "tracking" not in tracked.stderr
        background = read_background()
        assert background is not None
        family = psutil.Process(background.pid).children(recursive=True)
    finally:
        down = say("down")
    assert "stopped" in down[1]
    assert not answers(f"http://127.0.0.1:{port}/api")
    assert not any(child.is_running() for child in family)
    assert "none" in say("status")[0]


def test_a_port_in_use_is_named(port: int, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        up = densecorr("up", "--port", str(port), cwd=tmp_path)
    assert up.returncode == 2
    assert str(port) in up.stderr
    assert not (tmp_path / "state" / "server.json").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "one of --cron and --interval"),
        (["--cron", "0 2 * * *", "--interval", "5"], "one of --cron and --interval"),
        (["--interval", "-1"], "more than 0"),
        (["--cron", "0 2 * * *"], "a Prefect server that stays"),
    ],
)
def test_a_schedule_needs_a_time_and_a_server(
    arguments: list[str], said: str, tmp_path: Path, text_file: Path
) -> None:
    pipeline = tmp_path / "pipeline.toml"
    pipeline.write_text('[stages.words]\ncommand = "toys:WORDS"\ntext = "text.txt"\n')
    done = densecorr("serve", str(pipeline), *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="SIGINT is POSIX's")
def test_a_schedule_fires_and_its_run_finishes(port: int, tmp_path: Path, text_file: Path) -> None:
    pipeline = tmp_path / "pipeline.toml"
    pipeline.write_text('[stages.words]\ncommand = "toys:WORDS"\ntext = "text.txt"\n')
    assert densecorr("up", "--port", str(port), cwd=tmp_path).returncode == 0
    try:
        bad = densecorr("serve", str(pipeline), "--cron", "every night", cwd=tmp_path)
        assert bad.returncode == 2
        assert "every night" in bad.stderr
        arguments = ["serve", str(pipeline), "--interval", "15", "--store", str(tmp_path / "store")]
        serving = subprocess.Popen([sys.executable, "-m", "flows.cli", *arguments], cwd=tmp_path / "state")
        try:
            deadline = time.monotonic() + 120
            store = Store(tmp_path / "store")
            while not store.list() and time.monotonic() < deadline:
                time.sleep(0.5)
                assert serving.poll() is None
        finally:
            serving.send_signal(signal.SIGINT)
            serving.wait(timeout=60)
        assert [manifest.stage for manifest in store.list()] == ["words"]
        completed = newest_states(f"http://127.0.0.1:{port}/api")
        assert "COMPLETED" in completed
    finally:
        densecorr("down", cwd=tmp_path)


def newest_states(url: str) -> list[str]:
    import urllib.request

    body = json.dumps({"sort": "START_TIME_DESC", "limit": 10}).encode()
    request = urllib.request.Request(f"{url}/flow_runs/filter", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return [run["state"]["type"] for run in json.load(answer)]
