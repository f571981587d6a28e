"""A second run of a finished pipeline of 9 stages on tiny settings; the baseline is its first run."""

import atexit
import contextlib
import os
import tempfile
import time
from pathlib import Path

from .measure import Benchmark
from .processes import Finished, run_densecorr

PIPELINE = """
[stages.world]
settings = { category = "quadruped", n_train = 12, n_val = 6 }

[stages.ingest]
annotations = "@world/annotations.json"
images = "@world"

[stages.template]
category = "quadruped"
mesh = "quadruped"
settings = { n_coarse = 300, n_eigenpairs = 64 }

[stages.render]
template = "@template"
settings = { rig = { n_azimuths = 8 } }

[stages.features]
template = "@template"
views = "@render"

[stages.pseudo-label]
dataset = "@ingest"
template = "@template"
features = "@features"
category = "quadruped"
split = "train"

[stages.synthesise]
template = "@template"
category = "quadruped"
images = 6

[stages.train]
dataset = "@ingest"
template = "@template"
labels = "@pseudo-label"
category = "quadruped"
split = "train"
synthetic = "@synthesise"
settings = { steps = 8 }

[stages.evaluate]
dataset = "@ingest"
template = "@template"
labels = "@pseudo-label"
features = "@features"
models = ["@train"]
category = "quadruped"
split = "val"
"""


def prepare() -> Benchmark:
    """A new process each time, untracked: Python's start and all imports count, Prefect is not used."""
    folder = own_folder()
    arguments = ("run", str(write_pipeline(folder)), "--store", str(folder / "store"), "--track", "never")
    first, first_seconds = run_first(arguments)
    runs: list[Finished] = []

    def check() -> None:
        if runs[-1].stdout != first.stdout or runs[-1].stderr.count("was in the store") != 9:
            raise AssertionError(f"the second run was not the first's:\n{runs[-1].stderr}")

    return Benchmark(
        lambda: runs.append(run_densecorr(arguments)),
        check,
        seconds=3.0,
        first_seconds=first_seconds,
        peak_mb=lambda: runs[-1].peak_mb,
    )


def prepare_tracked() -> Benchmark:
    """Through Prefect, whose import and server's start are not counted: the flow run against a running server."""
    folder = own_folder()
    path, store = write_pipeline(folder), str(folder / "store")
    first, first_seconds = run_first(("run", str(path), "--store", store, "--track", "never"))
    stack = contextlib.ExitStack()
    atexit.register(stack.close)
    from flows.run_command import run_file
    from flows.server import temporary_server
    from flows.session import Session

    stack.enter_context(temporary_server())
    session = Session(store, "always")

    def check() -> None:
        results = run_file(path, session)
        if any(result.made for result in results.values()) or len(results) != 9:
            raise AssertionError("the second run made something again")
        if not all(result.artifact_id in first.stdout for result in results.values()):
            raise AssertionError("tracking changed an artifact")

    return Benchmark(lambda: run_file(path, session), check, seconds=3.0, first_seconds=first_seconds)


def write_pipeline(folder: Path) -> Path:
    """The pipeline's file; a stage's command is its name."""
    lines = []
    for line in PIPELINE.splitlines():
        lines.append(line)
        if line.startswith("[stages."):
            lines.append(f'command = "{line.removeprefix("[stages.").removesuffix("]")}"')
    path = folder / "pipeline.toml"
    path.write_text("\n".join(lines))
    return path


def own_folder() -> Path:
    """A folder for the store, the logs and Prefect's home, until this process ends; nothing of the user's is used."""
    kept = tempfile.TemporaryDirectory()
    atexit.register(kept.cleanup)
    folder = Path(kept.name)
    os.environ |= {"DENSECORR_STATE": str(folder / "state"), "PREFECT_HOME": str(folder / "prefect")}
    for name in ("PREFECT_API_URL", "PREFECT_PROFILE", "PREFECT_PROFILES_PATH", "DENSECORR_STORE"):
        os.environ.pop(name, None)
    return folder


def run_first(arguments: tuple[str, ...]) -> tuple[Finished, float]:
    """The run that makes everything, and its seconds."""
    started = time.perf_counter()
    return run_densecorr(arguments), time.perf_counter() - started
