"""Drafts: private folders in which artifacts grow until they are published.

    <workspace>/drafts/<name>/draft.json    the recipe, and who works on it
    <workspace>/drafts/<name>/files/        what `write` fills
    <workspace>/drafts/<name>.lock          held by the operating system while the draft is in use

The lock is taken before the folder is made and dies with its process, so a draft without a held lock is
stale. A lock file is only ever deleted by the one who holds it; filelock tells a waiter that its file is
gone.
"""

import contextlib
import json
import logging
import os
import platform
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from pyarrow.fs import LocalFileSystem

from .filesystem import Place, explain_access, list_folder, remove_folder, write_atomically
from .manifest import MANIFEST_NAME
from .recipe import ArtifactId, Recipe, is_artifact_id
from .shards import remove_unfinished

logger = logging.getLogger(__name__)

_POLL_S = 0.2


@dataclass(frozen=True)
class Draft:
    """A draft of this process; `files` is the folder to fill."""

    artifact_id: ArtifactId
    folder: Path

    @property
    def files(self) -> Path:
        """The folder that becomes the artifact."""
        return self.folder / "files"


@dataclass(frozen=True)
class FoundDraft:
    """A draft seen from outside: whether a live process uses it, and its draft.json (None: unreadable)."""

    folder: Path
    in_use: bool
    note: dict[str, Any] | None

    @property
    def resumable(self) -> bool:
        """Whether a later run of the recipe would continue it."""
        return is_artifact_id(self.folder.name)

    @property
    def inputs(self) -> list[str]:
        """The input ids of the draft's recipe."""
        values = (self.note or {}).get("recipe", {}).get("inputs", {}).values()
        return [item for value in values for item in ([value] if isinstance(value, str) else value)]


def drafts_folder(place: Place) -> Path:
    """Where this store keeps drafts and their locks, on the local disk."""
    return place.workspace / "drafts"


@contextlib.contextmanager
def open_draft(place: Place, recipe: Recipe, *, resume: bool) -> Iterator[Draft]:
    """A draft for the recipe, locked until the block ends.

    With `resume` the draft is the recipe's own: finished shards of a killed run are in it; if another process
    works on it, wait until that ends (so look again whether the artifact exists). After an error it stays for
    the next try. Without, the draft is new and vanishes with the block.
    """
    artifact_id = recipe.digest()
    name = artifact_id if resume else f"{artifact_id}-{secrets.token_hex(4)}"
    folder = drafts_folder(place) / name
    lock = _lock(folder)
    with explain_access(str(folder.parent)):
        folder.parent.mkdir(parents=True, exist_ok=True)
        held = _try_lock(lock)
    if not held:
        logger.info("Another run is making %s %s; waiting for it", recipe.stage, artifact_id)
        lock.acquire(poll_interval=_POLL_S)
    draft = Draft(artifact_id, folder)
    keep = resume
    try:
        draft.files.mkdir(parents=True, exist_ok=True)
        remove_unfinished(folder)
        (draft.files / MANIFEST_NAME).unlink(missing_ok=True)  # of a run killed just before the rename
        write_atomically(folder / "draft.json", json.dumps(_note(recipe)).encode())
        yield draft
        keep = False
    finally:
        with _released(lock):
            if not keep:
                remove_folder(folder)


def find_drafts(place: Place) -> list[FoundDraft]:
    """Every draft in the store's workspace, by name."""
    found = []
    for info in list_folder(LocalFileSystem(), str(drafts_folder(place))):
        folder = Path(info.path)
        if folder.suffix == ".lock":
            continue
        in_use = not remove_if_free(folder, only_look=True)
        found.append(FoundDraft(folder, in_use, _read_note(folder)))
    return found


def remove_if_free(folder: Path, *, only_look: bool = False) -> bool:
    """Delete a draft and its lock file unless a live process holds it; whether it was free."""
    lock = _lock(folder)
    with explain_access(str(folder)):
        held = _try_lock(lock)
    if not held:
        return False
    with _released(lock):
        if not only_look:
            remove_folder(folder)
    return True


def remove_stray_locks(place: Place) -> None:
    """Delete lock files left by processes that were killed between deleting a draft and its lock."""
    for path in sorted(drafts_folder(place).glob("*.lock")):
        folder = path.with_suffix("")
        if not folder.exists():
            remove_if_free(folder)


def _lock(folder: Path) -> FileLock:
    return FileLock(f"{folder}.lock", thread_local=False)


def _try_lock(lock: FileLock) -> bool:
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    return True


@contextlib.contextmanager
def _released(lock: FileLock) -> Iterator[None]:
    """Run the block, then delete the lock file and let go, in that order: see the module's docstring."""
    try:
        yield
    finally:
        with contextlib.suppress(PermissionError):  # Windows keeps an open file; there release() deletes it
            Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


def _note(recipe: Recipe) -> dict[str, Any]:
    return {
        "recipe": recipe.plain(),
        "pid": os.getpid(),
        "host": platform.node(),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _read_note(folder: Path) -> dict[str, Any] | None:
    try:
        return json.loads((folder / "draft.json").read_text())
    except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError):
        return None
