"""The single checks of `densecorr doctor`; each returns what it found."""

import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from .doctor import Finding
from .packages import ROOT, installed_version

MIN_PYTHON = (3, 11)
LOW_MEMORY_GB, LOW_DISK_GB = 4.0, 5.0


@dataclass(frozen=True)
class Probe:
    """A function of `flows/probes.py`, what it is called in the report and what to do when it fails."""

    name: str
    title: str
    remedy: str
    required: bool


PROBES = (
    Probe("torch", "torch", "Reinstall it: pip install --force-reinstall torch", required=True),
    Probe(
        "embree", "ray casting (embree)", "Reinstall it: pip install --force-reinstall embreex", required=True
    ),
    Probe(
        "opengl",
        "OpenGL (pyrender, EGL)",
        "Only for back end 'pyrender': apt-get install libegl1",
        required=False,
    ),
)


def check_python() -> Finding:
    """The interpreter's version and platform."""
    detail = f"{platform.python_version()} ({sys.executable}) on {platform.system()} {platform.machine()}"
    if sys.version_info[:2] < MIN_PYTHON:
        return Finding("Python", "broken", detail, "Use Python 3.11 or newer.", required=True)
    return Finding("Python", "ok", detail, required=True)


def check_processor() -> Finding:
    """Cores this process may use, and the thread settings that a numerical library would follow."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limits = [
        f"{name}={os.environ[name]}" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS") if name in os.environ
    ]
    return Finding("processor", "ok", ", ".join([f"{usable} of {os.cpu_count()} cores", *limits]))


def check_memory() -> Finding:
    """Free memory, within the limit of a container if there is one."""
    import psutil

    memory = psutil.virtual_memory()
    total, free = memory.total, memory.available
    limit, used = (Path("/sys/fs/cgroup") / name for name in ("memory.max", "memory.current"))
    if limit.is_file() and used.is_file() and limit.read_text().strip().isdigit():
        total = min(total, int(limit.read_text()))
        free = min(free, total - int(used.read_text()))
    detail = f"{free / 2**30:.1f} of {total / 2**30:.1f} GiB free"
    if free / 2**30 < LOW_MEMORY_GB:
        return Finding(
            "memory",
            "note",
            detail,
            f"Training wants {LOW_MEMORY_GB:.0f} GiB: lower the batch size or close programs.",
        )
    return Finding("memory", "ok", detail)


def check_disk(store_uri: str) -> Finding:
    """Whether the store's folder can be written, and its free space."""
    if "://" in store_uri:
        return Finding("store", "note", f"{store_uri}: not on this machine, so its space is not looked at")
    folder = Path(store_uri).expanduser().absolute()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free / 2**30
    detail = f"{store_uri}: {free:.1f} GiB free"
    try:
        with tempfile.TemporaryFile(dir=folder) as trial:
            trial.write(b"x")
    except OSError as error:
        remedy = "Choose another with --store or DENSECORR_STORE."
        return Finding(
            "store", "broken", f"{store_uri}: cannot write ({error.strerror})", remedy, required=True
        )
    if free < LOW_DISK_GB:
        remedy = "`densecorr store gc` frees what nothing uses; or choose another disk with --store."
        return Finding("store", "note", detail, remedy)
    return Finding("store", "ok", detail, required=True)


