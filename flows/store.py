"""`densecorr store`: list, show, trace, check, tag and clean up artifacts."""

from dataclasses import dataclass
from typing import Annotated

from tyro.conf import OmitSubcommandPrefixes, Positional, subcommand

from .session import Session


@dataclass(frozen=True)
class Ls:
    """List the artifacts, oldest first."""

    stage: str | None = None
    """Only those of this stage."""

    def __call__(self, session: Session) -> None:
        """Print one line an artifact."""
        from storage.commands import list_artifacts
        from storage.reports import format_artifacts

        print(format_artifacts(list_artifacts(session.store, self.stage)))


@dataclass(frozen=True)
class Show:
    """Show one artifact: how it was made, where it is, its files."""

    artifact: Positional[str]
    """An id, its first digits, or a tag."""

    def __call__(self, session: Session) -> None:
        """Print the manifest."""
        from storage.commands import show
        from storage.reports import format_details

        print(format_details(show(session.store, self.artifact)))


@dataclass(frozen=True)
class Lineage:
    """Show what an artifact was made from, up to the source files."""

    artifact: Positional[str]
    """An id, its first digits, or a tag."""

    def __call__(self, session: Session) -> None:
        """Print a tree."""
        from storage.commands import lineage
        from storage.reports import format_lineage

        print(format_lineage(lineage(session.store, self.artifact)))


@dataclass(frozen=True)
class Verify:
    """Read every file again and compare it with what was published."""

    artifact: Positional[str | None] = None
    """An id, its first digits, or a tag; all artifacts if left out."""

    def __call__(self, session: Session) -> int:
        """Print the problems; 1 if there are any."""
        from storage.commands import verify
        from storage.reports import format_verify

        result = verify(session.store, self.artifact)
        print(format_verify(result))
        return 1 if result.problems else 0


@dataclass(frozen=True)
class Gc:
    """Show what nothing needs any more: old drafts, artifacts no tag leads to. Deletes with --delete only."""

    delete: bool = False
    """Remove it."""
    min_age_s: float = 3600.0
    """Spare what was used in the last so many seconds."""

    def __call__(self, session: Session) -> None:
        """Print what goes and why."""
        from storage.commands import gc
        from storage.reports import format_gc

        print(format_gc(gc(session.store, delete=self.delete, min_age_s=self.min_age_s)))


@dataclass(frozen=True)
class Tag:
    """Give an artifact a name; `gc` keeps it and all it was made from."""

    name: Positional[str]
    """The name; one in use moves."""
    artifact: Positional[str]
    """An id, its first digits, or another tag."""

    def __call__(self, session: Session) -> None:
        """Print the full id."""
        from storage.commands import tag

        print(tag(session.store, self.name, self.artifact))


StoreCommand = OmitSubcommandPrefixes[
    Annotated[Ls, subcommand("ls")]
    | Annotated[Show, subcommand("show")]
    | Annotated[Lineage, subcommand("lineage")]
    | Annotated[Verify, subcommand("verify")]
    | Annotated[Gc, subcommand("gc")]
    | Annotated[Tag, subcommand("tag")]
]
