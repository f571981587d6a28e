"""The flows: the stages of a pipeline as Prefect tasks, each as soon as those it needs are done.

Prefect records and shows what runs. It decides nothing: the store knows what is already made (NO_CACHE),
tasks take and give short plain data (names, settings, artifact ids), and no result is pickled.
"""

import contextlib
import logging
import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from prefect import Flow, flow, get_client, task
from prefect.artifacts import create_link_artifact, create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
from prefect.client.schemas.objects import TaskRun
from prefect.concurrency.sync import concurrency
from prefect.events.worker import EventsWorker
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound, TerminationSignal
from prefect.futures import PrefectFuture, as_completed
from prefect.logging.handlers import APILogHandler
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import State
from prefect.task_runners import ThreadPoolTaskRunner

from densecorr.config import from_jsonable, to_jsonable
from storage.artifacts import Store

from .execute import StageResult, execute
from .expand import Node
from .pipeline import RunSettings, read_pipeline, with_ids
from .progress import request_stop
from .registry import load_stage
from .server import TEMPORARY_VARIABLE
from .session import say
from .stage import Stage

log = logging.getLogger("densecorr")  # client_environment has Prefect send its records to the server


def _is_passing(_task: Any, _run: TaskRun, state: State) -> bool:
    """Whether another try may help: a lost connection, not a mistake and not a bug."""
    return isinstance(state.result(raise_on_failure=False), ConnectionError | TimeoutError)


@task(
    task_run_name="{key}",
    cache_policy=NO_CACHE,
    retries=1,
    retry_delay_seconds=2,
    retry_condition_fn=_is_passing,
    persist_result=False,
    result_serializer="json",
)
def run_node(
    key: str, verb: str, settings: dict[str, Any], needs: dict[str, Any], store: str
) -> dict[str, Any]:
    """One run of one stage; `needs` holds the results of the stages that `settings` names as `@key`."""
    stage = load_stage(verb)
    node = Node(key, verb, stage, from_jsonable(stage.command, settings), tuple(needs))
    command = with_ids(node, {name: result["artifact_id"] for name, result in needs.items()})
    with gpu_slot(stage, command):
        return asdict(execute(stage, command, Store(store), key))


@contextlib.contextmanager
def gpu_slot(stage: Stage, command: Any) -> Iterator[None]:
    """For a stage that uses the GPU, a slot of the server's limit for this machine (1, unless raised).

    A temporary server serves one process, which `execute.gpu_lock` covers; it would also keep the slot of a
    killed run.
    """
    if stage.uses_gpu is None or not stage.uses_gpu(command) or TEMPORARY_VARIABLE in os.environ:
        yield
        return
    name = f"densecorr-gpu-{platform.node()}"
    with get_client(sync_client=True) as client:
        try:
            client.read_global_concurrency_limit_by_name(name)
        except ObjectNotFound:
            with contextlib.suppress(ObjectAlreadyExists):  # another run was quicker
                client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=name, limit=1))
    # a lease lost to a hiccup of the server does not end hours of work: execute.gpu_lock still holds
    with concurrency(name, strict=True, lease_duration=60, raise_on_lease_renewal_failure=False):
        yield


@flow(name="densecorr pipeline", persist_result=False, result_serializer="json")
def run_pipeline(pipeline: str, store: str) -> dict[str, dict[str, Any]]:
    """All stages of a pipeline file; the result maps a node's key to its `StageResult` as a dict."""
    read = read_pipeline(pipeline)
    return _run_nodes(read.nodes, read.settings, store)


@flow(name="densecorr stage", persist_result=False, result_serializer="json")
def run_command(verb: str, settings: dict[str, Any], store: str) -> dict[str, dict[str, Any]]:
    """One stage on its own, as the command line runs it."""
    stage = load_stage(verb)
    node = Node(stage.name, verb, stage, from_jsonable(stage.command, settings))
    return _run_nodes([node], RunSettings(), store)


def task_runner(settings: RunSettings) -> Any:
    """The Prefect task runner that the settings name."""
    return ThreadPoolTaskRunner(max_workers=settings.max_workers)


def _run_nodes(nodes: Sequence[Node], settings: RunSettings, store: str) -> dict[str, dict[str, Any]]:
    """Submit every node once those it needs are done, at most `max_workers` at a time.

    The first failure is raised; nothing new is started then, and the flow ends once what runs has ended.
    """
    if (
        log.level == logging.NOTSET
    ):  # not under the command line: the server gets our log lines, the terminal `say`'s
        log.setLevel(logging.INFO)
        log.propagate = False
    try:
        done = _submit_all(list(nodes), settings, store)
    except (KeyboardInterrupt, TerminationSignal):
        request_stop()  # the task runner waits for its threads
        raise
    results = {node.key: done[node.key].result() for node in nodes}
    _publish([StageResult(**result) for result in results.values()], Store(store))
    return results


def _submit_all(
    waiting: list[Node], settings: RunSettings, store: str
) -> dict[str, PrefectFuture[dict[str, Any]]]:
    running: dict[PrefectFuture[dict[str, Any]], str] = {}
    done: dict[str, PrefectFuture[dict[str, Any]]] = {}
    while waiting or running:
        ready = [node for node in waiting if all(key in done for key in node.needs)]
        for node in ready[: settings.max_workers - len(running)]:
            waiting.remove(node)
            needs = {key: done[key] for key in node.needs}
            future = run_node.submit(node.key, node.verb, to_jsonable(node.command), needs, store)
            running[future] = node.key
        future = next(as_completed(list(running)))
        key = running.pop(future)
        try:
            future.result()
        except Exception as error:
            if running:  # else the error is all there is to say
                say(f"{key}: {error}")
                say(f"{key} failed; {', '.join(running.values())} will be finished, nothing else is started")
            raise
        done[key] = future
    return done


def _publish(results: Sequence[StageResult], store: Store) -> None:
    """A table of the results, and links to the reports among them, on the page of the flow run."""
    rows = [
        f"| {r.key} | `{r.artifact_id}` | {'made' if r.made else 'kept'} | {r.seconds:.1f} |" for r in results
    ]
    create_markdown_artifact(
        "\n".join(["| stage | artifact | | seconds |", "| --- | --- | --- | --- |", *rows]),
        key="densecorr-results",
        description=f"Artifacts in {store.place.uri}",
    )
    for result in results:
        if any(entry.path == "report.html" for entry in store.manifest(result.artifact_id).files):
            link = (store.path(result.artifact_id) / "report.html").as_uri()
            create_link_artifact(link, link_text=f"{result.key}: report", key="densecorr-report")


def tracked(
    url: str, settings: RunSettings, the_flow: Flow[..., Any], *arguments: Any
) -> dict[str, StageResult]:
    """Call one of the flows above against the server at `url`."""
    with temporary_settings({PREFECT_API_URL: url}):
        try:
            results = the_flow.with_options(task_runner=task_runner(settings))(*arguments)
        finally:  # a temporary server is about to end
            APILogHandler().flush()
            EventsWorker.drain_all(timeout=5)
    return {key: StageResult(**result) for key, result in results.items()}
