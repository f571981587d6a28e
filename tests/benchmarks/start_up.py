"""`densecorr --help`."""

from .measure import Benchmark
from .processes import Finished, run_densecorr


def prepare() -> Benchmark:
    """Nothing to prepare."""
    runs: list[Finished] = []

    def check() -> None:
        if "pseudo-label" not in runs[-1].stdout:
            raise AssertionError("the help does not list the commands")

    return Benchmark(
        lambda: runs.append(run_densecorr(["--help"])),
        check,
        seconds=1.0,
        rounds=9,
        peak_mb=lambda: runs[-1].peak_mb,
    )
