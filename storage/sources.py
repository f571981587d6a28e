"""Digests of source files and folders: how what is not in the store enters a recipe.

Reading hundreds of gigabytes for every run would cost hours, so each source's per-file digests are kept with
the file's size and times (as git's index does); a file is read again only if one of these changed.
"""

import hashlib
import json
import logging
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from densecorr.errors import DatasetNotFoundError

from .filesystem import hash_local, write_atomically

logger = logging.getLogger(__name__)

_REMEMBER_S = 10.0  # between two notes of what was read so far: so much work a kill costs
_SETTLED_S = 2.0  # a file changed this recently may change again without its times showing it
_WORKERS = 4
_FORMAT = 1

Stamp = tuple[int, int, int]  # size, mtime_ns, ctime_ns


def digest_source(path: str | Path, cache: Path | None = None, leave_out: Path | None = None) -> str:
    """The digest "sha256:<hex>" of a file's content, or of a folder's sorted relative names and contents.

    Names, times and permissions of the source itself do not enter; links are followed; empty folders do not
    count.

    Args:
        path: a local file or folder.
        cache: folder for the per-file digests of earlier calls; safe to share between processes.
        leave_out: a folder to skip inside the source (the store itself, should it lie there).

    Raises:
        DatasetNotFoundError: there is nothing at `path`.
    """
    source = Path(path).expanduser().absolute()
    if source.is_file():
        files = {"": source}
    elif source.is_dir():
        files = _files_below(source, leave_out)
    else:
        raise DatasetNotFoundError(
            f"a file or folder at {source}", "nothing there", "Correct the path, or get the data."
        )
    remembered = cache / f"{hashlib.sha256(os.fsencode(source)).hexdigest()[:20]}.json" if cache else None
    known = _recall(remembered) if remembered else {}
    digests = _digest_files(files, known, remembered)
    if source.is_file():
        return f"sha256:{digests['']}"
    listing = hashlib.sha256(b"folder\n")
    for name in sorted(digests):
        listing.update(name.encode(errors="surrogateescape") + b"\0" + digests[name].encode() + b"\n")
    return f"sha256:{listing.hexdigest()}"


def _digest_files(
    files: dict[str, Path], known: dict[str, tuple[Stamp, str]], remembered: Path | None
) -> dict[str, str]:
    """Relative name to sha256; reads what `known` cannot answer, and notes what can be trusted later."""
    stamps = {name: _stamp(path) for name, path in files.items()}
    digests = {name: known[name][1] for name in files if name in known and known[name][0] == stamps[name]}
    unread = [name for name in files if name not in digests]
    settled = {name: (stamps[name], digest) for name, digest in digests.items()}
    started, noted = time.time(), time.monotonic()
    with ThreadPoolExecutor(_WORKERS) as pool:
        hashes = pool.map(lambda name: hash_local(files[name]), unread)
        for name, digest in zip(unread, hashes, strict=True):
            digests[name] = digest
            if max(stamps[name][1:]) / 1e9 < started - _SETTLED_S and _stamp(files[name]) == stamps[name]:
                settled[name] = (stamps[name], digest)
            if remembered and time.monotonic() - noted > _REMEMBER_S:
                _remember(remembered, settled)
                noted = time.monotonic()
    if unread and remembered:
        _remember(remembered, settled)
    return digests


def _files_below(folder: Path, leave_out: Path | None) -> dict[str, Path]:
    """Relative name (with "/") to path of every file below; follows links to folders, but none twice."""
    found: dict[str, Path] = {}
    seen: set[tuple[int, int]] = set()
    skip = leave_out.resolve() if leave_out is not None and leave_out.exists() else None
    for parent, folders, names in os.walk(folder, followlinks=True):
        status = os.stat(parent)
        if (status.st_dev, status.st_ino) in seen or (skip is not None and Path(parent).resolve() == skip):
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders.sort()
        for name in names:
            path = Path(parent, name)
            if path.is_file():
                found[path.relative_to(folder).as_posix()] = path
    return found


def _stamp(path: Path) -> Stamp:
    status = path.stat()
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _recall(path: Path) -> dict[str, tuple[Stamp, str]]:
    try:
        data = json.loads(path.read_bytes())
        if data["format"] != _FORMAT:
            return {}
        return {name: (tuple(stamp), digest) for name, (stamp, digest) in data["files"].items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        logger.warning("The source is read again, its remembered digests in %s are unusable: %s", path, error)
        return {}


def _remember(path: Path, files: dict[str, tuple[Stamp, str]]) -> None:
    """Whole or not at all; if two processes write at once the later one stands, and either is true."""
    try:
        write_atomically(path, json.dumps({"format": _FORMAT, "files": files}).encode())
    except OSError as error:  # a store that may only be read, a full disk: the digest itself is known
        logger.warning("Digests of source files could not be remembered for the next run: %s", error)
