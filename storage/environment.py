"""Which packages, device and machine made an artifact: byte equality is promised for equal ones only."""

import functools
import os
import platform
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

# Modules whose version can change a result, with the distribution that brings them.
_DISTRIBUTIONS = {
    "cv2": "opencv-python-headless",
    "diffusers": "diffusers",
    "embreex": "embreex",
    "faiss": "faiss-cpu",
    "numpy": "numpy",
    "PIL": "pillow",
    "potpourri3d": "potpourri3d",
    "pyarrow": "pyarrow",
    "pycocotools": "pycocotools",
    "pyfmaps": "pyfmaps",
    "pyrender": "pyrender",
    "robust_laplacian": "robust-laplacian",
    "scipy": "scipy",
    "skimage": "scikit-image",
    "torch": "torch",
    "transformers": "transformers",
    "trimesh": "trimesh",
    "xatlas": "xatlas",
}


@dataclass(frozen=True)
class Environment:
    """What a result may depend on besides its recipe."""

    versions: dict[str, str]
    device: str
    threads: int
    machine: str


def describe_environment() -> Environment:
    """The environment of this process, from what it has imported so far; imports nothing itself."""
    versions = {"python": platform.python_version()}
    for module, distribution in {"densecorr": "densecorr", **_DISTRIBUTIONS}.items():
        if module in sys.modules:
            versions[distribution] = _version(distribution)
    return Environment(versions, _device(), _threads(), _machine())


@functools.cache
def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "unknown"  # run from a source tree that is not installed, or another build of the package


def _device() -> str:
    """The CUDA device if this process has used one, else the processor."""
    torch = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "cuda") and torch.cuda.is_initialized():
        return f"cuda: {torch.cuda.get_device_name()}"
    return "cpu"


def _threads() -> int:
    torch = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "get_num_threads"):
        return int(torch.get_num_threads())
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdigit() and int(asked) > 0:
        return int(asked)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@functools.cache
def _machine() -> str:
    return f"{platform.system()} {platform.machine()}, {_processor()}"


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown processor"
