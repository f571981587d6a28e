"""`densecorr models`: which pretrained models there are, under which licences; download and check them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import OmitSubcommandPrefixes, Positional, subcommand

from densecorr import hub, hub_cache
from densecorr.errors import SettingsError
from densecorr.hub_catalog import DIFFUSION_FILES, SAFETY_CHECKER_FILES, SAFETY_CHECKER_MB
from densecorr.hub_licences import in_words, licence_facts

from .session import Session, say

_SHORT_COMMIT = 8


@dataclass(frozen=True)
class List:
    """List the models that densecorr knows, and those that pipeline files name: licence, size, whether cached."""

    pipelines: Positional[tuple[Path, ...]] = ()
    """Pipeline files, whose models come first."""

    def __call__(self, session: Session) -> None:
        """Print one line a model."""
        named = list(_wanted([str(path) for path in self.pipelines]))
        cached = [reference for reference in hub_cache.cached_references() if reference not in named]
        shown = {hub.split_reference(reference)[0] for reference in (*named, *cached)}
        others = [facts.id for facts in hub.CATALOG if facts.id not in shown]
        print(format_models([*named, *cached, *others]))


@dataclass(frozen=True)
class Fetch:
    """Download models into the cache: those named, or those that a pipeline file names."""

    models: Positional[tuple[str, ...]]
    """owner/name, owner/name@revision, or a pipeline file (.toml)."""
    again: bool = False
    """Download all files anew: after damage, or for what `main` is now."""
    safety_checker: bool = False
    """Also the safety checker of Stable Diffusion models; those that a pipeline file asks for come without this."""

    def __call__(self, session: Session) -> int:
        """Print a model's folder each; 2 if files are missing or damaged after all."""
        if not self.models:
            raise SettingsError(
                "models or pipeline files to fetch", "none", "Name some; see `densecorr models list`."
            )
        wanted = _wanted(self.models, self.safety_checker)
        for reference, extra in wanted.items():
            facts = licence_facts(reference)
            n_mb = facts.size_mb + (SAFETY_CHECKER_MB if extra else 0)
            size = f", about {n_mb} MB" if facts.size_mb else ""
            say(f"{reference}: {facts.licence}, {in_words(facts.commercial)}{size}")
            print(hub.fetch(reference, again=self.again, extra=extra))
        return _report(wanted, named=True)


@dataclass(frozen=True)
class Check:
    """Read the cached files: is every one there, whole and readable?"""

    models: Positional[tuple[str, ...]] = ()
    """owner/name, owner/name@revision, a folder, or a pipeline file (.toml); else all listed ones in the cache."""

    def __call__(self, session: Session) -> int:
        """Print the problems; 2 if there are any."""
        if self.models:
            return _report(_wanted(self.models), named=True)
        return _report(dict.fromkeys(hub_cache.cached_references(), ()), named=False)


ModelsCommand = OmitSubcommandPrefixes[
    Annotated[List, subcommand("list")]
    | Annotated[Fetch, subcommand("fetch")]
    | Annotated[Check, subcommand("check")]
]


def format_models(references: Sequence[str]) -> str:
    """The text of `models list`: a table with a line a model."""
    from storage.reports import format_bytes, format_rows

    rows = []
    for reference in references:
        facts = licence_facts(reference)
        n_bytes = 1_000_000 * facts.size_mb or hub.cached_bytes(reference)
        rows.append(
            (
                facts.id,
                facts.revision,
                facts.licence + (", ask first" if facts.gated else ""),
                facts.commercial,
                format_bytes(n_bytes) if n_bytes else "unknown",
                _cached(reference),
                facts.purpose,
            )
        )
    headers = ("model", "revision", "licence", "commercial", "size", "cached", "for")
    return format_rows(headers, rows, right=(4,))


def _cached(reference: str) -> str:
    """yes, part or no, with the commit's first digits; the digest's place is the lineage."""
    if hub.is_local(reference):
        return "folder"
    commit = hub.resolved_revision(reference) or ""
    return f"{hub_cache.cache_state(reference)} {commit[:_SHORT_COMMIT]}".rstrip()


def _report(wanted: Mapping[str, tuple[str, ...]], *, named: bool) -> int:
    from storage.reports import format_rows

    if not wanted:
        print("The pipeline names no model." if named else "No model is cached.")
        return 0
    problems = [
        (reference, problem.file, problem.what)
        for reference, extra in wanted.items()
        for problem in hub_cache.check_files(reference, (*hub_cache.needed_files(reference), *extra))
    ]
    n_models = f"{len(wanted)} model{'' if len(wanted) == 1 else 's'} checked"
    if not problems:
        print(f"{n_models}, all whole.")
        return 0
    print(format_rows(("model", "file", "problem"), problems))
    broken = dict.fromkeys(reference for reference, *_ in problems)
    print(f"{n_models}, {len(broken)} broken.")
    for reference in broken:
        print(f"-> {_remedy(reference, wanted[reference])}")
    return 2


def _remedy(reference: str, extra: tuple[str, ...]) -> str:
    if hub.is_local(reference):
        return f"write the folder anew: {reference}"
    again = "" if hub.resolved_revision(reference) is None else "--again "
    checker = "--safety-checker " if extra else ""
    return f"densecorr models fetch {again}{checker}{reference}"


def _wanted(given: Sequence[str], safety_checker: bool = False) -> dict[str, tuple[str, ...]]:
    """The models named, each once, with the files besides those that are always loaded.

    A pipeline file stands for the models that its stages name, with the safety checkers that they use.
    """
    from .pipeline import read_pipeline

    found: dict[str, tuple[str, ...]] = {}
    for text in given:
        if not text.endswith(".toml"):
            diffusion = safety_checker and hub_cache.needed_files(text) == DIFFUSION_FILES
            found[text] = SAFETY_CHECKER_FILES if diffusion else found.get(text, ())
            continue
        for node in read_pipeline(text).nodes:
            checked = _checked_model(node.command)
            for name in hub.named_models(node.command):
                found[name] = SAFETY_CHECKER_FILES if name == checked else found.get(name, ())
    return found


def _checked_model(command: Any) -> str | None:
    """The Stable Diffusion model whose safety checker a command loads too."""
    from densecorr.synthesis import ControlNetGenerator

    generator = getattr(command, "generator", None)
    if isinstance(generator, ControlNetGenerator) and generator.safety_checker:
        return generator.model
    return None
