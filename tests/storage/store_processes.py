"""Processes that use one store at once or die on the way; run by tests, prints one JSON object.

    python store_processes.py kill|kill-shards|race|share local|objects FOLDER

The processes are forks of this one, which holds no threads: hundreds of them in a second or two.
"""

import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from atomic_objects import AtomicObjects
from pyarrow import fs

from densecorr.errors import ArtifactError
from storage.artifacts import Store
from storage.recipe import Recipe
from storage.shards import finished_shards, write_shard

CHANGES = ("os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.utime", "os.truncate")
RECIPE = Recipe("toy", 1, {"n": 3})
N_SHARDS = 3


class Countdown:
    """Kills this process, as the system would, at the n-th change to the file system."""

    def __init__(self, n: int) -> None:
        self.left = n

    def __call__(self, operation: str) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def audit(self, event: str, arguments: tuple) -> None:
        writes = (
            event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        )
        if event in CHANGES or writes:
            self(event)


def open_store(kind: str, folder: Path, before: Callable[[str], None] = lambda operation: None) -> Store:
    if kind == "local":
        return Store(folder / "store")
    (folder / "store").mkdir(exist_ok=True)
    objects = fs.PyFileSystem(AtomicObjects(before))
    return Store(str(folder / "store"), filesystem=objects, cache=folder / "cache")


def write_toy(directory: Path) -> None:
    """Three files, one of them in a folder; the first is half-written at one of the counted changes."""
    with open(directory / "a.bin", "wb") as file:
        file.write(b"a" * 1000)
        file.flush()
        os.utime(directory / "a.bin")
        file.write(b"b" * 1000)
    (directory / "inner").mkdir(exist_ok=True)
    (directory / "inner" / "c.bin").write_bytes(b"c" * 3000)
    (directory / "d.bin").write_bytes(b"")


def write_shards(directory: Path) -> None:
    """Three shards; whoever wrote one says so in a log beside the store."""
    done = finished_shards(directory)
    for index in range(N_SHARDS):
        if index not in done:
            write_shard(
                directory,
                index,
                lambda path, index=index: path.write_bytes(bytes([index]) * 1000),
                suffix=".bin",
            )
            with open(directory.parents[2].parent / "log.txt", "a") as log:
                log.write(f"{index} {os.getpid()}\n")


def fork(body: Callable[[], None]) -> int:
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            body()
            code = 0
        finally:
            os._exit(code)
    return pid


def was_killed(pid: int) -> bool:
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        return os.WTERMSIG(status) == signal.SIGKILL
    assert os.WEXITSTATUS(status) == 0, "the process failed by itself"
    return False


def state_of(store: Store) -> str:
    """'none' or 'whole'; anything else is what must not be."""
    try:
        artifact_id = store.lookup(RECIPE)
    except ArtifactError as error:
        return f"unreadable: {error}"
    if artifact_id is None:
        return "none"
    problems = store.verify(artifact_id)
    return "whole" if not problems else f"damaged: {problems}"


def kill_at_every_step(kind: str, folder: Path, *, shards: bool) -> list[dict]:
    """For n = 1, 2, ...: a run killed at its n-th change, what it left, and a second run."""
    write = write_shards if shards else write_toy
    steps = []
    for n in range(1, 1000):
        shutil.rmtree(folder)
        folder.mkdir()

        def run(n: int = n) -> None:
            countdown = Countdown(n)
            sys.addaudithook(countdown.audit)
            store = open_store(kind, folder, countdown)
            store.path(store.ensure(RECIPE, write, shards=shards))

        killed = was_killed(fork(run))
        store = open_store(kind, folder)
        left = state_of(store)
        log = (folder / "log.txt").read_text().splitlines() if (folder / "log.txt").exists() else []
        artifact_id = store.ensure(RECIPE, write, shards=shards)
        path = store.path(artifact_id)
        names = sorted(str(p.relative_to(path)) for p in path.rglob("*") if p.is_file())
        log_after = (folder / "log.txt").read_text().splitlines() if (folder / "log.txt").exists() else []
        store.tag("kept", artifact_id)
        store.gc(delete=True, min_age_s=0)
        steps.append(
            {
                "killed": killed,
                "left": left,
                "after": state_of(store),
                "names": names,
                "shards_before": len(log),
                "shards_written": len(log_after),
                "litter": litter(kind, folder, artifact_id),
            }
        )
        if not killed:
            break
    return steps


def litter(kind: str, folder: Path, artifact_id: str) -> list[str]:
    """What is left besides the artifact and its tag after gc, relative to the folder."""
    work = folder / ("store" if kind == "local" else "cache")
    left = list((work / "drafts").glob("*")) + [p for p in folder.rglob("*") if p.name.startswith(".tmp-")]
    uploads = [p for p in (folder / "store" / "artifacts" / artifact_id).iterdir() if p.is_dir()]
    if kind == "objects" and len(uploads) != 1:
        left += uploads
    return sorted(str(path.relative_to(folder)) for path in left)


def race(kind: str, folder: Path) -> dict:
    """Three processes fill drafts of one recipe at the same time, with different bytes; ten rounds."""
    rounds = []
    for index in range(10):
        recipe = Recipe("toy", 1, {"round": index})
        gate = folder / f"gate-{index}"
        gate.mkdir()

        def run(recipe: Recipe = recipe, gate: Path = gate) -> None:
            def write(directory: Path) -> None:
                (gate / str(os.getpid())).touch()
                while len(list(gate.iterdir())) < 3:  # all of them are writing now
                    time.sleep(0.001)
                for name in "abc":
                    (directory / name).write_text(f"{os.getpid()}" * 100)

            artifact_id = open_store(kind, folder).ensure(recipe, write)
            assert artifact_id == recipe.digest()

        pids = [fork(run) for _ in range(3)]
        killed = [was_killed(pid) for pid in pids]
        store = open_store(kind, folder)
        path = store.path(recipe.digest())
        contents = {(path / name).read_text() for name in "abc"}
        rounds.append({"killed": killed, "n_contents": len(contents), "problems": len(store.verify())})
    drafts = folder / ("store" if kind == "local" else "cache") / "drafts"
    return {"rounds": rounds, "drafts": sorted(p.name for p in drafts.glob("*"))}


def share_shards(kind: str, folder: Path) -> dict:
    """Two processes make the same artifact by shards at once: one works, the other waits."""

    def run() -> None:
        def write(directory: Path) -> None:
            time.sleep(0.3)  # the other one is at the lock by now
            write_shards(directory)

        open_store(kind, folder).ensure(RECIPE, write, shards=True)

    killed = [was_killed(pid) for pid in [fork(run), fork(run)]]
    log = (folder / "log.txt").read_text().splitlines()
    return {"killed": killed, "log": log, "state": state_of(open_store(kind, folder))}


if __name__ == "__main__":
    command, kind, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    if command == "race":
        result: object = race(kind, folder)
    elif command == "share":
        result = share_shards(kind, folder)
    else:
        result = kill_at_every_step(kind, folder / "work", shards=command == "kill-shards")
    print(json.dumps(result))
