"""Images without annotations as a data set: a folder, a list of files and addresses, or videos."""

import json
import posixpath
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
from PIL import Image

from ..config import check_least
from ..errors import AnnotationError, DensecorrError, EmptyInstanceError, ImageError, SettingsError
from ..image_headers import ImageHeader, read_header
from ..image_uris import is_remote, is_uri
from ..images import read_image
from .arrow import IMAGES, INSTANCES, LABELS, DatasetTables
from .checks import Rejects
from .duplicates import THRESHOLD, check_threshold, duplicate_labels, groups_of, hash_file, perceptual_hash
from .image_places import ImagePlace, find_places
from .video import read_frames

JPEG_QUALITY = 95
FRAMES = "frames"  # folder, in the data set, of the frames of videos
DUPLICATES = pa.schema([("image_id", pa.string()), ("phash", pa.string()), ("group", pa.int64())])
Progress = Callable[[int, int | None, str], object]


@dataclass(frozen=True)
class ImageSetSettings:
    """How images without annotations become a data set.

    Attributes:
        every_seconds: of a video, one frame each so many seconds; 1 if `every_frames` is not set either.
        every_frames: of a video, frames 0, n, 2n, ...
        max_frames: at most so many frames a video, the first ones.
        frame_format: how frames are written; "jpg" (quality 95) is much smaller, "png" keeps every bit.
        licence: of images that do not name their own (XMP: cc:license, xmpRights:WebStatement).
        source_url: where the images are from; kept in dataset.json.
        split: the split that they are.
        duplicates: "near" decodes every local image and compares perceptual hashes, "exact" compares sha256 and reads
            no more than the images' headers.
        duplicate_threshold: bits of 64 that the hashes of near-duplicates may differ in.
        on_error: stop at the first bad file ("raise"), or set bad files aside in the quarantine table ("skip").
    """

    every_seconds: float | None = None
    every_frames: int | None = None
    max_frames: int | None = None
    frame_format: Literal["jpg", "png"] = "jpg"
    licence: str | None = None
    source_url: str | None = None
    split: str | None = None
    duplicates: Literal["near", "exact"] = "near"
    duplicate_threshold: int = THRESHOLD
    on_error: Literal["raise", "skip"] = "raise"

    def __post_init__(self) -> None:
        """Refuse two ways of choosing frames, and steps that are not above 0."""
        if self.every_seconds is not None and self.every_frames is not None:
            raise SettingsError("every_seconds or every_frames", "both", "Leave one of them out.")
        if self.every_seconds is not None and not self.every_seconds > 0:
            raise SettingsError("every_seconds above 0", str(self.every_seconds), "Correct the settings.")
        check_threshold(self.duplicate_threshold)
        check_least(self, {n: 1 for n in ("every_frames", "max_frames") if getattr(self, n) is not None})


@dataclass(frozen=True)
class ImageSet:
    """The tables, and for each image its perceptual hash (hex) and the number of its group of duplicates."""

    tables: DatasetTables
    duplicates: pa.Table
    n_left_out: int = 0  # files that are neither image nor video

    @property
    def groups(self) -> list[list[str]]:
        """The groups of two or more duplicates, as image ids."""
        ids = self.duplicates["image_id"].to_pylist()
        return [[ids[k] for k in group] for group in groups_of(self.duplicates["group"].to_numpy())]


@dataclass
class _Rows:
    """What was read so far; `rejects` hears of what could not be."""

    source: str
    settings: ImageSetSettings
    rejects: Rejects
    values: list[dict[str, Any]] = field(default_factory=list)
    hashes: list[int | None] = field(default_factory=list)
    videos: list[dict[str, Any]] = field(default_factory=list)
    names: set[str] = field(default_factory=set)

    def add(self, name: str, uri: str, facts: "_Facts", frame: int | None = None, **extra: Any) -> None:
        header = facts.header
        notes = {"copyright": header.copyright, "artist": header.artist, "licence_url": header.licence}
        notes = {key: value for key, value in notes.items() if value is not None} | extra
        self.hashes.append(facts.phash)
        self.values.append(
            {
                "image_id": f"{self.source}/{name}",
                "uri": uri,
                "width": header.width,
                "height": header.height,
                "sha256": facts.sha256,
                "split": self.settings.split,
                "licence": header.licence or self.settings.licence,
                "source": self.source,
                "frame": frame,
                "extra": json.dumps(notes, ensure_ascii=False) if notes else None,
            }
        )

    def reject(self, name: str, error: DensecorrError) -> None:
        self.rejects.add("image", name, f"{self.source}/{name}", AnnotationError(*error.args), name)

    def is_new(self, name: str) -> bool:
        if name in self.names:
            self.reject(
                name, AnnotationError("every image once", f"{name} again", "Remove one of the lines.")
            )
            return False
        self.names.add(name)
        return True


@dataclass(frozen=True)
class _Facts:
    header: ImageHeader
    sha256: str | None = None
    phash: int | None = None


