"""`densecorr doctor`: what works on this machine, and how to get what does not.

Quick facts are looked up; what can be slow, hang or crash (torch, ray casting, OpenGL) is tried in a process
of its own (`flows/probes.py`), all at once, each with a time limit. Nothing is installed, downloaded or
changed.
"""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from storage.artifacts import Store

    from .session import Session

Status = Literal["ok", "note", "missing", "broken"]


@dataclass(frozen=True)
class Finding:
    """One thing looked at; a note is neither good nor bad. `required`: densecorr cannot work without it."""

    name: str
    status: Status
    detail: str
    remedy: str = ""
    required: bool = False

    @property
    def blocks(self) -> bool:
        """Whether this alone makes the check fail."""
        return self.required and self.status in ("missing", "broken")


@dataclass(frozen=True)
class Doctor:
    """Check this machine: packages, processor, memory, disk, GPU, renderers, database, server, models."""

    quick: bool = False
    """Skip what needs a process of its own: torch, ray casting, OpenGL."""
    timeout_s: float = 90.0
    """Longest time for one of those, in seconds."""

    def __call__(self, session: "Session") -> int:
        """Print the findings; 0, or 2 when something required is missing or broken."""
        return _report(diagnose(session.store_uri, quick=self.quick, timeout_s=self.timeout_s))


def main(command: Doctor, store: "Store") -> int:
    """Print the findings about this machine and that store; the exit code, 0 or 2."""
    return _report(diagnose(store.place.uri, quick=command.quick, timeout_s=command.timeout_s))


def diagnose(store_uri: str | Path, *, quick: bool = False, timeout_s: float = 90.0) -> list[Finding]:
    """Look at everything, the quick things first.

    Args:
        store_uri: the store whose disk is looked at.
        quick: leave out the probes that need a process of their own.
        timeout_s: longest time for one of those, in seconds.
    """
    from . import checks, packages

    findings = [
        *_look("Python", checks.check_python),
        *_look("packages", lambda: list(packages.check_packages())),
        *_look("processor", checks.check_processor),
        *_look("memory", checks.check_memory),
        *_look("store", lambda: checks.check_disk(str(store_uri))),
    ]
    with ThreadPoolExecutor(max_workers=8) as pool:
        waiting = [
            pool.submit(_look, "Prefect server", checks.check_prefect),
            pool.submit(_look, "FiftyOne", checks.check_database),
        ]
        if not quick:
            waiting += [
                pool.submit(lambda p: [checks.run_probe(p, timeout_s)], probe) for probe in checks.PROBES
            ]
        findings += _look("GPU", checks.check_gpu)
        findings += _look("models", checks.check_models)
        findings += _look("sample data", checks.check_shared_data)
        for done in waiting:
            findings += done.result()
    return checks.compare_gpu(findings)


def _look(name: str, check: Callable[[], Finding | list[Finding]]) -> list[Finding]:
    """The check's findings; a check that itself fails is one finding, and the others are still seen."""
    try:
        found = check()
    except Exception as error:  # whatever a broken installation raises
        return [Finding(name, "broken", f"could not be checked: {type(error).__name__}: {error}")]
    return [found] if isinstance(found, Finding) else found


def format_findings(findings: list[Finding]) -> str:
    """A line each, its remedy below, and a closing line."""
    width = max(len(finding.name) for finding in findings)
    lines = []
    for finding in findings:
        lines.append(f"{finding.status:<8} {finding.name:<{width}}  {finding.detail}")
        if finding.remedy:
            lines.append(f"{'':<8} {'':<{width}}  -> {finding.remedy}")
    blocking = [finding.name for finding in findings if finding.blocks]
    count = Counter(finding.status for finding in findings)
    optional = count["missing"] + count["broken"] - len(blocking)
    if blocking:
        lines.append(f"densecorr cannot work here yet: {', '.join(blocking)}.")
    else:
        lines.append("Everything that densecorr needs works here.")
    if optional:
        lines.append(
            f"{optional} optional part{'s' if optional > 1 else ''} missing: see the lines marked ->."
        )
    return "\n".join(lines)


def _report(findings: list[Finding]) -> int:
    print(format_findings(findings))
    return 2 if any(finding.blocks for finding in findings) else 0
