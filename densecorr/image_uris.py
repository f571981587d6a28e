"""Images at addresses (`s3://`, `gs://`, `https://`, ...): fetched when they are first read, then kept on disk.

`file://` is this machine. `http(s)://` is read with httpx; everything else with fsspec, which takes its options from
the environment (`FSSPEC_S3_ANON=true`, `AWS_ENDPOINT_URL=...`). A fetched file is found by its address: one that
changes at its source is not noticed until the cache folder is emptied.
"""

import functools
import hashlib
import os
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from .errors import DatasetNotFoundError, DependencyError, ImageError, SettingsError

DEFAULT_GIGABYTES = 20.0
EXTRAS = {
    "s3": "s3",
    "s3a": "s3",
    "gs": "gcs",
    "gcs": "gcs",
}  # protocol to the extra of densecorr that reads it
FETCH_BYTES, HEADER_BYTES = 8 << 20, 1 << 16
ATTEMPTS, TIMEOUT_S = 3, 60.0
_OURS = re.compile(r"[0-9a-f]{64}(\..+)?")  # a cache folder may hold files of others: they are left alone


class _Temporary(ImageError):
    """A failure that may pass: the address is tried again."""


def is_uri(place: Path | str) -> bool:
    """Whether this is an address (`scheme://...`) and not a path."""
    return isinstance(place, str) and "://" in place


def is_remote(place: Path | str) -> bool:
    """Whether this is an address that has to be fetched."""
    return is_uri(place) and not str(place).startswith("file://")


def local_image(place: Path | str) -> Path:
    """The local file of an image: a path itself, or the cached copy of an address, which is fetched if need be.

    Raises:
        DatasetNotFoundError: not cached, and `HF_HUB_OFFLINE` (`densecorr --offline`) is set.
        DependencyError: the address needs a package that is not installed, or the cache folder cannot be written.
        ImageError: nothing can be read at the address.
    """
    if not is_uri(place):
        return Path(place)
    uri = str(place)
    if not is_remote(uri):
        return Path(url2pathname(urlsplit(uri).path))
    return _cache(*_cache_settings()).get(uri)


def cached_image(uri: str) -> Path | None:
    """The cached copy of an address, if there is one; nothing is fetched."""
    path = _cache(*_cache_settings()).path(uri)
    return path if path.is_file() else None


def read_chunks(uri: str, size: int = HEADER_BYTES) -> Iterator[bytes]:
    """The bytes at an address, `size` or fewer at once; whoever stops early leaves the rest where it is.

    Raises:
        DatasetNotFoundError, DependencyError, ImageError: as `local_image`.
    """
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        raise DatasetNotFoundError(
            f"{uri} in the image cache, since nothing may be fetched offline",
            f"no copy in {_cache_settings()[0]}",
            "Run once without --offline (HF_HUB_OFFLINE), or copy the image to this machine.",
        )
    read = _read_http if uri.startswith(("http://", "https://")) else _read_fsspec
    return read(uri, size)


