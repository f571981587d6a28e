"""Every benchmark by name, and where it is prepared."""

import importlib
from collections.abc import Callable

from .measure import Benchmark

# name: (module, function, arguments)
BENCHMARKS: dict[str, tuple[str, str, tuple[object, ...]]] = {
    "nearest-vertex-5000": ("nearest_vertex", "prepare", (5_000,)),
    "nearest-vertex-27554": ("nearest_vertex", "prepare", (27_554,)),
    # vertices, numbers a cell, cells, views, float16 rows, largest ratio
    "zero-shot-matching": ("zero_shot_matching", "prepare", (5_000, 768, 900, 72, False, 0.7)),
    "zero-shot-matching-fused": ("zero_shot_matching", "prepare", (27_554, 3_968, 500, 4, True, 1.3)),
    "label-storage-fused": ("label_storage", "prepare", (3_968,)),
    "label-storage-dinov2": ("label_storage", "prepare", (768,)),
    "diffusion-early-exit": ("diffusion_exit", "prepare", ()),
    "fragment-views": ("fragment_views", "prepare", ()),
    "training-step": ("training_step", "prepare", ()),
    "training-inputs": ("training_step", "prepare_inputs", ()),
    "densepose-scoring": ("densepose_scoring", "prepare", (5_000,)),
    "densepose-scoring-27554": ("densepose_scoring", "prepare", (27_554,)),
    "ingest-lvis": ("ingest_lvis", "prepare", ()),
    "ingest-coco": ("ingest_lvis", "prepare", ("coco", None)),
    "ingest-lvis-memory": ("ingest_lvis", "prepare_memory", ()),
    "dataset-queries": ("dataset_queries", "prepare", ()),
    "decisions-import": ("decisions_import", "prepare", ()),
    "fiftyone-export": ("fiftyone_export", "prepare", (400,)),
    "review": ("review_panel", "prepare", ()),  # rows review-act and review-next
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
