"""`densecorr --help` as a user runs it: a new process, from its start to its end."""

import resource
import subprocess
import sys

from .measure import Benchmark

COMMAND = (sys.executable, "-m", "flows.cli", "--help")


def prepare() -> Benchmark:
    """Nothing to prepare."""

    def run() -> None:
        subprocess.run(COMMAND, check=True, stdout=subprocess.DEVNULL)

    def check() -> None:
        shown = subprocess.run(COMMAND, check=True, stdout=subprocess.PIPE, text=True).stdout
        if "pseudo-label" not in shown:
            raise AssertionError("the help does not list the commands")

    return Benchmark(run, check, seconds=1.0, rounds=7, peak_mb=largest_child_mb)


def largest_child_mb() -> float:
    """Largest resident memory of any finished child process, MiB."""
    unit = 1 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit / 2**20
