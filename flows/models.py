"""`densecorr models`: which pretrained models there are, under which licences; download and check them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import OmitSubcommandPrefixes, Positional, subcommand

from densecorr import hub, hub_cache
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
        named = _references([str(path) for path in self.pipelines])
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

    def __call__(self, session: Session) -> int:
        """Print a model's folder each; 2 if files are missing or damaged after all."""
        references = _references(self.models)
        for reference in references:
            facts = licence_facts(reference)
            size = f", about {facts.size_mb} MB" if facts.size_mb else ""
            say(f"{reference}: {facts.licence}, {in_words(facts.commercial)}{size}")
            print(hub.fetch(reference, again=self.again))
        return _report(references, named=True)


@dataclass(frozen=True)
class Check:
    """Read the cached files: is every one there, whole and readable?"""

    models: Positional[tuple[str, ...]] = ()
    """owner/name, owner/name@revision, a folder, or a pipeline file (.toml); else all listed ones in the cache."""

    def __call__(self, session: Session) -> int:
        """Print the problems; 2 if there are any."""
        if self.models:
            return _report(_references(self.models), named=True)
        return _report(hub_cache.cached_references(), named=False)


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


def _report(references: Sequence[str], *, named: bool) -> int:
    from storage.reports import format_rows

    if not references:
        print("The pipeline names no model." if named else "No model is cached.")
        return 0
    problems = [
        (reference, problem.file, problem.what)
        for reference in references
        for problem in hub_cache.check_files(reference)
    ]
    n_models = f"{len(references)} model{'' if len(references) == 1 else 's'} checked"
    if not problems:
        print(f"{n_models}, all whole.")
        return 0
    print(format_rows(("model", "file", "problem"), problems))
    broken = dict.fromkeys(reference for reference, *_ in problems)
    print(f"{n_models}, {len(broken)} broken.")
    for reference in broken:
        print(f"-> {_remedy(reference)}")
    return 2


def _remedy(reference: str) -> str:
    if hub.is_local(reference):
        return f"write the folder anew: {reference}"
    again = "" if hub.resolved_revision(reference) is None else "--again "
    return f"densecorr models fetch {again}{reference}"


def _references(given: Sequence[str]) -> list[str]:
    """The models named, each once; a pipeline file stands for those that its stages name."""
    from .pipeline import read_pipeline

    found: dict[str, None] = {}
    for text in given:
        if text.endswith(".toml"):
            for node in read_pipeline(text).nodes:
                found |= dict.fromkeys(hub.named_models(node.command))
        else:
            found |= {text: None}
    return list(found)
