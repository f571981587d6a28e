"""Pipelines through Prefect, against a real temporary server."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import toys

from densecorr.errors import MeshError
from flows import cli
from flows.execute import StageResult
from flows.progress import STOP_PATIENCE_S
from flows.run_command import run_file, run_one
from flows.server import TEMPORARY_VARIABLE, temporary_server
from flows.session import Session
from storage.artifacts import Store


@pytest.fixture(scope="module")
def server(_own_homes: None) -> Iterator[str]:
    with temporary_server() as url:
        yield url


@pytest.fixture
def session(server: str, tmp_path: Path) -> Session:
    return Session(str(tmp_path / "store"))


def ask(server: str, path: str, **question: object) -> list[dict[str, Any]]:
    """What the server's REST API answers."""
    body = json.dumps(question).encode()
    request = urllib.request.Request(f"{server}/{path}", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def write_pipeline(folder: Path, text: str) -> Path:
    path = folder / "pipeline.toml"
    path.write_text(text)
    return path


WORDS = '[stages.words]\ncommand = "toys:WORDS"\ntext = "text.txt"\n'
EIGHT = (
    '[templates]\ncow = "body"\ndog = "text.txt"\n'
    + WORDS
    + '[stages.count]\ncommand = "toys:COUNT"\nwords = "@words"\n'
    + '[stages.bs]\ncommand = "toys:COUNT"\nwords = "@words"\nsettings.letter = "b"\n'
    + '[stages.total]\ncommand = "toys:TOTAL"\ncounts = "@count"\n'
    + '[stages.sum]\ncommand = "toys:TOTAL"\ncounts = ["@bs[cow]", "@count[dog]"]\n'
    + '[stages.again]\ncommand = "toys:WORDS"\ntext = "@words/words.txt"\nupper = true\n'
)


def test_a_pipeline_runs_once_and_a_second_run_makes_nothing(text_file: Path, session: Session) -> None:
    path = write_pipeline(text_file.parent, EIGHT)
    first = run_file(path, session)
    assert len(first) == 8
    assert all(result.made for result in first.values())
    store = session.store
    assert (store.path(first["total"].artifact_id) / "total.txt").read_text() == "6"
    assert (store.path(first["sum"].artifact_id) / "total.txt").read_text() == "8"
    second = run_file(path, session)
    assert not any(result.made for result in second.values())
    assert {key: result.artifact_id for key, result in second.items()} == {
        key: result.artifact_id for key, result in first.items()
    }


def test_tracking_does_not_change_a_result(text_file: Path, session: Session, tmp_path: Path) -> None:
    path = write_pipeline(text_file.parent, EIGHT)
    direct = run_file(path, Session(str(tmp_path / "other"), "never"))
    tracked = run_file(path, session)
    ids = {key: result.artifact_id for key, result in direct.items()}
    assert {key: result.artifact_id for key, result in tracked.items()} == ids
    stores = [Store(tmp_path / name) for name in ("other", "store")]
    for artifact_id in ids.values():
        one, other = ([(f.path, f.sha256) for f in store.manifest(artifact_id).files] for store in stores)
        assert one == other


def test_stages_that_do_not_wait_for_each_other_run_at_once(session: Session, tmp_path: Path) -> None:
    """Each waits for a file that the other makes."""
    files = tmp_path / "1", tmp_path / "2"
    both = "".join(
        f'[stages.s{n}]\ncommand = "toys:SLOW"\nseconds = 0.1\nmark = "{mark}"\nuntil = "{until}"\n'
        for n, mark, until in ((1, *files), (2, *reversed(files)))
    )
    results = run_file(write_pipeline(tmp_path, both), session)
    assert [result.made for result in results.values()] == [True, True]


def test_at_most_max_workers_stages_run_at_once(session: Session, tmp_path: Path) -> None:
    slow = "".join(f'[stages.s{n}]\ncommand = "toys:SLOW"\nseconds = 0.{n}\n' for n in (3, 4))
    results = run_file(write_pipeline(tmp_path, "[run]\nmax_workers = 1\n" + slow), session)
    ends = sorted(
        float((session.store.path(result.artifact_id) / "slept.txt").read_text())
        for result in results.values()
    )
    assert ends[1] - ends[0] > 0.3


def test_a_failure_keeps_what_is_finished(
    text_file: Path, session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = WORDS + '[stages.bad]\ncommand = "toys:BROKEN"\nafter = ["@words"]\n'
    broken += '[stages.never]\ncommand = "toys:SLOW"\nafter = ["@bad"]\n'
    path = write_pipeline(text_file.parent, broken)
    with pytest.raises(MeshError, match="3 holes"):
        run_file(path, session)
    assert [manifest.stage for manifest in session.store.list()] == ["words"]
    assert cli.main(["run", str(path), "--store", session.store_uri]) == 2
    shown = capsys.readouterr().err
    assert "words: " in shown
    assert "was in the store" in shown
    assert shown.splitlines()[-2] == "error: Expected a closed mesh; received 3 holes. Close them."
    path.write_text(broken.replace('after = ["@words"]', 'after = ["@words"]\nkind = "bug"'))
    assert cli.main(["run", str(path), "--store", session.store_uri]) == 1
    log = Path(capsys.readouterr().err.splitlines()[-1].removeprefix("log: ")).read_text()
    assert "ZeroDivisionError: one over nothing" in log
    assert "Traceback" in log


def test_a_failure_is_said_at_once_and_what_runs_is_finished(
    session: Session, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begun = tmp_path / "begun"  # slow sleeps only from when bad has begun
    text = f'[stages.slow]\ncommand = "toys:SLOW"\nuntil = "{begun}"\n'
    text += f'[stages.bad]\ncommand = "toys:BROKEN"\nmark = "{begun}"\n'
    text += '[stages.never]\ncommand = "toys:SLOW"\nafter = ["@slow"]\n'
    with pytest.raises(MeshError):
        run_file(write_pipeline(tmp_path, text), session)
    said = capsys.readouterr().err
    assert said.index("3 holes") < said.index("slow will be finished") < said.index("made in")
    assert [manifest.stage for manifest in session.store.list()] == ["slow"]


def test_one_stage_is_tracked_when_a_server_answers(
    text_file: Path, session: Session, server: str, capsys: pytest.CaptureFixture[str]
) -> None:
    result = run_one(toys.WORDS, "toys:WORDS", toys.Words(str(text_file)), session)
    assert isinstance(result, StageResult)
    assert result.made
    assert "without tracking" not in capsys.readouterr().err
    (newest,) = ask(server, "flow_runs/filter", sort="START_TIME_DESC", limit=1)
    assert newest["parameters"]["verb"] == "toys:WORDS"
    assert newest["state"]["type"] == "COMPLETED"


def test_the_flow_run_has_a_table_and_a_link_to_the_report(
    text_file: Path, session: Session, server: str
) -> None:
    results = run_file(write_pipeline(text_file.parent, EIGHT), session)
    found = ask(server, "artifacts/filter", sort="CREATED_DESC", limit=5)
    table = next(artifact for artifact in found if artifact["key"] == "densecorr-results")
    assert all(result.artifact_id in table["data"] for result in results.values())
    links = [artifact["data"] for artifact in found if artifact["key"] == "densecorr-report"]
    assert any(results["total"].artifact_id in link and "report.html" in link for link in links)


def test_a_lost_connection_is_tried_again_and_a_mistake_is_not(session: Session, tmp_path: Path) -> None:
    lost, mistake = tmp_path / "lost.txt", tmp_path / "mistake.txt"
    text = '[stages.flaky]\ncommand = "toys:FLAKY"\nmemory = '
    assert run_file(write_pipeline(tmp_path, f'{text}"{lost}"\n'), session)["flaky"].made
    with pytest.raises(MeshError):
        run_file(write_pipeline(tmp_path, f'{text}"{mistake}"\nlost = false\n'), session)
    assert lost.read_text().count("tried") == 2
    assert mistake.read_text().count("tried") == 1


def test_gpu_stages_take_turns(session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(
        TEMPORARY_VARIABLE
    )  # as against a server that stays, where the server's limit counts too
    slow = "".join(f'[stages.s{n}]\ncommand = "toys:SLOW"\nseconds = 0.{n}\ngpu = true\n' for n in (3, 4))
    results = run_file(write_pipeline(tmp_path, slow), session)
    ends = sorted(
        float((session.store.path(result.artifact_id) / "slept.txt").read_text())
        for result in results.values()
    )
    assert ends[1] - ends[0] > 0.3


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX's")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stage_that_does_not_listen_is_not_waited_for(
    number: signal.Signals, tmp_path: Path, session: Session
) -> None:
    path = write_pipeline(tmp_path, '[stages.deaf]\ncommand = "toys:SLOW"\nseconds = 90\nstep = 90\n')
    process = subprocess.Popen(
        [sys.executable, "-m", "flows.cli", "run", str(path), "--store", session.store_uri],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    while "running" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(number)
    _, said = process.communicate(timeout=STOP_PATIENCE_S + 30)
    assert process.returncode == 130
    assert "finished work is kept" in said


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX's")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_stops_every_stage_of_a_pipeline(
    number: signal.Signals, text_file: Path, session: Session, server: str
) -> None:
    slow = "".join(
        f'[stages.s{n}]\ncommand = "toys:SLOW"\nseconds = 6{n}\nafter = ["@words"]\n' for n in (1, 2)
    )
    path = write_pipeline(text_file.parent, WORDS + slow)
    arguments = ["run", str(path), "--store", session.store_uri]
    process = subprocess.Popen(
        [sys.executable, "-m", "flows.cli", *arguments], stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    lines: list[str] = []
    while sum("running" in line for line in lines) < 3:
        lines.append(process.stderr.readline())
        assert process.poll() is None
    process.send_signal(number)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "finished work is kept" in said
    assert "Traceback" not in said
    assert [manifest.stage for manifest in session.store.list()] == ["words"]
    (newest,) = ask(server, "flow_runs/filter", sort="START_TIME_DESC", limit=1)
    assert newest["state"]["type"] == "CRASHED"