def read_image_set(
    place: Path,
    out: Path,
    source: str = "images",
    settings: ImageSetSettings | None = None,
    root: str = "",
    progress: Progress | None = None,
    threads: int = 4,
) -> ImageSet:
    """Find and check the images of a place; the frames of videos are written to `out/frames/<video>/<frame>`.

    Local images stay where they are, and those at addresses are not fetched, but for the beginning that says their
    size (unless the list does).

    Args:
        place: a folder (searched to the bottom, in natural order), a list (.txt, see `find_places`), or a video.
        out: the data set's folder.
        source: the data set's name; ids become `<source>/<path or address>` and `<source>/<video>/<frame>`.
        settings: frames to take, licence, duplicates, what to do with bad files.
        root: what stands for the place's folder in `image_root`; by default its absolute path.
        progress: called with files done, their number and what is done.
        threads: files read at once; the result does not depend on it.

    Raises:
        DatasetNotFoundError: nothing at `place`.
        EmptyInstanceError: no image and no video there, or none that can be used.
        AnnotationError: a bad file, with `on_error="raise"`.
        SettingsError: a source with a slash.
    """
    settings = settings or ImageSetSettings()
    if not source or "/" in source:
        raise SettingsError("a source name without '/'", repr(source), "Name the data set, such as 'photos'.")
    found = find_places(place)
    root = root or str((place if place.is_dir() else place.parent).absolute())
    prefix = root if any(item.is_video for item in found.items) else ""
    rows = _Rows(source, settings, Rejects(place, settings.on_error))
    with ThreadPoolExecutor(threads) as pool:
        checked = pool.map(lambda item: None if item.is_video else _check(item, settings), found.items)
        for index, (item, result) in enumerate(zip(found.items, checked, strict=True)):
            if not rows.is_new(item.name):
                continue
            if item.is_video:
                _add_frames(rows, item, out)
            elif isinstance(result, ImageError):
                rows.reject(item.name, result)
            elif result is not None:
                uri = item.name if is_uri(item.name) else posixpath.join(prefix, item.name)
                rows.add(item.name, uri, result)
            if progress is not None:
                progress(index + 1, len(found.items), item.name)
    if not rows.values:
        raise EmptyInstanceError(
            "an image that can be used", f"none in {place}", "See the reasons: on_error = 'raise'."
        )
    info = {
        "format": "images",
        "image_root": "" if prefix else root,
        "source": source,
        "split": settings.split,
        "source_url": settings.source_url,
        "videos": rows.videos,
    }
    tables = DatasetTables(
        pa.Table.from_pylist(rows.values, schema=IMAGES),
        INSTANCES.empty_table(),
        LABELS.empty_table(),
        rows.rejects.table(),
        info=info,
    )
    return ImageSet(tables, _duplicates(rows), found.n_left_out)


def _check(item: ImagePlace, settings: ImageSetSettings) -> _Facts | ImageError:
    """What is known of one image, or why it cannot be used; runs in a thread."""
    try:
        if is_remote(item.path):
            return _Facts(ImageHeader(*item.size) if item.size else read_header(item.path))
        header, path = read_header(item.path), Path(item.path)
        digest = hash_file(path)
        if item.size and item.size != (header.width, header.height):
            raise ImageError(
                f"an image of {item.size[0]} x {item.size[1]} as the list says",
                f"{header.width} x {header.height} in {path}",
                "Correct the list.",
            )
        if settings.duplicates == "exact":
            return _Facts(header, digest)
        return _Facts(header, digest, perceptual_hash(read_image(path)))
    except ImageError as error:
        return error


def _add_frames(rows: _Rows, item: ImagePlace, out: Path) -> None:
    """Write the frames of one video; of one that turns out to be broken, none."""
    settings, path = rows.settings, Path(item.path)
    parts = item.name.removeprefix("file://").lstrip("/").split("/")
    folder = out.joinpath(FRAMES, *("_" if part == ".." else part for part in parts))
    every = (
        1.0 if settings.every_seconds is None and settings.every_frames is None else settings.every_seconds
    )
    before, fps = len(rows.values), 0.0
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        for frame in read_frames(path, every, settings.every_frames, settings.max_frames):
            file = folder / f"{frame.index:06d}.{settings.frame_format}"
            Image.fromarray(frame.image).save(file, quality=JPEG_QUALITY)
            name, fps = f"{item.name}/{frame.index:06d}", frame.fps
            near = settings.duplicates == "near"
            facts = _Facts(
                ImageHeader(frame.image.shape[1], frame.image.shape[0]),
                hash_file(file),
                perceptual_hash(frame.image) if near else None,
            )
            where = {"video": item.name, "fps": frame.fps, "seconds": round(frame.seconds, 6)}
            rows.add(name, file.relative_to(out).as_posix(), facts, frame.index, **where)
        digest = hash_file(path)
    except ImageError as error:
        shutil.rmtree(folder)
        del rows.values[before:], rows.hashes[before:]
        rows.reject(item.name, error)
        return
    rows.videos.append({"name": item.name, "sha256": digest, "fps": fps, "frames": len(rows.values) - before})


def _duplicates(rows: _Rows) -> pa.Table:
    threshold = rows.settings.duplicate_threshold if rows.settings.duplicates == "near" else None
    labels = duplicate_labels([row["sha256"] for row in rows.values], rows.hashes, threshold)
    columns = {
        "image_id": [row["image_id"] for row in rows.values],
        "phash": [None if value is None else f"{value:016x}" for value in rows.hashes],
        "group": labels,
    }
    return pa.table(columns, schema=DUPLICATES)
