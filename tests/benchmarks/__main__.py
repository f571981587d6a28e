"""Run the benchmarks, each in a process of its own; print a table and write `runs/bench.json`."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from .registry import load_benchmark, select_names

OUT = Path("runs/bench.json")
COLUMNS = ("name", "ours_s", "baseline_s", "ratio", "peak_mb", "target", "met")


def main() -> int:
    """0 unless a benchmark could not run or its answers are wrong; a missed target is not an error."""
    parser = argparse.ArgumentParser("python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--only", default=None, help="names that start so")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        return run_child(options.child, options.out)
    rows, failed = [], []
    for name in select_names(options.only):
        print(f"{name} ...", file=sys.stderr, flush=True)
        found = run_in_process(name)
        if found is None:
            failed.append(name)
            rows.append(dict.fromkeys(COLUMNS) | {"name": name, "target": "not measured", "met": False})
            continue
        rows += found["rows"]
        for what, times in found["times"].items():
            print(f"  {what}: {min(times):.3f}-{max(times):.3f} s in {len(times)} rounds", file=sys.stderr)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(rows, indent=1) + "\n")
    print(format_table(rows))
    print(f"written to {options.out}")
    if failed:
        print(f"could not be measured: {', '.join(failed)} (the reason stands above)", file=sys.stderr)
    return 1 if failed else 0


def run_in_process(name: str) -> dict[str, Any] | None:
    """Rows and times of one benchmark from a fresh process that may use all cores; None if it failed."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "rows.json"
        command = (sys.executable, "-m", "tests.benchmarks", "--child", name, "--out", str(out))
        done = subprocess.run(command, env=os.environ | thread_variables(), capture_output=True, text=True)
        if done.returncode == 0:
            return json.loads(out.read_text())
        print(done.stdout + done.stderr, file=sys.stderr)
        return None


def thread_variables() -> dict[str, str]:
    """The same number of threads for every library: faiss, torch and BLAS each read a variable at import."""
    affinity = getattr(os, "sched_getaffinity", None)
    n_cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return {f"{name}_NUM_THREADS": str(n_cores) for name in ("OMP", "MKL", "OPENBLAS")}


def run_child(name: str, out: Path) -> int:
    """Measure one benchmark here."""
    from .measure import measure, to_plain

    out.write_text(json.dumps(to_plain(*measure(name, load_benchmark(name)))))
    return 0


def format_table(rows: list[dict[str, Any]]) -> str:
    """Rows as text, one column a key."""
    cells = [COLUMNS] + [tuple(_cell(row[column]) for column in COLUMNS) for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(COLUMNS))]
    lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in cells]
    return "\n".join(lines)


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "NO"
    return "-" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    sys.exit(main())
