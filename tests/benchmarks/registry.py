"""Every benchmark by name, and where it is prepared."""

import importlib
from collections.abc import Callable

from .measure import Benchmark

# name: (module, function, arguments)
BENCHMARKS: dict[str, tuple[str, str, tuple[object, ...]]] = {
    "nearest-vertex-5000": ("nearest_vertex", "prepare", (5_000,)),
    "nearest-vertex-27554": ("nearest_vertex", "prepare", (27_554,)),
    "zero-shot-matching": ("zero_shot_matching", "prepare", ()),
    "fragment-views": ("fragment_views", "prepare", ()),
    "help": ("start_up", "prepare", ()),
    "pipeline-rerun": ("pipeline_rerun", "prepare", ()),
    "pipeline-rerun-tracked": ("pipeline_rerun", "prepare_tracked", ()),
}


def select_names(only: str | None) -> list[str]:
    """The benchmarks whose name starts with `only`, or all.

    Raises:
        SystemExit: none does.
    """
    names = [name for name in BENCHMARKS if name.startswith(only or "")]
    if not names:
        raise SystemExit(f"no benchmark is called {only!r}; there are: {', '.join(BENCHMARKS)}")
    return names


def load_benchmark(name: str) -> Benchmark:
    """Import the benchmark's module and prepare its inputs."""
    module, function, arguments = BENCHMARKS[name]
    prepare: Callable[..., Benchmark] = getattr(importlib.import_module(f".{module}", __package__), function)
    return prepare(*arguments)