def check_gpu() -> Finding:
    """What nvidia-smi says; `compare_gpu` later holds it against what torch sees."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return Finding(
            "GPU", "note", "no NVIDIA driver here; everything runs on the processor, some of it slowly"
        )
    query = [program, "--query-gpu=name,memory.total,memory.free,driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=15, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        text = getattr(error, "stdout", None) or str(error)
        return Finding(
            "GPU", "broken", f"nvidia-smi: {_last_line(text)}", "Mend or reinstall the NVIDIA driver."
        )
    boards = [line.split(", ") for line in done.stdout.strip().splitlines()]
    if not boards:
        return Finding("GPU", "note", "a driver, but no NVIDIA GPU; everything runs on the processor")
    text = "; ".join(f"{name}, {free} of {total} free" for name, total, free, _ in boards)
    return Finding("GPU", "ok", f"{text}; driver {boards[0][-1]}")


def compare_gpu(findings: list[Finding]) -> list[Finding]:
    """Mark the GPU as broken where the driver sees one and torch does not."""
    torch = next(
        (finding.detail for finding in findings if finding.name == "torch" and finding.status == "ok"), "cuda"
    )
    if "cuda:" in torch or torch == "cuda":
        return findings
    remedy = "Install the build of torch for your CUDA: https://pytorch.org/get-started/locally"
    return [
        replace(finding, status="broken", detail=f"{finding.detail}; torch does not use it", remedy=remedy)
        if finding.name == "GPU" and finding.status == "ok"
        else finding
        for finding in findings
    ]


def check_prefect() -> Finding:
    """Whether the Prefect server that flows would report to answers; without importing Prefect (4.6 s)."""
    from .server import answers, configured_server

    configured = configured_server()
    if configured is None:
        return Finding(
            "Prefect server",
            "note",
            "none configured: `run` and `demo` start one of their own",
            "`densecorr up` keeps one running.",
        )
    url, origin = configured
    if answers(url, timeout=3.0):
        return Finding("Prefect server", "ok", f"{url} (from {origin})")
    remedy = "Start it, or unset the address; `densecorr up` starts a local one."
    return Finding("Prefect server", "broken", f"no answer at {url} (from {origin})", remedy)


def check_database() -> Finding:
    """FiftyOne and the MongoDB behind it; without importing FiftyOne (14 s)."""
    from annotation_ui.mongo import find_database
    from densecorr.errors import DependencyError

    version = installed_version("fiftyone")
    if version is None:
        return Finding("FiftyOne", "missing", "needed to browse and review labels", "pip install fiftyone")
    try:
        database = find_database()
    except DependencyError as error:
        return Finding(
            "FiftyOne", "missing", f"{version}, but no MongoDB: {error.args[1]}", str(error.args[2])
        )
    return Finding(
        "FiftyOne", "ok", f"{version} on MongoDB {database.version} ({database.target.rpartition('@')[2]})"
    )


def check_models() -> Finding:
    """Which pretrained models lie in the Hugging Face cache, and whether those that densecorr knows are whole."""
    from huggingface_hub import CacheNotFound, constants, scan_cache_dir

    from densecorr.hub_cache import cached_references, check_files

    where = constants.HF_HUB_CACHE
    try:
        cache = scan_cache_dir(where)
    except CacheNotFound:
        repos, damaged = [], 0
    else:
        repos = sorted((r for r in cache.repos if r.repo_type == "model"), key=lambda r: r.repo_id)
        damaged = len(cache.warnings)
    detail = ", ".join(f"{repo.repo_id} ({repo.size_on_disk_str})" for repo in repos) or f"none in {where}"
    if damaged:
        return Finding(
            "models", "broken", f"{detail}; {damaged} damaged", f"Delete the damaged folders in {where}."
        )
    broken = [reference for reference in cached_references() if check_files(reference)]
    if broken:
        detail = f"{detail}; not whole: {', '.join(broken)}"
        return Finding(
            "models", "broken", detail, "`densecorr models check` says what is wrong and what helps."
        )
    if not repos:
        remedy = "The built-in features need none; `densecorr models list` shows what can be fetched."
        return Finding("models", "note", detail, remedy)
    return Finding("models", "ok", detail)


def check_shared_data() -> Finding:
    """The folder of real sample data that some tests use."""
    named = os.environ.get("DENSECORR_SHARED_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    if folder.is_dir():
        return Finding("sample data", "ok", str(folder))
    remedy = "Only some tests use it: set DENSECORR_SHARED_DATA."
    return Finding("sample data", "missing" if named else "note", f"none at {folder}", remedy)


def run_probe(probe: Probe, timeout_s: float) -> Finding:
    """Run one probe in a process of its own and turn how it ends into a finding."""
    command = [sys.executable, "-m", "flows.probes", probe.name]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=timeout_s, cwd=ROOT, check=False
        )
    except subprocess.TimeoutExpired:
        return Finding(probe.title, "broken", f"no answer in {timeout_s:g} s", probe.remedy, probe.required)
    if done.returncode == 0:
        return Finding(probe.title, "ok", done.stdout.strip(), required=probe.required)
    if done.returncode < 0:
        detail = f"crashed ({signal.Signals(-done.returncode).name})"
    else:
        detail = _last_line(done.stderr)
    return Finding(probe.title, "broken", detail, probe.remedy, probe.required)


def _last_line(text: str) -> str:
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return lines[-1].strip() if lines else "no message"
