"""Lists of images that name a part of a data set, such as COCO 2014's minival: which images to keep."""

import json
from collections.abc import Iterable
from pathlib import Path

from ..errors import AnnotationError, DatasetNotFoundError

REMEDY = "Give a text file with an image id or file name a line, a JSON list of them, or a COCO file."


def images_in_list(path: Path) -> frozenset[str]:
    """The images that a list names, each by its id as text or by its file name without folders.

    A list is a text file (one id or file name a line, `#` starts a comment), a JSON list of them, or a COCO file, whose
    images count by id.

    Raises:
        DatasetNotFoundError: no such file.
        AnnotationError: the file is neither of these, or it is empty.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DatasetNotFoundError("a list of images", f"{path} ({error.strerror})", REMEDY) from error
    except UnicodeDecodeError as error:
        raise AnnotationError("a list of images as UTF-8 text", f"{path}: {error}", REMEDY) from error
    if text.lstrip().startswith(("[", "{")):
        entries = _json_entries(path, text)
    else:
        entries = [line for raw in text.splitlines() if (line := raw.partition("#")[0].strip())]
    names = frozenset(_name(entry, path) for entry in entries)
    if not names:
        raise AnnotationError("a list that names images", f"none in {path}", REMEDY)
    return names


def is_listed(names: frozenset[str], image_id: str, file_name: str) -> bool:
    """Whether a list names an image, by its id or by its file name without folders."""
    return image_id in names or file_name.rpartition("/")[2] in names


def _json_entries(path: Path, text: str) -> Iterable[object]:
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise AnnotationError("a list of images in JSON", f"{path}: {error}", REMEDY) from error
    if isinstance(data, dict):
        data = data.get("images")
    if not isinstance(data, list):
        raise AnnotationError("a JSON list, or an object with `images`", f"neither in {path}", REMEDY)
    return [entry.get("id") if isinstance(entry, dict) else entry for entry in data]


def _name(entry: object, path: Path) -> str:
    if isinstance(entry, str) and entry:
        return entry.rpartition("/")[2]
    if isinstance(entry, int) and not isinstance(entry, bool):
        return str(entry)
    if isinstance(entry, float) and entry.is_integer():
        return str(int(entry))
    raise AnnotationError("image ids or file names", f"{entry!r} in {path}", REMEDY)
