"""The images of a COCO file: rows of the images table, their files found, measured and hashed."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from ..errors import AnnotationError, DatasetNotFoundError
from .arrow import IMAGES
from .checks import Rejects
from .coco_image_files import (
    IMAGE_FILES,
    NOTHING_KNOWN,
    FileMemory,
    ImageFile,
    image_file_table,
    inspect_files,
)
from .coco_json import CocoFile, pack_extra, raw_text, row_fields
from .coco_types import CocoImage, CocoSettings, id_text
from .image_lists import is_listed

Progress = Callable[[int, int, str], object]
_decoder = msgspec.json.Decoder(CocoImage)


@dataclass(frozen=True)
class Images:
    """The images table, and what annotations need to know of every image of the file, by its id as text."""

    table: pa.Table
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)  # (height, width) of the kept
    rejected: dict[str, str] = field(default_factory=dict)  # why
    dropped: set[str] = field(default_factory=set)  # by a filter
    files: pa.Table = field(default_factory=IMAGE_FILES.empty_table)  # of the kept that were read
    n_unread: int = 0  # files of the kept that an earlier data set made it needless to read


@dataclass(frozen=True)
class _Row:
    raw: msgspec.Raw
    id: str
    image: CocoImage


def read_images(
    file: CocoFile,
    root: Path,
    source: str,
    settings: CocoSettings,
    wanted: set[str] | None,
    rejects: Rejects,
    progress: Progress | None = None,
    threads: int = 8,
    listed: frozenset[str] | None = None,
    memory: FileMemory = NOTHING_KNOWN,
) -> Images:
    """Read, filter and check the images of a file.

    Args:
        file: what to read.
        root: folder of the image files.
        source: the first part of every id.
        settings: filters and checks.
        wanted: ids of the images to keep besides the filters; None keeps all.
        rejects: takes the bad rows.
        progress: called with the files done, their number and what is done.
        threads: reading files at once.
        listed: keep only images that `image_lists.is_listed` finds in it.
        memory: files that need not be read again while they are the same (`inspect_files`).

    Raises:
        DatasetNotFoundError: no folder `root`, with `settings.check_images`.
        AnnotationError: a bad row, with `on_error="raise"`; or no image of the file is listed.
    """
    if settings.check_images and not root.is_dir():
        raise DatasetNotFoundError("a folder of images", f"no folder {root}", "Correct the image folder.")
    licences = licence_names(file)
    allowed = allowed_licences(licences, settings.licences)
    images = Images(IMAGES.empty_table())
    rows: list[_Row] = []
    seen: set[str] = set()
    n_listed = 0
    for raw in file.images:
        row = _decode(raw, seen, rejects)
        if row is None:
            continue
        kept = wanted is None or row.id in wanted
        kept &= not settings.splits or _split(row.image, settings) in settings.splits
        kept &= allowed is None or str(row.image.license) in allowed
        if listed is not None:
            names_it = is_listed(listed, row.id, row.image.file_name or row.image.coco_url or "")
            kept, n_listed = kept and names_it, n_listed + names_it
        if kept:
            rows.append(row)
        else:
            images.dropped.add(row.id)
    if listed is not None and not n_listed:
        raise AnnotationError(
            f"a list that names images of {file.path}", "none of them", "Take the list of this data set."
        )
    values: list[dict[str, Any]] = []
    files: list[ImageFile] = []
    found_files = inspect_files([row.image for row in rows], root, settings.check_images, threads, memory)
    for index, (row, found) in enumerate(zip(rows, found_files, strict=True)):
        try:
            value = _values(row, found, source, settings, licences)
        except AnnotationError as error:
            images.rejected[row.id] = f"{error.args[1]}"
            rejects.add("image", row.id, row.id, error, raw_text(row.raw))
        else:
            values.append(value)
            files.append(found)
            images.sizes[row.id] = (value["height"], value["width"])
        if progress is not None and (index % 64 == 63 or index == len(rows) - 1):
            progress(index + 1, len(rows), "images")
    table = pa.Table.from_pylist(values, schema=IMAGES)
    n_unread = sum(found.known for found in files)
    return replace(images, table=table, files=image_file_table(files), n_unread=n_unread)


def licence_names(file: CocoFile) -> dict[str, str]:
    """Licence id to name as the file's "licenses" say; entries of another form name nothing."""
    entries = file.rest.get("licenses")
    entries = entries if isinstance(entries, list) else []
    return {str(e["id"]): str(e.get("name", e["id"])) for e in entries if isinstance(e, dict) and "id" in e}


