"""The polygons of many rows from JSON text to Arrow at once, no number of them ever a Python object."""

from collections.abc import Sequence

import msgspec
import numpy as np
import pyarrow as pa

from .arrow import RLE_TYPE

POLYGONS = RLE_TYPE.field("polygons").type
_SPACE, _NUMBER = b" \t\r\n", b"0123456789+-.eE"
_COMMA_TO_LINE = bytes.maketrans(b",", b"\n")
_CLOSE, _LINE = ord("]"), ord("\n")

_decoder = msgspec.json.Decoder(list[float])


def read_polygons(rows: Sequence[Sequence[msgspec.Raw]]) -> pa.ListArray:
    """The polygons of each row, each a JSON text such as `[x, y, x, y, ...]`, as the type POLYGONS.

    Numbers are the doubles next to what is written, as msgspec and Python's json read them. A row without polygons,
    or with one that is not a list of numbers, is null.
    """
    if not rows or not all(rows):
        return _read_one_by_one(rows)
    texts = [text for row in rows for text in row]
    joined = b",".join(texts)
    marks = joined.translate(None, _NUMBER + _SPACE)
    if marks.translate(None, b",") != b"[]" * len(texts):
        return _read_one_by_one(rows)
    # up to the end of polygon i: a comma after every number but the last, and i more brackets
    closes = np.flatnonzero(np.frombuffer(marks.translate(None, b"["), dtype=np.uint8) == _CLOSE)
    ends = closes - np.arange(len(texts)) + 1
    numbers = _read_numbers(joined.translate(_COMMA_TO_LINE, b"[]" + _SPACE))
    if numbers is None:
        return _read_one_by_one(rows)
    flat = pa.ListArray.from_arrays(_offsets(ends), numbers)
    return pa.ListArray.from_arrays(_offsets(np.cumsum([len(row) for row in rows])), flat)


def _offsets(ends: np.ndarray) -> pa.Array:
    return pa.array(np.concatenate([[0], ends]).astype(np.int32))


def _read_numbers(lines: bytes) -> pa.Array | None:
    """One number a line, read in C without Python's lock; None if a line is empty.

    The integer -0 is 0 in JSON, but the text -0 would be -0.0: None too.
    """
    if b"-" in lines and b"-0\n" in lines + b"\n":
        return None
    ends = np.flatnonzero(np.frombuffer(lines, dtype=np.uint8) == _LINE)
    digits = lines.translate(None, b"\n")
    offsets = np.concatenate([[0], ends - np.arange(len(ends)), [len(digits)]]).astype(np.int32)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(digits)]
    try:
        return pa.Array.from_buffers(pa.string(), len(ends) + 1, buffers).cast(pa.float64())
    except pa.ArrowInvalid:
        return None


def _read_one_by_one(rows: Sequence[Sequence[msgspec.Raw]]) -> pa.ListArray:
    return pa.array([_decode(row) for row in rows], POLYGONS)


def _decode(row: Sequence[msgspec.Raw]) -> list[list[float]] | None:
    try:
        return [_decoder.decode(text) for text in row] or None
    except msgspec.DecodeError:
        return None
