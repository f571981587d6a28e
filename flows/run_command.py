"""`densecorr run`, and how any stage is run: through Prefect when it is tracked, else by a plain call."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from tyro.conf import Positional

from densecorr.config import to_jsonable

from .execute import StageResult, execute
from .pipeline import Pipeline, RunSettings, read_pipeline, with_ids
from .plan import admit_pipeline
from .progress import request_stop
from .server import reachable_server, tracking_server
from .session import Session, say
from .stage import Stage


@dataclass(frozen=True)
class Run:
    """Run a pipeline file. What the store holds already is not made again, so run it again after any stop."""

    pipeline: Positional[Path]
    """The TOML file; `densecorr init` writes one."""
    dry_run: bool = False
    """Only say what would run, what is in the store, and the disk it needs."""

    def __call__(self, session: Session) -> None:
        """Print one line a stage: its name and its artifact."""
        pipeline = read_pipeline(self.pipeline)
        if self.dry_run:
            from .plan import format_plan, plan_pipeline

            store = session.store
            print(format_plan(plan_pipeline(pipeline, store), store))
            return
        results = run_file(self.pipeline, session)
        width = max(len(key) for key in results)
        for key, result in results.items():
            print(f"{key:<{width}}  {result.artifact_id}")


def run_file(path: Path, session: Session) -> dict[str, StageResult]:
    """Run a pipeline file; the result of every node by its key. Tracked unless the user said never."""
    pipeline = read_pipeline(path)
    admit_pipeline(pipeline, session.store)
    if session.track == "never":
        return _run_directly(pipeline, session)
    with tracking_server() as url, stopping_on_signals():
        from . import run

        return run.tracked(url, pipeline.settings, run.run_pipeline, str(path.absolute()), session.store_uri)


def run_one(stage: Stage, verb: str, command: Any, session: Session) -> StageResult:
    """Run one stage: tracked if a server answers (or the user said always), else called directly."""
    if session.track == "never" or (session.track == "auto" and reachable_server() is None):
        if session.track == "auto":
            say("no Prefect server answers: running without tracking (`densecorr up` starts one)")
        with stopping_on_signals():
            return execute(stage, command, session.store)
    with tracking_server() as url, stopping_on_signals():
        from . import run

        settings = to_jsonable(command)
        results = run.tracked(url, RunSettings(), run.run_command, verb, settings, session.store_uri)
        return results[stage.name]


def _run_directly(pipeline: Pipeline, session: Session) -> dict[str, StageResult]:
    store = session.store
    results: dict[str, StageResult] = {}
    with stopping_on_signals():
        for node in pipeline.nodes:
            command = with_ids(node, {key: result.artifact_id for key, result in results.items()})
            results[node.key] = execute(node.stage, command, store, node.key)
    return results


@contextlib.contextmanager
def stopping_on_signals() -> Iterator[None]:
    """Ctrl-C (or SIGTERM) once: `progress.request_stop`. Twice: end at once, which is safe too."""
    asked = False

    def stop(number: int, _frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            os._exit(128 + number)
        asked = True
        say("stopping (again to stop at once)")
        request_stop()
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield  # a server's or a test's thread: signals are the main thread's business
        return
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
