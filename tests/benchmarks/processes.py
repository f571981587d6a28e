"""Commands as a user runs them: in a new process, from its start to its end."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Finished:
    """What a command wrote, and its largest resident memory (MiB, its own child processes included)."""

    stdout: str
    stderr: str
    peak_mb: float


def run_densecorr(arguments: Sequence[str], variables: dict[str, str] | None = None) -> Finished:
    """`densecorr ARGUMENTS` with more environment variables.

    Raises:
        RuntimeError: it failed; the message is what it wrote.
    """
    command = [sys.executable, "-m", "flows.cli", *arguments]
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        process = subprocess.Popen(command, stdout=out, stderr=err, env=os.environ | (variables or {}))
        _, status, usage = os.wait4(process.pid, 0)  # subprocess keeps no usage of a single child
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        unit = 1 if sys.platform == "darwin" else 2**10
        finished = Finished(out.read(), err.read(), usage.ru_maxrss * unit / 2**20)
    if process.returncode != 0:
        raise RuntimeError(
            f"densecorr {' '.join(arguments)} ended with {process.returncode}:\n{finished.stderr}"
        )
    return finished
