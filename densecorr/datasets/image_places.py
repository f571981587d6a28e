"""Where images without annotations are: in a folder, in a list of files and addresses, in a video."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import AnnotationError, DatasetNotFoundError, EmptyInstanceError
from ..image_uris import is_remote, is_uri, local_image
from .video import VIDEO_SUFFIXES

IMAGE_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff"),
    *(".ppm", ".pgm", ".pnm", ".jp2", ".avif"),
)


@dataclass(frozen=True)
class ImagePlace:
    """One image or video: its name below the data set's source, where it is, and its size if the list says it."""

    name: str  # as the tables name it: relative to the image root, absolute, or an address
    path: Path | str
    size: tuple[int, int] | None = None  # width, height

    @property
    def is_video(self) -> bool:
        """By the ending; a video at an address is not one that can be read here."""
        return not is_remote(self.path) and Path(self.path).suffix.lower() in VIDEO_SUFFIXES


@dataclass(frozen=True)
class FoundPlaces:
    """What was found, in order, and the number of files that are neither image nor video."""

    items: list[ImagePlace]
    n_left_out: int = 0


def find_places(place: Path) -> FoundPlaces:
    """The images and videos of a folder, a list or a video file.

    A folder is searched to the bottom, in natural order (2 before 10), hidden files left out. A list (.txt) has a file
    or an address a line, relative ones starting at the list's folder; after tabs may follow width and height of the
    upright image, which saves looking at it. Empty lines and lines that begin with # do not count.

    Raises:
        DatasetNotFoundError: nothing at `place`.
        EmptyInstanceError: neither image nor video there.
        AnnotationError: a line of another form.
    """
    if place.is_dir():
        found = _in_folder(place)
    elif not place.is_file():
        raise DatasetNotFoundError("a folder, a list or a video", f"nothing at {place}", "Correct the path.")
    elif place.suffix.lower() in VIDEO_SUFFIXES:
        found = FoundPlaces([ImagePlace(place.name, place)])
    elif place.suffix.lower() == ".txt":
        found = FoundPlaces(_in_list(place))
    else:
        raise AnnotationError(
            f"a folder, a list of images (.txt) or a video ({', '.join(VIDEO_SUFFIXES)})",
            str(place),
            "For one image, name its folder; a COCO file goes to `densecorr ingest`.",
        )
    if not found.items:
        raise EmptyInstanceError(
            f"images ({', '.join(IMAGE_SUFFIXES[:4])}, ...) or videos in {place}",
            f"none, and {found.n_left_out} other files",
            "Correct the path.",
        )
    return found


def natural_key(text: str) -> Any:
    """A key that sorts numbers inside names by value: frame2 before frame10."""
    parts = re.split(r"(\d+)", text)  # text and number in turn, in every name
    return [int(part) if k % 2 else part for k, part in enumerate(parts)], text


def _in_folder(folder: Path) -> FoundPlaces:
    """Every file below, following links to folders, but none twice."""
    names: list[str] = []
    seen: set[tuple[int, int]] = set()
    for parent, folders, files in os.walk(folder, followlinks=True):
        status = os.stat(parent)
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        below = (Path(parent, name) for name in files if not name.startswith("."))
        names += [path.relative_to(folder).as_posix() for path in below]
    known = [name for name in names if name.lower().endswith(IMAGE_SUFFIXES + VIDEO_SUFFIXES)]
    known.sort(key=lambda name: [natural_key(part) for part in name.split("/")])
    return FoundPlaces([ImagePlace(name, folder / name) for name in known], len(names) - len(known))


def _in_list(path: Path) -> list[ImagePlace]:
    items = []
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise AnnotationError("a list of images as UTF-8 text", f"{path} ({error})", "Convert it.") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, *sizes = (part.strip() for part in line.split("\t"))
        if sizes and not (len(sizes) == 2 and all(s.isdecimal() and 0 < int(s) < 2**31 for s in sizes)):
            raise AnnotationError(
                "a file or an address, alone or with width and height after tabs",
                f"{line!r} in line {number} of {path}",
                "Correct the line.",
            )
        size = (int(sizes[0]), int(sizes[1])) if sizes else None
        if is_uri(name):
            where = name if is_remote(name) else local_image(name)
        else:
            where = path.parent / Path(name).expanduser()
        items.append(ImagePlace(name, where, size))
    return items
