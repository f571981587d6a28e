"""The command line in a process of its own."""

import subprocess
import sys
from pathlib import Path


def densecorr(*arguments: str, cwd: Path, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    """What `densecorr ARGUMENTS` prints and returns; the environment is that of the test."""
    return subprocess.run(
        [sys.executable, "-m", "flows.cli", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=timeout,
    )
