"""What goes wrong with models, each with its own message and remedy; foreign errors end here."""

import errno
from collections.abc import Iterator, Sequence
from pathlib import Path

from .errors import DependencyError
from .hub_cache import FileProblem
from .hub_catalog import ModelFacts, is_local, no_reference

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS)
_SHOWN = 3


def translate_error(error: Exception, facts: ModelFacts, offline: bool) -> Exception:
    """The DensecorrError that says what an error of the hub means; any other error as it is.

    Args:
        error: as huggingface_hub raised it; what caused it is looked at first.
        facts: of the model that was asked for.
        offline: whether the network must not be touched.
    """
    from huggingface_hub import errors

    page = f"https://huggingface.co/{facts.id}"
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, errors.HFValidationError):
            return no_reference(facts.id)
        if isinstance(cause, errors.GatedRepoError):
            return DependencyError(
                f"access to {facts.id}, whose owner asks for consent",
                "none",
                f"Accept its licence ({facts.licence}) at {page}, then log in: `hf auth login`.",
            )
        if isinstance(cause, errors.RevisionNotFoundError):
            return DependencyError(
                f"a revision of {facts.id} that exists",
                f"'{facts.revision}'",
                f"See {page}/commits; name one as {facts.id}@REVISION.",
            )
        if isinstance(cause, errors.RepositoryNotFoundError):
            return DependencyError(
                "a model that exists",
                f"'{facts.id}', which the hub does not have (or not for you) and is no folder here",
                f"Check the id at {page}; for a private one log in: `hf auth login`.",
            )
        if isinstance(cause, errors.DisabledRepoError):
            return DependencyError(
                f"{facts.id} on the hub", "a model that was withdrawn", f"See {page}; choose another."
            )
    for cause in causes:
        if isinstance(cause, errors.IncompleteSnapshotError) and offline:
            return _part_cached(facts)
        if isinstance(cause, errors.LocalEntryNotFoundError | errors.OfflineModeIsEnabled) and offline:
            return DependencyError(
                f"{facts.id} ({facts.revision}) in the cache, as --offline was asked for",
                "not there",
                f"Fetch it with a network: `densecorr models fetch {facts.reference}`.",
            )
        if isinstance(cause, errors.HfHubHTTPError):
            return DependencyError(
                f"{facts.id} from the hub",
                f"its answer {cause.response.status_code}: {cause.server_message or 'no message'}",
                f"Try again later; if it refuses you, log in (`hf auth login`) and see {page}.",
            )
    return _no_network(causes, facts) or _no_room(causes, facts) or error


def damaged_model(
    reference: str, folder: Path, error: Exception | None, problems: Sequence[FileProblem]
) -> DependencyError:
    """The error for files that are there but cannot be loaded.

    Args:
        reference: the model.
        folder: where its files lie.
        error: what loading them raised; None if it was not tried.
        problems: what `hub_cache.check_files` found; without any, the files are whole but do not fit.
    """
    fetch = f"`densecorr models fetch --again {reference}`"
    if problems:
        shown = "; ".join(f"{problem.file}: {problem.what}" for problem in problems[:_SHOWN])
        more = f" and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        remedy = "Write the folder anew." if is_local(reference) else f"Fetch it anew: {fetch}."
        return DependencyError(f"the whole files of {reference} in {folder}", f"{shown}{more}", remedy)
    text = " ".join(str(error).split())
    return DependencyError(
        f"files of {reference} that fit what it is used for",
        f"{type(error).__name__} from {folder}: {text}",
        "Name a model of the right kind" + ("." if is_local(reference) else f", or fetch it anew: {fetch}."),
    )


def _part_cached(facts: ModelFacts) -> DependencyError:
    return DependencyError(
        f"all files of {facts.id} ({facts.revision}) in the cache, as --offline was asked for",
        "only a part of them",
        f"Complete it with a network: `densecorr models fetch {facts.reference}`.",
    )


def _no_network(causes: Sequence[BaseException], facts: ModelFacts) -> DependencyError | None:
    from huggingface_hub import errors

    # HTTPError is that of the client which this version of huggingface_hub uses (httpx, httpx2)
    lost = (
        errors.LocalEntryNotFoundError,
        errors.XetDownloadError,
        errors.HTTPError,
        ConnectionError,
        TimeoutError,
    )
    if not any(isinstance(cause, lost) for cause in causes):
        return None
    return DependencyError(
        f"a connection to the hub to fetch {facts.id}",
        "no network",
        f"Connect, or copy the cache of another machine (`densecorr models fetch {facts.reference}` "
        "there; HF_HOME names it), or name a local folder instead of the id.",
    )


def _no_room(causes: Sequence[BaseException], facts: ModelFacts) -> DependencyError | None:
    for cause in causes:
        if isinstance(cause, OSError) and cause.errno in _NO_ROOM:
            size = f" of {facts.size_mb} MB" if facts.size_mb else ""
            return DependencyError(
                f"a cache that can be written, with room for {facts.id}{size}",
                f"{cause.strerror} ({cause.filename or 'the cache'})",
                "Free space, or name another folder with HF_HOME.",
            )
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error, what it was raised from or while handling, and so on."""
    seen: set[int] = set()
    inner: BaseException | None = error
    while inner is not None and id(inner) not in seen:
        seen.add(id(inner))
        yield inner
        inner = inner.__cause__ or inner.__context__
