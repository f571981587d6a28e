"""The command line from outside: quick help, exit codes, one readable line, and the log."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command_line import densecorr

from flows import cli
from flows.registry import STAGES, TOOLS, Entry
from flows.session import N_KEPT_LOGS, state_folder, store_uri

ARTIFACT = re.compile(r"[0-9a-f]{20}\n")


def test_help_is_quick_and_lists_every_command(tmp_path: Path) -> None:
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        done = densecorr("--help", cwd=tmp_path)
        seconds.append(time.perf_counter() - start)
        assert done.returncode == 0
    assert min(seconds) < 1.0
    listed = re.findall(r"^  ([a-z][a-z-]*)  ", done.stdout, flags=re.MULTILINE)
    assert listed == [entry.name for entry in (*STAGES, *TOOLS)]


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys, flows.cli; flows.cli.main(['--help']);"
        "print([m for m in ('numpy', 'pyarrow', 'tyro', 'torch', 'prefect', 'fiftyone') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("entry", [*STAGES, *TOOLS], ids=lambda entry: entry.name)
def test_every_command_has_its_code_and_prints_its_options(
    entry: Entry, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main([entry.name, "--help"])
    assert end.value.code == 0
    assert f"densecorr {entry.name}" in capsys.readouterr().out


def test_a_stage_prints_its_artifact_and_says_that_it_is_not_tracked(text_file: Path, tmp_path: Path) -> None:
    first = densecorr("toys:WORDS", "--text", str(text_file), "--store", "s", cwd=tmp_path)
    assert first.returncode == 0
    assert ARTIFACT.fullmatch(first.stdout)
    assert "without tracking" in first.stderr
    second = densecorr(
        "toys:WORDS", "--text", str(text_file), "--store", "s", "--track", "never", cwd=tmp_path
    )
    assert second.stdout == first.stdout
    assert "was in the store" in second.stderr
    assert "tracking" not in second.stderr
    listed = densecorr("store", "ls", "--store", str(tmp_path / "s"), cwd=tmp_path)
    assert first.stdout[:12] in listed.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["toys:BROKEN"], 2, "error: Expected a closed mesh; received 3 holes. Close them."),
        (["toys:BROKEN", "--kind", "bug"], 1, "unexpected ZeroDivisionError: one over nothing"),
        (["ingset"], 2, "Did you mean 'ingest'?"),
        (["toys:NOTHING"], 2, "import path"),
        (["run", "nowhere.toml"], 2, "nowhere.toml"),
        (["store", "show", "feed"], 2, "feed"),
    ],
)
def test_an_error_is_one_line_with_the_log(
    arguments: list[str], code: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*arguments, "--store", str(tmp_path / "store"), "--track", "never"]) == code
    shown = capsys.readouterr().err
    assert said in shown
    assert "Traceback" not in shown
    log = Path(shown.splitlines()[-1].removeprefix("log: ")).read_text()
    assert "Traceback" in log


def test_options_that_no_command_knows_exit_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["toys:WORDS", "--txet", "a"])
    assert end.value.code == 2
    assert cli.main([]) == 2
    assert cli.main(["--version"]) == 0
    assert "usage: densecorr COMMAND" in capsys.readouterr().out


def test_which_store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert store_uri(None) == str(tmp_path / "runs" / "store")
    monkeypatch.setenv("DENSECORR_STORE", "elsewhere")
    assert store_uri(None) == str(tmp_path / "elsewhere")
    assert store_uri("s3://bucket/store") == "s3://bucket/store"


def test_old_logs_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DENSECORR_STATE", str(tmp_path))
    folder = state_folder() / "logs"
    folder.mkdir(exist_ok=True)
    for index in range(60):
        (folder / f"20000101-0000{index:02d}-run-1.log").write_text("old")
    assert cli.main(["toys:NOTHING"]) == 2
    logs = sorted(folder.glob("*.log"))
    assert len(logs) == N_KEPT_LOGS
    assert str(logs[-1]) in capsys.readouterr().err


def test_a_pipeline_runs_and_runs_again_without_prefect(
    text_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pipeline = tmp_path / "pipeline.toml"
    pipeline.write_text('[stages.words]\ncommand = "toys:WORDS"\ntext = "text.txt"\n')
    arguments = ["run", str(pipeline), "--store", str(tmp_path / "store"), "--track", "never"]
    assert cli.main([*arguments, "--dry-run"]) == 0
    assert "1 to run" in capsys.readouterr().out
    assert cli.main(arguments) == 0
    first = capsys.readouterr()
    assert "made in" in first.err
    assert cli.main(arguments) == 0
    second = capsys.readouterr()
    assert second.out == first.out
    assert "was in the store" in second.err


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX's")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_stops_a_stage_and_leaves_no_artifact(number: signal.Signals, tmp_path: Path) -> None:
    arguments = ["toys:SLOW", "--seconds", "60", "--store", "s", "--track", "never"]
    process = subprocess.Popen(
        [sys.executable, "-m", "flows.cli", *arguments], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    while "running" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(number)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "finished work is kept" in said
    assert not list((tmp_path / "s").glob("artifacts/*"))


@pytest.mark.skipif(os.name == "nt", reason="no head")
def test_a_reader_that_goes_away_is_no_error(text_file: Path, tmp_path: Path) -> None:
    for index in range(3):
        text_file.write_text(str(index))
        assert densecorr("toys:WORDS", "--text", str(text_file), "--store", "s", cwd=tmp_path).returncode == 0
    command = f"{sys.executable} -m flows.cli store ls --store s"
    done = subprocess.run(
        f"({command}; echo $? >code) | true", shell=True, cwd=tmp_path, capture_output=True, text=True
    )
    assert "Traceback" not in done.stderr
    assert (tmp_path / "code").read_text().strip() == "0"