class ImageCache:
    """A folder of fetched files, of bounded size: those unused for longest go first.

    The size is counted when the first file is added and again whenever a twentieth of the limit was added, so
    processes that share a folder may exceed the limit by that much each.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        """Keep at most `limit` bytes in `folder`, which is made when something is kept."""
        self.folder, self.limit = folder, limit
        self._lock = threading.Lock()
        self._added = limit  # as if full: the first file has the folder counted

    def path(self, uri: str) -> Path:
        """Where the copy of an address is, or would be."""
        name = hashlib.sha256(uri.encode()).hexdigest()
        return self.folder / name[:2] / name

    def get(self, uri: str) -> Path:
        """The copy of an address, fetched if need be; errors as of `local_image`."""
        path = self.path(uri)
        try:
            os.utime(path)  # used just now
        except (FileNotFoundError, NotADirectoryError):
            self._fetch(uri, path)
        except PermissionError:  # a folder shared for reading: its owner keeps it in bounds
            return path
        return path

    def trim(self) -> None:
        """Remove the files unused for longest until nine tenths of the limit are left, if it is exceeded."""
        found = sorted((status.st_mtime_ns, status.st_size, path) for path, status in self._files())
        excess = sum(size for _, size, _ in found) - self.limit
        if excess > 0:
            excess += self.limit // 10
            for _, size, path in found[:-1]:  # the newest is about to be read
                if excess <= 0:
                    break
                path.unlink(missing_ok=True)
                excess -= size

    def _files(self) -> Iterator[tuple[Path, os.stat_result]]:
        for path in self.folder.glob("??/*"):
            if _OURS.fullmatch(path.name):
                try:
                    yield path, path.stat()
                except FileNotFoundError:  # another process removed it
                    continue

    def _fetch(self, uri: str, path: Path) -> None:
        part = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                n_bytes = _download(uri, part)
                os.replace(part, path)
            finally:
                part.unlink(missing_ok=True)
        except OSError as error:
            raise DependencyError(
                f"room for images in the cache folder {self.folder}",
                str(error),
                "Free some, or name another folder in DENSECORR_IMAGE_CACHE.",
            ) from error
        with self._lock:
            self._added += n_bytes
            if self._added * 20 > self.limit:
                self.trim()
                self._added = 0


@functools.cache
def _cache(folder: Path, limit: int) -> ImageCache:
    return ImageCache(folder, limit)


def _cache_settings() -> tuple[Path, int]:
    """The folder and its limit in bytes: DENSECORR_IMAGE_CACHE, DENSECORR_IMAGE_CACHE_GB."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = os.environ.get("DENSECORR_IMAGE_CACHE") or Path(base) / "densecorr" / "images"
    text = os.environ.get("DENSECORR_IMAGE_CACHE_GB", str(DEFAULT_GIGABYTES))
    try:
        limit = int(float(text) * 1e9)
    except (ValueError, OverflowError):
        limit = 0
    if limit <= 0:
        raise SettingsError(
            "a number of gigabytes above 0 in DENSECORR_IMAGE_CACHE_GB", repr(text), "Correct the variable."
        )
    return Path(folder).expanduser().absolute(), limit


def _download(uri: str, part: Path) -> int:
    """Write what is at an address to a file, trying again what may pass; returns the bytes."""
    for attempt in range(ATTEMPTS):
        try:
            with part.open("wb") as file:
                return sum(file.write(chunk) for chunk in read_chunks(uri, FETCH_BYTES))
        except _Temporary:
            if attempt == ATTEMPTS - 1:
                raise
            time.sleep(0.5 * 2**attempt)
    raise AssertionError("the last attempt returns or raises")


@functools.cache
def _http_client(pid: int) -> Any:
    """One a process: a forked child must not share its parent's connections."""
    import httpx

    return httpx.Client(follow_redirects=True, timeout=TIMEOUT_S)


def _read_http(uri: str, size: int) -> Iterator[bytes]:
    import httpx

    try:
        with _http_client(os.getpid()).stream("GET", uri) as answer:
            if answer.status_code == 429 or answer.status_code >= 500:
                raise _unread(uri, f"status {answer.status_code}", _Temporary)
            if answer.is_error:
                raise _unread(uri, f"status {answer.status_code} {answer.reason_phrase}")
            yield from answer.iter_bytes(size)
    except httpx.TransportError as error:
        raise _unread(uri, f"{type(error).__name__}: {error}", _Temporary) from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise _unread(uri, f"{type(error).__name__}: {error}") from error


def _read_fsspec(uri: str, size: int) -> Iterator[bytes]:
    import fsspec

    protocol = uri.partition("://")[0]
    try:
        filesystem, path = fsspec.core.url_to_fs(uri)
        with filesystem.open(path, "rb", block_size=size) as file:
            while chunk := file.read(size):
                yield chunk
    except ImportError as error:
        extra = EXTRAS.get(protocol)
        remedy = f"pip install 'densecorr[{extra}]'." if extra else "Install the package that it names."
        raise DependencyError(f"a package that reads {protocol}:// addresses", str(error), remedy) from error
    except FileNotFoundError as error:
        raise _unread(uri, "no such file") from error
    except Exception as error:  # each protocol's package has its own errors, most of them plain Exceptions
        raise _unread(uri, f"{type(error).__name__}: {error}") from error


def _unread(uri: str, received: str, kind: type[ImageError] = ImageError) -> ImageError:
    return kind(f"an image at {uri}", received, "Check the address and the credentials for it.")
