"""Training in several processes on one machine: they are started here, followed, and ended together.

Each process is told its part by a job file and by a launcher's variables (RANK, WORLD_SIZE, MASTER_PORT ...). The
first one reports on its standard output; all end when this process does, as their standard input is closed then.
"""

import json
import os
import queue
import socket
import subprocess
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from .. import errors
from ..config import to_jsonable
from ..errors import DensecorrError, TrainingError
from .prepare import Say, TrainingLevel
from .settings import TrainSettings
from .train import Report

JOB_FILE, LEVEL_FILE = "job.json", "level.npz"


def train_together(
    n_processes: int,
    out: Path,
    work: Path,
    level: TrainingLevel,
    settings: TrainSettings,
    config: dict[str, Any],
    progress: Report | None = None,
    say: Say | None = None,
) -> None:
    """As `train`, in `n_processes` processes that share each batch.

    `work` holds the examples (`real`, and `synthetic` if there are any) and the state of a killed run.

    Raises:
        DensecorrError: what one of the processes raised.
        TrainingError: one of them ended otherwise; its log's end is in the message.
    """
    np.savez(work / LEVEL_FILE, **asdict(level))
    job = {"out": str(out.absolute()), "settings": to_jsonable(settings), "config": to_jsonable(config)}
    (work / JOB_FILE).write_text(json.dumps(job))
    for old in work.glob("error-*.json"):
        old.unlink()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    children = [_start(work, rank, n_processes, port) for rank in range(n_processes)]
    try:
        _follow(children, work, progress, say)
    finally:
        for child in children:
            child.kill()
        for child in children:
            child.wait()
            if child.stdin is not None:
                child.stdin.close()


def _start(work: Path, rank: int, n_processes: int, port: int) -> "subprocess.Popen[str]":
    environment = os.environ | {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(n_processes),
        "LOCAL_WORLD_SIZE": str(n_processes),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        # the launcher's own meeting point, if this process has one, is not the children's
        "TORCHELASTIC_USE_AGENT_STORE": "False",
    }
    with open(_log(work, rank), "w", encoding="utf-8") as log:
        return subprocess.Popen(
            [sys.executable, "-m", f"{__package__}.worker", str(work.absolute())],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE if rank == 0 else log,
            stderr=log,
            text=True,
        )


def _follow(
    children: "list[subprocess.Popen[str]]", work: Path, progress: Report | None, say: Say | None
) -> None:
    """Pass the first process's messages on until all have ended."""
    messages: queue.Queue[dict[str, Any]] = queue.Queue()
    reader = threading.Thread(target=_read, args=(children[0], messages), daemon=True)
    reader.start()
    while reader.is_alive() or not messages.empty() or any(child.poll() is None for child in children):
        for rank, child in enumerate(children):
            if child.poll() not in (None, 0):
                raise _failure(work, rank, child.returncode)
        try:
            message = messages.get(timeout=0.2)
        except queue.Empty:
            continue
        if "progress" in message and progress is not None:
            progress(*message["progress"])
        if "say" in message and say is not None:
            say(message["say"])
    for rank, child in enumerate(children):
        if child.returncode:
            raise _failure(work, rank, child.returncode)


def _read(child: "subprocess.Popen[str]", messages: "queue.Queue[dict[str, Any]]") -> None:
    assert child.stdout is not None
    with child.stdout as output:
        for line in output:
            if line.startswith("{"):  # a library may print something else
                messages.put(json.loads(line))


def _failure(work: Path, rank: int, code: int) -> DensecorrError:
    """The error a process left, or one made of its log's end."""
    for path in sorted(work.glob("error-*.json")):
        found = json.loads(path.read_text())
        return getattr(errors, found["kind"])(*found["args"])
    log = _log(work, rank)
    end = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-3:]
    return TrainingError(
        "every process to go on to the end",
        f"code {code} of process {rank}: {' / '.join(end)}",
        f"See {log}.",
    )


def _log(work: Path, rank: int) -> Path:
    return work / f"process-{rank}.log"
