"""The image files that a COCO file names: found, measured and hashed; addresses are left for later."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import ImageError
from ..image_headers import image_errors, read_header
from ..image_uris import is_uri
from .coco_types import CocoImage

NO_NAME = "neither file_name nor coco_url nor flickr_url"
GROUP = 32  # images a thread takes at once
NOTED = 1024  # files read between two notes

IMAGE_FILES = pa.schema(
    [
        ("path", pa.string()),  # below the image folder
        ("bytes", pa.int64()),
        ("mtime_ns", pa.int64()),
        ("sha256", pa.string()),
        ("width", pa.int32()),  # upright
        ("height", pa.int32()),
    ]
)
"""The table of the image files that were read, and the state they were in."""


class ImageFile(NamedTuple):
    """What the disk says about an image."""

    uri: str
    sha256: str | None = None
    size: tuple[int, int] | None = None  # width, height, upright
    problem: str | None = None
    turned: bool = False  # stored on its side: its EXIF tag says so, the file's size does not
    stamp: tuple[int, int] | None = None  # size in bytes and mtime_ns of the file, where it was found
    known: bool = False  # as an earlier data set says, not read again


KnownFiles = Mapping[str, ImageFile]  # by path below the image folder


@dataclass(frozen=True)
class FileMemory:
    """Image files that need not be read again while they are the same, and where to note those that were read.

    `earlier` are those of an earlier data set; `finished` those that this reading noted before it was stopped.
    `note` is called with the good files, of the size that the JSON gives, that were read since its last call: some
    `NOTED`, fewer at the end.
    """

    earlier: KnownFiles = field(default_factory=dict)
    finished: KnownFiles = field(default_factory=dict)
    note: Callable[[list[ImageFile]], object] | None = None


NOTHING_KNOWN = FileMemory()


def known_files(path: Path, *, earlier: bool = True) -> dict[str, ImageFile]:
    """The files of a table of `IMAGE_FILES`, for a `FileMemory`; `earlier`: an earlier data set's."""
    found = {}
    for batch in pq.ParquetFile(path).iter_batches(columns=IMAGE_FILES.names):
        for name, n_bytes, mtime, digest, width, height in zip(*batch.to_pydict().values(), strict=True):
            found[name] = ImageFile(name, digest, (width, height), stamp=(n_bytes, mtime), known=earlier)
    return found


def image_file_table(files: Iterable[ImageFile]) -> pa.Table:
    """The table of `IMAGE_FILES` of those that were read; addresses have no row."""
    rows = [(f.uri, *f.stamp, f.sha256, *f.size) for f in files if f.stamp is not None and f.size is not None]
    columns = zip(*rows, strict=True) if rows else [()] * len(IMAGE_FILES)
    arrays = [pa.array(values, kind.type) for values, kind in zip(columns, IMAGE_FILES, strict=True)]
    return pa.table(arrays, schema=IMAGE_FILES)


def inspect_files(
    images: Sequence[CocoImage], root: Path, check: bool, threads: int, memory: FileMemory = NOTHING_KNOWN
) -> Iterator[ImageFile]:
    """What the disk says about each image; without the checks, only where LVIS's are.

    A file that is in the memory with the same bytes and time is not opened, unless the JSON gives it another size.
    """
    if not check:
        folder = str(root)
        yield from (_find(image, folder) for image in images)
        return
    groups = [images[start : start + GROUP] for start in range(0, len(images), GROUP)]
    unnoted: list[ImageFile] = []
    with ThreadPoolExecutor(threads) as pool:
        inspected = pool.map(lambda group: [_inspect(image, root, memory) for image in group], groups)
        for group, found in zip(groups, inspected, strict=True):
            yield from found
            if memory.note is not None:
                unnoted += [
                    file for image, file in zip(group, found, strict=True) if _is_news(image, file, memory)
                ]
                if len(unnoted) >= NOTED:
                    memory.note(unnoted)
                    unnoted = []
    if memory.note is not None and unnoted:
        memory.note(unnoted)


def _is_news(image: CocoImage, file: ImageFile, memory: FileMemory) -> bool:
    """Whether a file was read just now, and need not be again."""
    was_read = file.stamp is not None and not file.known and memory.finished.get(file.uri) != file
    return was_read and _fits(image, file)


def _inspect(image: CocoImage, root: Path, memory: FileMemory) -> ImageFile:
    """Find an image's file, hash it, read its size as shown; runs in a thread. An address is left for later."""
    candidates = _candidates(image)
    if candidates and is_uri(candidates[0]):
        return ImageFile(candidates[0])
    for uri in candidates:
        path = root / uri
        try:
            if not path.is_file():
                continue
            status = path.stat()  # before reading: a file that changes meanwhile is read again next time
            stamp = (status.st_size, status.st_mtime_ns)
            for before in (memory.earlier.get(uri), memory.finished.get(uri)):
                if before is not None and before.stamp == stamp and _fits(image, before):
                    return before
            header = read_header(path)
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            size = (header.width, header.height)
            turned = size == (image.height, image.width) and _is_turned(path, size)
            return ImageFile(uri, digest, size, turned=turned, stamp=stamp)
        except ImageError as error:
            return ImageFile(uri, problem=f"an unreadable file {error.args[1]}")
        except (OSError, ValueError) as error:  # names too long, or with a null
            return ImageFile(uri, problem=f"an unreadable file {path} ({error})")
    if not candidates:
        return ImageFile("", problem=NO_NAME)
    return ImageFile(candidates[0], problem=f"no file {root / candidates[0]}")


def _fits(image: CocoImage, file: ImageFile) -> bool:
    """Whether a file has the size that the JSON gives, if it gives one."""
    return None in (image.width, image.height) or file.size == (image.width, image.height)


def _find(image: CocoImage, root: str) -> ImageFile:
    """An image's name below the root, unchecked; where there are two choices, the one that is there."""
    candidates = _candidates(image)
    if not candidates:
        return ImageFile("", problem=NO_NAME)
    there = (uri for uri in candidates[:-1] if os.path.exists(os.path.join(root, uri)))
    return ImageFile(candidates[0] if len(candidates) == 1 else next(there, candidates[-1]))


def _is_turned(path: Path, size: tuple[int, int]) -> bool:
    """Whether an image of that size as shown is stored on its side."""
    from PIL import Image

    with image_errors(path), Image.open(path) as image:
        return image.size != size


def _candidates(image: CocoImage) -> list[str]:
    """Where the file may be below the root; LVIS keeps the folder (train2017/...) in its url."""
    if image.file_name:
        return [image.file_name]
    url = image.coco_url or image.flickr_url
    if not url:
        return []
    parts = urlsplit(url).path.strip("/").split("/")
    return list(dict.fromkeys(["/".join(parts[-2:]), parts[-1]])) if parts[-1] else []
