"""Local folders and object stores behind one interface: whatever the store reads goes through `pyarrow.fs`.

Only writing differs, in one function here (`put_file`) and one in `storage/publish.py`: a local file system
can rename atomically and must be told to flush (fsync); an object store shows an object once its upload ends.
"""

import contextlib
import errno
import hashlib
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from pyarrow import fs

from densecorr.errors import ArtifactError, SettingsError

TEMPORARY_PREFIX = ".tmp-"  # nothing under such a name is ever published or read
_CHUNK_BYTES = 1 << 20
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
_DISK_FULL_TEXTS = (
    "no space left on device",
    "os error 28",
    "disk quota exceeded",
)  # safetensors has no errno


@dataclass(frozen=True)
class Place:
    """Where one store lives: `root` inside `filesystem`; drafts, locks and caches in a local `workspace`.

    For a local store the workspace is the store's own folder, so that a finished draft is published by a
    rename.
    """

    uri: str
    filesystem: fs.FileSystem
    root: str
    workspace: Path

    @property
    def is_local(self) -> bool:
        """Whether renames are atomic here and paths can be opened by anyone."""
        return isinstance(self.filesystem, fs.LocalFileSystem)

    def join(self, *names: str) -> str:
        """The path of `names` under the store's root."""
        return "/".join((self.root.rstrip("/"), *names))


def open_place(uri: str | Path, filesystem: fs.FileSystem | None = None, cache: Path | None = None) -> Place:
    """The place that `uri` names: a local folder or an address such as `s3://bucket/prefix`.

    Args:
        uri: the address; with `filesystem`, a path inside that.
        filesystem: opened by the caller (own credentials, tests), else found from the address.
        cache: local folder for drafts and copies of a store that is not local; by default one a store under
            `DENSECORR_CACHE` or the user's cache folder.

    Raises:
        SettingsError: no file system is known for the address.
    """
    text = str(uri)
    found, root = (filesystem, text) if filesystem is not None else _from_address(text)
    if isinstance(found, fs.LocalFileSystem):
        return Place(text, found, root, Path(root))
    key = hashlib.sha256(f"{found.type_name} {text}".encode()).hexdigest()[:16]
    return Place(text, found, root, cache if cache is not None else _cache_home() / "stores" / key)


def _from_address(text: str) -> tuple[fs.FileSystem, str]:
    if "://" in text:
        try:
            return fs.FileSystem.from_uri(text)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError, ImportError) as error:
            raise SettingsError(
                "a store that is a local folder or an address such as s3://bucket/prefix",
                f"'{text}' ({error})",
                "Correct --store or DENSECORR_STORE.",
            ) from error
    return fs.LocalFileSystem(), str(Path(text).expanduser().absolute())


def _cache_home() -> Path:
    own = os.environ.get("DENSECORR_CACHE")
    if own:
        return Path(own).expanduser().absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "densecorr"


def read_file(filesystem: fs.FileSystem, path: str) -> bytes | None:
    """The content of a file, None if there is none."""
    with explain_access(path):
        try:
            with filesystem.open_input_stream(
                path, compression=None
            ) as stream:  # "detect" would unpack a .gz
                return stream.read()
        except (FileNotFoundError, NotADirectoryError):
            return None


def list_folder(filesystem: fs.FileSystem, path: str, *, recursive: bool = False) -> list[fs.FileInfo]:
    """What lies in a folder, sorted by path; nothing if the folder does not exist."""
    selector = fs.FileSelector(path, allow_not_found=True, recursive=recursive)
    with explain_access(path):
        return sorted(filesystem.get_file_info(selector), key=lambda info: info.path)


def put_file(place: Place, path: str, content: bytes) -> None:
    """Write one small file so that a reader, or a crash, sees the old or the new content, nothing between."""
    if place.is_local:
        write_atomically(Path(path), content)
        return
    with explain_access(path):
        place.filesystem.create_dir(path.rpartition("/")[0], recursive=True)
        with place.filesystem.open_output_stream(path, compression=None) as stream:
            stream.write(content)


def write_atomically(path: Path, content: bytes) -> None:
    """Write a local file by a temporary neighbour, flushed to the disk, and a rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{TEMPORARY_PREFIX}{secrets.token_hex(6)}-{path.name}")
    try:
        with open(temporary, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    flush_folder(path.parent)


def flush_folder(folder: Path) -> None:
    """Make the names in a local folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove_folder(folder: Path) -> None:
    """Delete a local folder or file; one that is gone already is no error."""
    if folder.is_dir() and not folder.is_symlink():
        shutil.rmtree(folder, ignore_errors=False, onerror=_unless_gone)
    else:
        folder.unlink(missing_ok=True)


def _unless_gone(_function: Callable[..., object], _path: str, info: tuple) -> None:
    if not isinstance(info[1], FileNotFoundError):
        raise info[1]


def folder_bytes(folder: Path) -> int:
    """Sum of the sizes of the files under a local folder; files that vanish meanwhile count nothing."""
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            total += path.lstat().st_size if path.is_file() else 0
    return total


def hash_local(path: Path) -> str:
    """The sha256 of a local file, hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_stored(filesystem: fs.FileSystem, path: str) -> str:
    """The sha256 of a file on any file system, hex, read in chunks."""
    digest = hashlib.sha256()
    with filesystem.open_input_stream(path, compression=None) as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


@contextlib.contextmanager
def explain_access(path: str) -> Iterator[None]:
    """Turn a file system's complaint (permissions, credentials, network) into an ArtifactError."""
    try:
        yield
    except OSError as error:
        if is_disk_full(error):
            raise
        raise ArtifactError(
            f"to reach {path} in the store",
            f"'{error}'",
            "Check the store's address, your permissions and credentials, and the network.",
        ) from error


def is_disk_full(error: BaseException | None) -> bool:
    """Whether this error, or one that it came from, says that the disk or the quota is full."""
    seen = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, OSError) and error.errno in _DISK_FULL:
            return True
        if any(text in str(error).lower() for text in _DISK_FULL_TEXTS):
            return True
        error = error.__cause__ or error.__context__
    return False


@contextlib.contextmanager
def explain_full_disk(place: Place, what: str) -> Iterator[None]:
    """Turn 'no space left' from whatever layer into an ArtifactError that says what to do."""
    try:
        yield
    except ArtifactError:
        raise
    except Exception as error:
        if not is_disk_full(error):
            raise
        raise ArtifactError(
            f"room in {place.workspace} to write {what}",
            f"'{error}' ({_free_text(place.workspace)} free after cleaning up)",
            "Free space there (`densecorr store gc` lists what can go) or name another store with --store, "
            "then run the same command again: nothing half-written is visible, and finished shards are kept.",
        ) from error


def _free_text(folder: Path) -> str:
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return f"{shutil.disk_usage(folder).free / 2**20:.0f} MiB"
