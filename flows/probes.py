"""What `densecorr doctor` tries in other processes: `python -m flows.probes NAME` prints one line or fails.

A driver that hangs or a library that crashes then costs a line in the report and not the report.
"""

import sys
from collections.abc import Callable

import numpy as np


def probe_torch() -> str:
    """Import torch, multiply two matrices on the device it would use, and name that device."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    a = torch.arange(6, dtype=torch.float32, device=device).reshape(2, 3)
    if (a @ a.T).tolist() != [[5.0, 14.0], [14.0, 50.0]]:
        raise ArithmeticError(f"a wrong matrix product on {device}")
    name = f"cuda: {torch.cuda.get_device_name()}" if device == "cuda" else device
    return f"{torch.__version__} on {name}, {torch.get_num_threads()} threads"


def probe_embree() -> str:
    """Cast rays at a square of known size."""
    return _cover("embree")


def probe_opengl() -> str:
    """Draw the same square with pyrender through EGL."""
    return _cover("pyrender")


def _cover(backend: str) -> str:
    """Rasterise a square that covers a quarter of the view, and count its pixels."""
    from densecorr.records import Camera
    from densecorr.rendering.rasterize import rasterize

    V = np.array([[-1, -1, 4], [1, -1, 4], [1, 1, 4], [-1, 1, 4]], dtype=np.float64)
    F = np.array([[0, 2, 1], [0, 3, 2]])
    K = np.array([[64.0, 0, 31.5], [0, 64.0, 31.5], [0, 0, 1]])  # 2 m at 4 m distance: 32 of 64 pixels
    camera = Camera(K=K, R=np.eye(3), t=np.zeros(3), width=64, height=64)
    face = rasterize(V, F, camera, "pyrender" if backend == "pyrender" else "embree").face
    covered = int((face >= 0).sum())
    if covered != 32 * 32:
        raise ArithmeticError(f"a square of 1024 pixels drawn as {covered}")
    return "draws a test square exactly"


PROBES: dict[str, Callable[[], str]] = {"torch": probe_torch, "embree": probe_embree, "opengl": probe_opengl}


if __name__ == "__main__":
    print(PROBES[sys.argv[1]]())
