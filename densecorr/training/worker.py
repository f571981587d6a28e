"""One of several training processes: `python -m densecorr.training.worker FOLDER`, started by `launch.py`."""

import json
import os
import sys
import threading
from pathlib import Path

import numpy as np

from ..config import from_jsonable
from ..errors import DensecorrError
from .examples import open_examples
from .launch import JOB_FILE, LEVEL_FILE
from .prepare import TrainingLevel
from .processes import ManyProcesses
from .settings import TrainSettings
from .train import train


def main(work: Path) -> int:
    """Train this process's part; 0 when done, 1 with the error in `error-RANK.json`."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    rank = os.environ["RANK"]
    try:
        job = json.loads((work / JOB_FILE).read_text())
        settings = from_jsonable(TrainSettings, job["settings"])
        arrays = np.load(work / LEVEL_FILE, allow_pickle=False)
        level = TrainingLevel(
            **{name: array if array.ndim else array.item() for name, array in arrays.items()}
        )
        synthetic = work / "synthetic"
        train(
            Path(job["out"]),
            work / "state",
            open_examples(work / "real"),
            open_examples(synthetic) if (synthetic / "examples.json").exists() else None,
            level,
            settings,
            job["config"],
            progress=lambda done, total, text: _tell({"progress": [done, total, text]}),
            say=(lambda text: _tell({"say": text})) if rank == "0" else None,
            processes=ManyProcesses(settings.device, settings.precision),
        )
    except DensecorrError as error:
        found = {"kind": type(error).__name__, "args": list(error.args)}
        (work / f"error-{rank}.json").write_text(json.dumps(found))
        return 1
    return 0


def _tell(message: dict[str, object]) -> None:
    print(json.dumps(message), flush=True)


def _end_with_parent() -> None:
    """End this process when the one that started it has ended: then standard input is closed."""
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    code = main(Path(sys.argv[1]))
    sys.stdout.flush()
    os._exit(code)  # the thread that reads standard input would hold the interpreter up
