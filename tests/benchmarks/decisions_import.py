"""An import of 100,000 decisions against storing each by itself, as acts of a panel are.

The baseline is the time of 500 flushed appends to a journal, once, times 200; the later compaction is not counted.
Both include making the decisions, which stream in.
"""

import itertools
import shutil
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from densecorr.records import Decision
from storage.artifacts import Store
from storage.decisions import append_decisions, read_decision_table, read_decisions
from storage.journal import Journal

from .measure import Benchmark

N_DECISIONS, N_SINGLE = 100_000, 500
SECONDS, MEMORY_MB = 5.0, 300.0


def prepare() -> Benchmark:
    """One import into a new store each time."""
    folder = Path(tempfile.mkdtemp())

    def ours() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        n_added = append_decisions(Store(folder), make_decisions())
        if n_added != N_DECISIONS:
            raise RuntimeError(f"{n_added} of {N_DECISIONS} decisions were added")

    def check() -> None:
        store = Store(folder)
        wanted = [d for d in itertools.islice(make_decisions(), 500) if d.instance_id == "coco/17"]
        if len(read_decision_table(store)) != N_DECISIONS:
            raise RuntimeError("the table holds another number of decisions")
        if read_decisions(store, instance_ids=["coco/17"]) != wanted:
            raise RuntimeError("the decisions on an instance are not those that were imported")
        if append_decisions(store, make_decisions()) != 0:
            raise RuntimeError("a second import of the same decisions added some")

    single = time_single_appends() * N_DECISIONS / N_SINGLE
    return Benchmark(ours, check, seconds=SECONDS, memory_mb=MEMORY_MB, first_seconds=single)


def time_single_appends() -> float:
    """Seconds for the first decisions, each appended to a journal and flushed."""
    with tempfile.TemporaryDirectory() as folder, Journal(Path(folder, "ann.sqlite")) as journal:
        started = time.perf_counter()
        for decision in itertools.islice(make_decisions(), N_SINGLE):
            journal.append(decision)
        return time.perf_counter() - started


def make_decisions() -> Iterator[Decision]:
    """Ten acts on each of 10,000 instances by turns of two reviewers: points that move, then a verdict."""
    began = datetime(2026, 1, 1, tzinfo=UTC)
    for number in range(N_DECISIONS):
        instance, point = divmod(number, 10)
        shared = {
            "decision_id": f"{number:016x}{number * 2654435761 % 2**64:016x}",
            "dataset_id": "0123456789abcdef0123",
            "instance_id": f"coco/{instance}",
            "label_id": f"fedcba9876543210fedc/coco/{instance}",
            "template_id": "person-v1",
            "producer": "fedcba9876543210fedc",
            "reviewer": ("ann", "bob")[instance % 2],
            "time": began + timedelta(seconds=number),
            "seconds": 1.0 + number % 7,
        }
        if point == 9:
            verdicts = {
                "before": {"verdict": None},
                "after": {"verdict": {"action": "accept", "reason": None}},
            }
            yield Decision(**shared, action="accept", **verdicts)
            continue
        old = {"x": 3.25 * point, "y": 0.1 * number, "vertex": number % 5000, "visible": True}
        new = {**old, "x": old["x"] + 2.5, "vertex": (number + 13) % 5000}
        patches = {"before": {"points": {str(point): old}}, "after": {"points": {str(point): new}}}
        yield Decision(**shared, action="move", point_id=point, **patches)
