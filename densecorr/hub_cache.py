"""What lies in the Hugging Face cache: which commit, how much of it, and what is missing or damaged.

Nothing here touches the network. A folder of this machine is looked at like a snapshot in the cache.
"""

import fnmatch
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .hub_catalog import (
    CATALOG,
    DIFFUSION_FILES,
    NETWORK_FILES,
    facts_of,
    is_local,
    no_reference,
    split_reference,
)

IGNORED_FILES = ("*.fp16.*", "*.non_ema.*")  # second copies of the weights
CacheState = Literal["yes", "part", "no"]


@dataclass(frozen=True)
class FileProblem:
    """One file (a pattern, where nothing fits it) that cannot be used, and why."""

    file: str
    what: str


def cached_folder(reference: str) -> Path | None:
    """The folder with what is cached of a model, whole or not; None if there is none.

    Raises:
        SettingsError: a reference that is neither a folder nor a name that a hub would allow.
    """
    if is_local(reference):
        return Path(reference).expanduser()
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    name, revision = split_reference(reference)
    try:  # no pattern: no file is asked for, only the folder
        return Path(snapshot_download(name, revision=revision, local_files_only=True, allow_patterns=[]))
    except LocalEntryNotFoundError:
        return None
    except HFValidationError as error:
        raise no_reference(reference) from error


def cached_references() -> list[str]:
    """Every revision of a model of the catalogue that the cache holds, as owner/name@revision.

    A commit that a branch or a tag stands for goes by that name.
    """
    from huggingface_hub import CacheNotFound, constants, scan_cache_dir

    try:
        repos = scan_cache_dir(constants.HF_HUB_CACHE).repos
    except CacheNotFound:
        return []
    known = {facts.id for facts in CATALOG}
    return sorted(
        f"{repo.repo_id}@{name}"
        for repo in repos
        if repo.repo_type == "model" and repo.repo_id in known
        for revision in repo.revisions
        for name in revision.refs or (revision.commit_hash,)
    )


def resolved_revision(reference: str) -> str | None:
    """The commit that the cache holds for a reference; None if there is none, or for a local folder."""
    folder = None if is_local(reference) else cached_folder(reference)
    return None if folder is None else folder.name


def cached_bytes(reference: str) -> int:
    """Bytes of the cached files of a model; 0 if there are none."""
    folder = cached_folder(reference)
    return 0 if folder is None else sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())


def needed_files(reference: str) -> tuple[str, ...]:
    """Patterns of the files that densecorr loads: the catalogue's, else by the kind of model that is cached."""
    facts = facts_of(reference)
    if facts.files == NETWORK_FILES:
        folder = cached_folder(reference)
        if folder is not None and (folder / "model_index.json").is_file():
            return DIFFUSION_FILES
    return facts.files


def listed_sizes(reference: str, patterns: Sequence[str]) -> dict[str, int] | None:
    """Name to bytes of the model's files that fit, as the hub listed them; None where no list is kept.

    huggingface_hub keeps the list of every snapshot that it downloaded itself; single files that another
    program fetched, or an older cache, come without one.
    """
    from huggingface_hub import get_cached_repo_tree
    from huggingface_hub.errors import CachedRepoTreeNotFoundError

    if is_local(reference):
        return None
    name, revision = split_reference(reference)
    try:
        tree = get_cached_repo_tree(name, revision=revision)
    except CachedRepoTreeNotFoundError:
        return None
    return {file.path: file.size for file in tree if _fits(file.path, patterns)}


def is_whole(reference: str, patterns: Sequence[str]) -> bool:
    """Whether every file that the hub lists for the patterns is cached; False where that is not known."""
    folder, sizes = cached_folder(reference), listed_sizes(reference, patterns)
    return folder is not None and bool(sizes) and all((folder / name).is_file() for name in sizes)


def cache_state(reference: str) -> CacheState:
    """Whether the files that densecorr loads are cached; their content is not read (see `check_files`)."""
    patterns = needed_files(reference)
    if cached_folder(reference) is None:
        return "no" if listed_sizes(reference, patterns) is None else "part"  # a download that just began
    return "part" if missing_files(reference, patterns) else "yes"


def missing_files(reference: str, patterns: Sequence[str]) -> list[FileProblem]:
    """Files that should be there and are not: by the hub's list, else by what a model cannot do without."""
    folder = cached_folder(reference)
    if folder is None:
        return [FileProblem("all files", "not cached")]
    present = _present_files(folder, patterns)
    absent = sorted((listed_sizes(reference, patterns) or {}).keys() - set(present))
    problems = [FileProblem(name, "missing") for name in absent]
    for pattern in patterns:
        if pattern.endswith((".json", ".safetensors")) and not fnmatch.filter(present, pattern):
            problems.append(FileProblem(pattern, "no such file"))
    for index in (folder / name for name in present if name.endswith(".safetensors.index.json")):
        for shard in (index.parent / name for name in _shards(index)):
            if not shard.is_file() and shard.relative_to(folder).as_posix() not in absent:
                problems.append(FileProblem(shard.relative_to(folder).as_posix(), "missing"))
    return problems


def check_files(reference: str, patterns: Sequence[str] = ()) -> list[FileProblem]:
    """Everything missing or damaged among a model's files: absent, cut off, not JSON, a garbled header.

    Args:
        reference: as in `densecorr.hub`.
        patterns: of the files to look at; those that densecorr loads if left out.
    """
    patterns = patterns or needed_files(reference)
    problems = missing_files(reference, patterns)
    folder = cached_folder(reference)
    if folder is None:
        return problems
    sizes = listed_sizes(reference, patterns) or {}
    for name in _present_files(folder, patterns):
        what = _damage(folder / name, sizes.get(name))
        problems += [FileProblem(name, what)] if what else []
    return problems


def _present_files(folder: Path, patterns: Sequence[str]) -> list[str]:
    """Names of the files below a folder that fit; a link whose content is gone does not count."""
    names = (path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file())
    return [name for name in names if _fits(name, patterns)]


def _fits(name: str, patterns: Sequence[str]) -> bool:
    """As huggingface_hub chooses: by any of the patterns, none of the ignored ones; `*` passes over `/`."""
    wanted = any(fnmatch.fnmatch(name, pattern) for pattern in patterns)
    return wanted and not any(fnmatch.fnmatch(name, pattern) for pattern in IGNORED_FILES)


def _shards(index: Path) -> list[str]:
    """The files of weights that an index names; none if it cannot be read, which `_damage` says."""
    try:
        return sorted(set(json.loads(index.read_bytes())["weight_map"].values()))
    except (ValueError, KeyError, AttributeError, TypeError):
        return []


def _damage(path: Path, size: int | None) -> str:
    """What is wrong with one file; nothing if it can be read and has the listed size, in bytes."""
    from safetensors import SafetensorError, safe_open

    there = path.stat().st_size
    if size is not None and there != size:
        return f"{there} bytes in place of {size}"
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="numpy"):
                return ""
        if path.name.endswith(".safetensors.index.json"):
            return "" if _shards(path) else "names no weights"
        if path.suffix == ".json":
            json.loads(path.read_bytes())
    except (SafetensorError, ValueError, OSError) as error:
        return f"{type(error).__name__}: {error}"
    return ""
