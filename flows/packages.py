"""Are the packages that densecorr declares here, within their bounds, and the ones it was tested with?"""

import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from .doctor import Finding

if TYPE_CHECKING:
    from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent  # of the checkout; site-packages once installed


def check_packages() -> Iterator[Finding]:
    """What is absent or out of bounds, how many packages are fine, which are not the tested ones."""
    fine = 0
    installed: dict[str, str] = {}
    absent: dict[str, list[str]] = {}
    for requirement, extra in _requirements():
        version, wanted = installed_version(requirement.name), f"{requirement.name}{requirement.specifier}"
        title, remedy, required = f"package {requirement.name}", f"pip install '{wanted}'", extra == ""
        if version is None and extra:
            absent.setdefault(extra, []).append(requirement.name)
        elif version is None:
            yield Finding(title, "missing", wanted, remedy, required)
        elif not requirement.specifier.contains(version, prereleases=True):
            yield Finding(title, "broken", f"{version}, not {wanted}", remedy, required)
        else:
            fine += 1
            installed[requirement.name.lower()] = version
    yield Finding("packages", "ok", f"{fine} within their bounds", required=True)
    for extra, names in absent.items():
        yield Finding(
            f"extra '{extra}'", "note", f"absent: {', '.join(names)}", f"pip install 'densecorr[{extra}]'"
        )
    pins = _constraints()
    differing = [f"{n} {v} (tested: {pins[n]})" for n, v in sorted(installed.items()) if pins.get(n, v) != v]
    if differing:
        remedy = "pip install --constraint infra/constraints.txt ... takes the tested ones."
        yield Finding("tested versions", "note", ", ".join(differing), remedy)


def _requirements() -> Iterator[tuple["Requirement", str]]:
    """Every declared dependency that applies here, with the extra it belongs to ('' for the core)."""
    from packaging.requirements import Requirement

    pyproject = ROOT / "pyproject.toml"
    if pyproject.is_file():
        project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
        groups = {"": project.get("dependencies", []), **project.get("optional-dependencies", {})}
        texts = [(text, extra) for extra, group in groups.items() for text in group]
    else:
        texts = [(text, "") for text in metadata.requires("densecorr") or []]
    for text, group in texts:
        requirement = Requirement(text)
        extra = group
        if not group and requirement.marker is not None and "extra" in str(requirement.marker):
            extra = str(requirement.marker).rpartition("extra == ")[2].strip("\"')")
        if requirement.name != "densecorr" and (
            requirement.marker is None or requirement.marker.evaluate({"extra": extra})
        ):
            yield requirement, extra


def _constraints() -> dict[str, str]:
    """Package to tested version, from infra/constraints.txt; empty where that file is not shipped."""
    path = ROOT / "infra" / "constraints.txt"
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    pins = (line.partition("#")[0].partition(";")[0].strip().partition("==") for line in lines)
    return {name.strip().lower(): version.strip() for name, _, version in pins if version}


def installed_version(distribution: str) -> str | None:
    """The version of an installed distribution, or None."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
