"""Running one stage, tracked or not: progress, messages, the GPU's lock, what came out."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .progress import Progress, StageProgress
from .session import logger, say, state_folder
from .stage import Stage, StageInputs, run_stage

if TYPE_CHECKING:
    from storage.artifacts import Store


@dataclass(frozen=True)
class StageResult:
    """What came of one run of a stage; `made` is False if the store had the artifact already."""

    key: str
    artifact_id: str
    made: bool
    seconds: float


def execute(stage: Stage, command: Any, store: "Store", key: str | None = None) -> StageResult:
    """Run a stage and tell the user; `key` is its name in a pipeline."""
    key = key or stage.name
    made = False
    started = time.perf_counter()

    def write(out: Path, inputs: StageInputs, command: Any, progress: Progress) -> None:
        nonlocal made
        made = True
        say(f"{key}: running")
        with (
            gpu_lock(key)
            if stage.uses_gpu is not None and stage.uses_gpu(command)
            else contextlib.nullcontext()
        ):
            stage.write(out, inputs, command, progress)

    with StageProgress(key) as progress:
        artifact_id = run_stage(replace(stage, write=write), command, store, progress)
    seconds = time.perf_counter() - started
    say(f"{key}: {artifact_id} " + (f"made in {seconds:.1f} s" if made else "was in the store"))
    return StageResult(key, artifact_id, made, seconds)


@contextlib.contextmanager
def gpu_lock(key: str) -> Iterator[None]:
    """One GPU stage of this user at a time on this machine; a killed process loses the lock."""
    from filelock import FileLock, Timeout

    lock = FileLock(state_folder() / "gpu.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say(f"{key}: waiting for the GPU, which another densecorr process uses")
        lock.acquire(poll_interval=1.0)
    try:
        logger.info("%s: has the GPU", key)
        yield
    finally:
        lock.release()
