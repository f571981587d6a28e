"""Processes that append acts or compact journals and may be killed; run by tests.

    python decision_processes.py append|compact|die-committed|die-unmarked FOLDER REVIEWER

`append` prints each act's id once `append` has returned, until it is killed or has appended 2000; the others
compact all journals of the store, the last two of them killed in between.
"""

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import storage
from densecorr.records import Decision
from densecorr.review.acts import new_decision_id
from storage import delta
from storage.artifacts import Store
from storage.decisions import compact
from storage.journal import Journal, journal_path

N_ACTS = 2000


def make_decision(number: int, reviewer: str = "ann", **changes: Any) -> Decision:
    """The number-th act of a reviewer: a point that moved."""
    values: dict[str, Any] = {
        "decision_id": new_decision_id(),
        "dataset_id": "d" * 20,
        "instance_id": f"coco/{number % 7}",
        "label_id": f"label/{number % 7}",
        "template_id": "person-v1",
        "producer": "p" * 20,
        "action": "move",
        "reviewer": reviewer,
        "time": datetime.now(UTC),
        "seconds": 1.5,
        "point_id": number,
        "before": {"points": {str(number): {"x": 1.0, "y": 2.5, "vertex": 3, "visible": True}}},
        "after": {"points": {str(number): {"x": 1.1, "y": 2.5, "vertex": 4, "visible": True}}},
    }
    return Decision(**{**values, **changes})


def start(command: str, folder: Path, name: str = "ann", n_ready: int = 1) -> subprocess.Popen[str]:
    """This file as a process of its own; a compactor waits until `n_ready` of them are there."""
    return subprocess.Popen(
        [sys.executable, __file__, command, folder, name],
        env={
            **os.environ,
            "PYTHONPATH": str(Path(storage.__file__).parents[1]),
            "OMP_NUM_THREADS": "1",
            "N_READY": str(n_ready),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def append(store: Store, reviewer: str) -> None:
    with Journal(journal_path(store, reviewer)) as journal:
        for number in range(N_ACTS):
            decision = make_decision(number, reviewer)
            journal.append(decision)
            print(decision.decision_id, flush=True)


def die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main(command: str, folder: Path, name: str) -> None:
    store = Store(folder)
    if command == "append":
        append(store, name)
        return
    if command == "die-committed":
        delta._flush = die
    if command == "die-unmarked":
        Journal.mark_compacted = die  # pyright: ignore[reportAttributeAccessIssue]
    (folder / f"ready-{name}").touch()
    while len(list(folder.glob("ready-*"))) < int(os.environ.get("N_READY", "1")):
        time.sleep(0.001)
    print(compact(store).n_added)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
