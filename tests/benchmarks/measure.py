"""What a benchmark is, and how its time and memory are taken."""

import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Comparison:
    """Ours against one baseline; one row of the table.

    Attributes:
        name: of the row, after the benchmark's own name.
        baseline: does the same work another way; None where the target is a time.
        at_most: largest allowed ratio ours / baseline, or None for a row that only informs.
    """

    name: str
    baseline: Callable[[], object]
    at_most: float | None = None


@dataclass(frozen=True)
class Sizes:
    """Bytes instead of seconds: ours, measured by a call, against a baseline's number.

    Attributes:
        ours: gives the bytes.
        baseline: bytes.
        at_most: largest allowed ratio ours / baseline.
    """

    ours: Callable[[], int]
    baseline: int
    at_most: float


@dataclass(frozen=True)
class Waits:
    """Times that another program took of itself, such as a page in a browser; their 95th percentile counts.

    Attributes:
        name: of the row, after the benchmark's own name.
        seconds: all of them.
        at_most: largest allowed 95th percentile, seconds.
    """

    name: str
    seconds: Sequence[float]
    at_most: float


@dataclass(frozen=True)
class Benchmark:
    """One piece of work, prepared and ready to run.

    Attributes:
        ours: the product's way.
        check: compares answers with those of the baselines and raises if they differ.
        comparisons: the baselines.
        seconds: largest allowed time of ours, where that is the target.
        memory_mb: largest allowed extra memory of ours, MiB.
        rounds: how many times each is timed; in every round, each runs once.
        first_seconds: a baseline that can be taken only once, such as the first run of a pipeline.
        peak_mb: memory of the last call of ours, where it ran in another process.
        sizes: bytes to compare; then no time is taken.
        waits: gives times taken elsewhere, a row each; then none is taken here.
    """

    ours: Callable[[], object]
    check: Callable[[], None]
    comparisons: tuple[Comparison, ...] = ()
    seconds: float | None = None
    memory_mb: float | None = None
    rounds: int = 5
    first_seconds: float | None = None
    peak_mb: Callable[[], float] | None = None
    sizes: Sizes | None = None
    waits: Callable[[], Sequence[Waits]] | None = None


@dataclass(frozen=True)
class Row:
    """One line of `runs/bench.json`; `ratio` is ours / baseline, memory is MiB."""

    name: str
    ours_s: float | None
    baseline_s: float | None
    ratio: float | None
    peak_mb: float | None
    target: str
    met: bool


def measure(name: str, benchmark: Benchmark) -> tuple[list[Row], dict[str, list[float]]]:
    """Check the answers, then take memory and times; the rows, and all times by what was timed."""
    if benchmark.sizes is not None:
        return [size_row(name, benchmark.sizes)], {}
    if benchmark.waits is not None:
        found = benchmark.waits()
        return [wait_row(name, waits) for waits in found], {one.name: list(one.seconds) for one in found}
    peak = measure_peak(benchmark)
    benchmark.check()
    calls = {"ours": benchmark.ours} | {c.name: c.baseline for c in benchmark.comparisons}
    times = interleave(calls, benchmark.rounds)
    ours = statistics.median(times["ours"])
    rows = [
        make_row(f"{name}:{c.name}", benchmark, ours, statistics.median(times[c.name]), peak, c.at_most)
        for c in benchmark.comparisons
    ]
    if not rows:
        rows = [make_row(name, benchmark, ours, benchmark.first_seconds, peak, None)]
    return rows, times


def size_row(name: str, sizes: Sizes) -> Row:
    """The row of a comparison of bytes; its name says how many they are."""
    ours = sizes.ours()
    ratio = ours / sizes.baseline
    target = f"{1 / sizes.at_most:.0f}x smaller"
    label = f"{name} ({ours:,} against {sizes.baseline:,} bytes: {1 / ratio:.0f}x)"
    return Row(label, None, None, round(ratio, 6), None, target, ratio <= sizes.at_most)


def wait_row(name: str, waits: Waits) -> Row:
    """The row of times taken elsewhere."""
    p95 = statistics.quantiles(waits.seconds, n=20, method="inclusive")[-1]
    label = (
        f"{name}-{waits.name} (p95 of {len(waits.seconds)}, median {statistics.median(waits.seconds):.3f} s)"
    )
    target = f"p95 < {waits.at_most:g} s"
    return Row(label, round(p95, 4), None, None, None, target, p95 < waits.at_most)


def interleave(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Wall-clock seconds of each call in each round, so that a busy moment of the machine hits all of them."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            started = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - started)
    return times


def make_row(
    name: str,
    benchmark: Benchmark,
    ours: float,
    baseline: float | None,
    peak: float,
    at_most: float | None,
) -> Row:
    """The row, with its target in words and whether it is met."""
    ratio = None if baseline is None else ours / baseline
    targets, met = [], True
    if at_most is not None and ratio is not None:
        faster = f" ({1 / at_most:.0f}x faster)" if at_most <= 0.5 else ""
        targets.append(f"ratio <= {at_most:.3g}{faster}")
        met &= ratio <= at_most
    if benchmark.seconds is not None:
        targets.append(f"< {benchmark.seconds:g} s")
        met &= ours < benchmark.seconds
    if benchmark.memory_mb is not None and (at_most is not None or benchmark.seconds is not None):
        targets.append(f"< {benchmark.memory_mb:g} MB")
        met &= peak < benchmark.memory_mb
    return Row(
        name,
        round(ours, 4),
        None if baseline is None else round(baseline, 4),
        None if ratio is None else round(ratio, 4),
        round(peak, 1),
        ", ".join(targets) or "none (for comparison)",
        met,
    )


def measure_peak(benchmark: Benchmark) -> float:
    """MiB that the process grew by, at most, during its first call of ours: libraries loaded then included."""
    if benchmark.peak_mb is not None:
        benchmark.ours()
        return benchmark.peak_mb()
    before = _reset_peak()
    benchmark.ours()
    return max(0.0, _peak() - before)


def _reset_peak() -> float:
    """Memory now, MiB, with the kernel's high-water mark brought down to it where that is possible (Linux)."""
    if sys.platform.startswith("linux"):
        Path("/proc/self/clear_refs").write_text("5")
        return _peak()
    import psutil

    return psutil.Process().memory_info().rss / 2**20


def _peak() -> float:
    """The high-water mark of this process's resident memory, MiB."""
    if sys.platform.startswith("linux"):
        fields = dict(
            line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":" in line
        )
        return int(fields["VmHWM"].split()[0]) / 2**10
    unit = 1 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def to_plain(rows: Sequence[Row], times: dict[str, list[float]]) -> dict[str, Any]:
    """What a child process hands to its parent."""
    return {"rows": [asdict(row) for row in rows], "times": times}
