"""Ingest of a made-up LVIS file against `pycocotools.coco.COCO(file)`, which only reads it; each in its own process.

`python -m tests.benchmarks.ingest_lvis` takes the memory of the full size instead, through `densecorr ingest`: minutes,
and 2 GB of disk.
"""

import atexit
import functools
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from .lvis_files import N_ANNOTATIONS, Shape, write_lvis
from .measure import Benchmark, Comparison, Sizes

SCALE = 0.1
OURS = """
import sys
from pathlib import Path
from densecorr.datasets import CocoSettings
from flows.ingest import STAGE, Ingest
from flows.progress import StageProgress
from flows.stage import resolve_inputs
from storage.artifacts import Store
file, out = sys.argv[1:]
command = Ingest(file, str(Path(file).parent / "images"), "lvis", CocoSettings(check_images=False))
STAGE.write(Path(out), resolve_inputs(command, Store(Path(out).parent / "store")), command, StageProgress("ingest"))
"""
THEIRS = "import sys; from pycocotools.coco import COCO; COCO(sys.argv[1])"


@dataclass(frozen=True)
class Child:
    """What a finished child process took: seconds, and its largest resident memory in bytes."""

    seconds: float
    peak: int


def run_python(code: str, arguments: Sequence[str] = ()) -> Child:
    """Run a piece of Python in a new process.

    Raises:
        RuntimeError: it failed.
    """
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"a child process ended with {process.returncode}")
    unit = 1 if sys.platform == "darwin" else 2**10
    return Child(time.perf_counter() - start, usage.ru_maxrss * unit)


@functools.cache
def made_folder(scale: float, shape: Shape = "lvis") -> Path:
    """A folder with the file `lvis.json` of that scale and an empty folder of images; gone when the process ends."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    write_lvis(folder / "lvis.json", scale, shape=shape)
    (folder / "images").mkdir()
    return folder


def ingest(folder: Path) -> Child:
    """Write the data set of a made folder into `out` below it."""
    shutil.rmtree(folder / "out", ignore_errors=True)
    (folder / "out").mkdir()
    return run_python(OURS, [str(folder / "lvis.json"), str(folder / "out")])


def prepare(shape: Shape = "lvis", at_most: float | None = 0.8) -> Benchmark:
    """Seconds."""
    folder, last = made_folder(SCALE, shape), list[Child]()

    def ours() -> None:
        last[:] = [ingest(folder)]

    def check() -> None:
        n_rows = pq.ParquetFile(folder / "out" / "instances.parquet").metadata.num_rows
        if n_rows != round(N_ANNOTATIONS * SCALE):
            raise AssertionError(f"{n_rows} instances were written")

    baseline = Comparison("COCO(file)", lambda: run_python(THEIRS, [str(folder / "lvis.json")]), at_most)
    return Benchmark(ours, check, (baseline,), rounds=5, peak_mb=lambda: last[0].peak / 2**20)


def prepare_memory() -> Benchmark:
    """Largest resident memory beyond a bare interpreter's."""
    folder = made_folder(SCALE)
    bare = run_python("pass").peak
    theirs = run_python(THEIRS, [str(folder / "lvis.json")]).peak
    sizes = Sizes(lambda: ingest(folder).peak - bare, theirs - bare, 0.5)
    return Benchmark(lambda: None, lambda: None, sizes=sizes)


def main() -> None:
    """Time and memory of `densecorr ingest` on a file of the full size; the target is less than 2 GB."""
    folder = made_folder(1.0)
    names = {"--annotations": "lvis.json", "--images": "images", "--store": "store"}
    options = [part for option, name in names.items() for part in (option, str(folder / name))]
    command = ["ingest", *options, "--settings.no-check-images"]
    taken = run_python("from flows.cli import main; raise SystemExit(main())", command)
    print(f"{taken.seconds:.1f} s, {taken.peak / 10**9:.2f} GB at most")


if __name__ == "__main__":
    main()
