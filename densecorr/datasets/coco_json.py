"""A COCO file as undecoded rows over a memory map: large files are never whole Python objects.

Rows come as `msgspec.Raw`, a view into the file, and are decoded one chunk at a time where they are used.
"""

import mmap
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from ..errors import AnnotationError, DatasetNotFoundError
from .coco_types import ABSENT

NOT_A_NUMBER = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|-?\b(?:NaN|Infinity|nan|inf)\b', re.DOTALL)
MARK = rb'"\u0000densecorr:'  # opens the text that stands for such a number in the rows that hold one

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_rows = msgspec.json.Decoder(list[msgspec.Raw])
_split_fields = msgspec.json.Decoder(dict[str, list[msgspec.Raw] | dict[str, msgspec.Raw]])
LISTS = ("images", "annotations", "categories")


@dataclass(frozen=True)
class CocoFile:
    """A file's rows, undecoded, and the rest of it: `rest` has every other top-level key."""

    path: Path
    images: list[msgspec.Raw]
    annotations: list[msgspec.Raw]
    categories: list[msgspec.Raw]
    rest: dict[str, Any]
    absent: tuple[str, ...]  # of images, annotations, categories
    map: mmap.mmap | None = None  # what the rows are views of, when it is the file itself

    def release(self) -> None:
        """Let the system take back the memory of the file's pages; a row that is read again is fetched again."""
        if self.map is not None and hasattr(mmap, "MADV_DONTNEED"):
            self.map.madvise(mmap.MADV_DONTNEED)


def read_coco_file(path: Path) -> CocoFile:
    """Split a file into its rows.

    NaN and infinity, which JSON does not have but Python's json writes, do not spoil the file, only their
    rows: `row_fields` refuses those.

    Raises:
        DatasetNotFoundError: no such file.
        AnnotationError: truncated, not JSON, or not an object of COCO's form.
    """
    data = _open(path)
    try:
        fields = _split(path, data)
    except msgspec.DecodeError as error:
        cleaned, n_found = _without_nan(data)
        if n_found == 0 or "malformed" not in str(error):
            raise _broken(path, error) from error
        data = cleaned
        try:
            fields = _split(path, cleaned)
        except msgspec.DecodeError as second:
            raise _broken(path, second) from second
    absent = tuple(name for name in LISTS if name not in fields)
    if "images" in absent:
        raise AnnotationError(
            'a COCO file with "images", "annotations" and "categories"',
            f"{path} with {', '.join(list(fields)[:8]) or 'nothing'}",
            "Name the file with the annotations.",
        )
    rows = {name: _list_of(path, name, fields.pop(name, [])) for name in LISTS}
    try:
        rest = {key: _plain(value) for key, value in fields.items()}
    except AnnotationError as error:
        expected, received, remedy = error.args
        raise AnnotationError(f"{expected} in {path}", received, remedy) from error
    mapped = data.obj if isinstance(data, memoryview) and isinstance(data.obj, mmap.mmap) else None
    file = CocoFile(path, rows["images"], rows["annotations"], rows["categories"], rest, absent, mapped)
    file.release()
    return file


def decode_value(raw: msgspec.Raw) -> Any:
    """Any value of the file as plain data.

    Raises:
        AnnotationError: it holds NaN or infinity, or text that is not Unicode.
    """
    _check_numbers(raw)
    try:
        return msgspec.json.decode(raw)
    except msgspec.DecodeError as error:
        raise AnnotationError(
            "Unicode text and numbers in range", str(error), "Correct the value."
        ) from error


def row_fields(raw: msgspec.Raw) -> dict[str, msgspec.Raw]:
    """The fields of a row, undecoded.

    Raises:
        AnnotationError: not an object, or it holds NaN or infinity.
    """
    _check_numbers(raw)
    try:
        return _fields.decode(raw)
    except msgspec.DecodeError as error:
        raise AnnotationError("a row that is a JSON object", str(error), "Correct the row.") from error


def pack_extra(fields: dict[str, msgspec.Raw], absent: list[str]) -> str:
    """What is left of a row as JSON text, numbers as they were written, and which fields it never had.

    Raises:
        AnnotationError: bytes that are not UTF-8.
    """
    if absent:
        fields = {**fields, ABSENT: msgspec.Raw(msgspec.json.encode(absent))}
    try:
        return msgspec.json.format(msgspec.json.encode(fields), indent=-1).decode("utf-8")
    except UnicodeDecodeError as error:
        raise AnnotationError("UTF-8 text", str(error), "Write the file again as UTF-8.") from error


def raw_text(raw: msgspec.Raw) -> str:
    """A row as it stands in the file."""
    text = re.sub(re.escape(MARK) + rb'([^"]*)"', rb"\1", bytes(raw))
    return text.decode("utf-8", "replace")


def _check_numbers(raw: msgspec.Raw) -> None:
    if MARK in bytes(raw):
        raise AnnotationError(
            "numbers that JSON has", "NaN or infinity", "Write null, or leave the field out."
        )


def _open(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            start = file.read(3)
            if not start:
                raise AnnotationError(f"a COCO file at {path}", "an empty file", "Get the file again.")
            data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except (FileNotFoundError, IsADirectoryError) as error:
        raise DatasetNotFoundError(
            f"an annotation file at {path}", "no such file", "Check the path of the JSON file."
        ) from error
    return data[3:] if start == b"\xef\xbb\xbf" else data


def _split(path: Path, data: Any) -> dict[str, Any]:
    """The fields of a file: split in the same pass if all are lists and objects, as almost always; else undecoded."""
    try:
        fields = _split_fields.decode(data)
        if all(isinstance(fields.get(name, []), list) for name in LISTS):
            return fields
    except msgspec.DecodeError:
        pass
    try:
        return _fields.decode(data)
    except msgspec.ValidationError as error:
        raise AnnotationError(
            "a COCO file: a JSON object",
            f"{path} ({error})",
            "A list of detections is a result file; name the file with the annotations.",
        ) from error


def _without_nan(data: Any) -> tuple[bytes, int]:
    n_found = 0

    def mark(match: re.Match[bytes]) -> bytes:
        nonlocal n_found
        found = match.group()
        if found.startswith(b'"'):
            return found
        n_found += 1
        return MARK + found + b'"'

    return NOT_A_NUMBER.sub(mark, bytes(data)), n_found


def _plain(value: list[msgspec.Raw] | dict[str, msgspec.Raw] | msgspec.Raw) -> Any:
    if isinstance(value, list):
        return [decode_value(entry) for entry in value]
    if isinstance(value, dict):
        return {key: decode_value(entry) for key, entry in value.items()}
    return decode_value(value)


def _list_of(path: Path, name: str, value: Any) -> list[msgspec.Raw]:
    if isinstance(value, list):
        return value
    try:
        return _rows.decode(value)
    except msgspec.ValidationError as error:
        raise AnnotationError(f'a list "{name}" in {path}', str(error), "Correct the file.") from error


def _broken(path: Path, error: Exception) -> AnnotationError:
    truncated = "truncated" in str(error)
    return AnnotationError(
        f"a whole JSON file at {path}",
        "one that ends too early" if truncated else str(error),
        "The download or copy was cut off; get the file again."
        if truncated
        else "Get or write the file again.",
    )