def allowed_licences(names: dict[str, str], wanted: tuple[str, ...]) -> set[str] | None:
    """The ids of the licences wanted by id or name; None without a wish, the wish itself without names.

    Raises:
        AnnotationError: the file does not know one of them.
    """
    if not wanted:
        return None
    if not names:
        return set(wanted)  # no list: images name their licence themselves
    unknown = [text for text in wanted if text not in names and text not in names.values()]
    if unknown:
        known = ", ".join(f"{key} ({name})" for key, name in names.items())
        raise AnnotationError(f"licences among {known or 'none'}", repr(unknown), "Correct the filter.")
    return {key for key, name in names.items() if key in wanted or name in wanted}


def _decode(raw: msgspec.Raw, seen: set[str], rejects: Rejects) -> _Row | None:
    id_ = None
    try:
        row_fields(raw)
        try:
            image = _decoder.decode(raw)
        except msgspec.DecodeError as error:
            raise AnnotationError("an image of COCO's form", str(error), "Correct the row.") from error
        id_ = id_text(image.id)
        if id_ in seen:
            raise AnnotationError("every image id once", f"{id_} again", "Number the images anew.")
        seen.add(id_)
    except AnnotationError as error:
        rejects.add("image", id_, id_, error, raw_text(raw))
        return None
    return _Row(raw, id_, image)


def _values(
    row: _Row, found: ImageFile, source: str, settings: CocoSettings, licences: dict[str, str]
) -> dict[str, Any]:
    image, fields = row.image, row_fields(row.raw)
    if found.problem is not None:
        raise AnnotationError(
            "a readable image file", found.problem, "Check the image folder, or get the file."
        )
    width, height = _checked_size(image, found)
    absent = [name for name in ("file_name", "width", "height") if name not in fields]
    for name, value in (("id", row.id), ("width", str(width)), ("height", str(height))):
        if name in fields and bytes(fields[name]) == value.encode():
            del fields[name]
    if image.file_name:
        del fields["file_name"]
    licence = None if image.license is None else str(image.license)
    return {
        "image_id": f"{source}/{row.id}",
        "uri": found.uri,
        "width": width,
        "height": height,
        "sha256": found.sha256,
        "split": _split(image, settings),
        "licence": licences.get(licence, licence) if licence is not None else None,
        "source": source,
        "camera_id": None if image.camera_id is None else f"{source}/{image.camera_id}",
        "frame": image.frame if type(image.frame) is int and abs(image.frame) < 2**63 else None,
        "extra": pack_extra(fields, absent),
    }


def _checked_size(image: CocoImage, found: ImageFile) -> tuple[int, int]:
    width, height = image.width, image.height
    if width is None or height is None:
        if found.size is None:
            raise AnnotationError("width and height", "neither in file nor image", "Add them to the row.")
        return found.size
    if width != int(width) or height != int(height) or not (0 < width < 2**31 and 0 < height < 2**31):
        raise AnnotationError("whole width and height above 0", f"{width} x {height}", "Correct the row.")
    if found.size is not None and (width, height) != found.size:
        remedy = "Annotations are for another version of the image: get the original, or scale them."
        if found.turned:
            remedy = (
                "The JSON gives the size before the image's EXIF tag turns it, but images are read upright: exchange "
                "width and height and turn the annotations, or remove the tag from the image."
            )
        elif (height, width) == found.size:
            remedy = (
                "The JSON exchanges width and height: correct it, and the annotations if they are turned too."
            )
        raise AnnotationError(
            f"an image of {width} x {height} as the JSON says",
            f"{found.size[0]} x {found.size[1]} in {found.uri}",
            remedy,
        )
    return int(width), int(height)


def _split(image: CocoImage, settings: CocoSettings) -> str | None:
    return image.split if isinstance(image.split, str) else settings.split
