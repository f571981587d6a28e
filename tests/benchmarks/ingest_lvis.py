"""Ingest of a made-up LVIS file against `pycocotools.coco.COCO(file)`, which only reads it; each in its own process."""

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

from .lvis_files import write_lvis
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
def made_folder(scale: float) -> Path:
    """A folder with the file `lvis.json` of that scale and an empty folder of images; gone when the process ends."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    write_lvis(folder / "lvis.json", scale)
    (folder / "images").mkdir()
    return folder


def ingest(scale: float) -> Child:
    """Write the data set into `<made folder>/out`."""
    folder = made_folder(scale)
    shutil.rmtree(folder / "out", ignore_errors=True)
    (folder / "out").mkdir()
    return run_python(OURS, [str(folder / "lvis.json"), str(folder / "out")])


def prepare(scale: float = SCALE) -> Benchmark:
    """Seconds."""
    file = made_folder(scale) / "lvis.json"

    def check() -> None:
        n_rows = pq.ParquetFile(file.parent / "out" / "instances.parquet").metadata.num_rows
        if n_rows != round(1_270_141 * scale):
            raise AssertionError(f"{n_rows} instances were written")

    baseline = Comparison("COCO(file)", lambda: run_python(THEIRS, [str(file)]), 0.8)
    return Benchmark(lambda: ingest(scale), check, (baseline,), rounds=3)


def prepare_memory(scale: float = SCALE) -> Benchmark:
    """Largest resident memory beyond a bare interpreter's."""
    bare = run_python("pass").peak
    theirs = run_python(THEIRS, [str(made_folder(scale) / "lvis.json")]).peak
    sizes = Sizes(lambda: ingest(scale).peak - bare, theirs - bare, 0.5)
    return Benchmark(lambda: ingest(scale), lambda: None, sizes=sizes, rounds=1)


def prepare_full_memory() -> Benchmark:
    """The full size, in less than 2 GB."""
    return Benchmark(
        lambda: ingest(1.0), lambda: None, sizes=Sizes(lambda: ingest(1.0).peak, 2 * 10**9, 1.0), rounds=1
    )
