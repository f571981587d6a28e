"""Whole or nothing: runs killed at every change they make, and several making one artifact at once."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import storage

HERE = Path(__file__).parent

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the processes are forks")


@pytest.fixture
def folder() -> Iterator[Path]:
    """In memory where the system offers it: thousands of flushes to a busy disk take minutes."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as name:
        yield Path(name)


def run_processes(command: str, kind: str, folder: Path) -> Any:
    """The report of tests/storage/store_processes.py."""
    (folder / "work").mkdir()
    paths = [str(HERE), str(Path(storage.__file__).parents[1])]
    done = subprocess.run(
        [sys.executable, HERE / "store_processes.py", command, kind, folder],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("kind", ["local", "objects"])
def test_a_run_killed_at_any_change_leaves_a_whole_artifact_or_none(kind: str, folder: Path) -> None:
    steps = run_processes("kill", kind, folder)
    assert len(steps) > 15
    assert [step["killed"] for step in steps] == [True] * (len(steps) - 1) + [False]
    states = [step["left"] for step in steps]
    n_before = states.index("whole")
    assert n_before > 10
    assert states == ["none"] * n_before + ["whole"] * (len(steps) - n_before)
    for step in steps:
        assert step["after"] == "whole"
        assert step["names"] == ["a.bin", "d.bin", "inner/c.bin", "manifest.json"]
        assert step["litter"] == []


@pytest.mark.parametrize("kind", ["local", "objects"])
def test_a_killed_run_resumes_after_its_last_shard(kind: str, folder: Path) -> None:
    steps = run_processes("kill-shards", kind, folder)
    assert {step["left"] for step in steps} == {"none", "whole"}
    assert {step["shards_before"] for step in steps if step["killed"] and step["left"] == "none"} == {
        0,
        1,
        2,
        3,
    }
    for step in steps:
        assert step["after"] == "whole"
        assert step["names"] == ["manifest.json", *(f"shard-{index:05d}.bin" for index in range(3))]
        assert step["shards_written"] <= 3  # none twice
        assert step["litter"] == []


@pytest.mark.parametrize("kind", ["local", "objects"])
def test_three_processes_publish_the_same_artifact_at_once(kind: str, folder: Path) -> None:
    report = run_processes("race", kind, folder)
    assert report["rounds"] == [{"killed": [False] * 3, "n_contents": 1, "problems": 0}] * 10
    assert report["drafts"] == []


@pytest.mark.parametrize("kind", ["local", "objects"])
def test_of_two_processes_with_shards_one_works_and_one_waits(kind: str, folder: Path) -> None:
    report = run_processes("share", kind, folder)
    assert report["killed"] == [False, False]
    assert [line.split()[0] for line in report["log"]] == ["0", "1", "2"]
    assert len({line.split()[1] for line in report["log"]}) == 1
    assert report["state"] == "whole"
