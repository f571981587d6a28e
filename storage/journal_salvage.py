"""What can still be read of a damaged journal, page by page, whatever became of its index, root and header.

SQLite keeps rows in leaf pages (kind 13), each with the offsets of its cells; a row too long for its page goes on in a
chain of overflow pages. Newer versions of pages stand in the log beside the file (-wal) until they are copied over.
Acts are never changed or removed, so what any version of a page holds counts: the newest may be the damaged one.
Source: https://www.sqlite.org/fileformat2.html, sections 1.6, 2.1 and 4.
"""

import contextlib
import struct
from collections.abc import Iterator
from pathlib import Path

from densecorr.errors import AnnotationError

from .decision_rows import decode_decision
from .journal_file import Row, to_row

_PAGE = 4096  # bytes, as SQLite has it by default, where the header is damaged
_LEAF = 13
_HEADER, _FRAME = 32, 24  # bytes, of the log and before each page in it
_LOGS = (0x377F0682, 0x377F0683)
_LENGTHS = {0: 0, 1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8, 7: 8, 8: 0, 9: 0}  # bytes of a number, by serial type
_N_COLUMNS, _DECISION = 5, 3


def salvage(file: bytes, log: bytes = b"") -> dict[str, Row]:
    """The acts that can be read, by id, as rows of a new journal; what is damaged is passed over.

    Args:
        file: of the journal, as it is.
        log: of the file beside it whose name ends in `-wal`.
    """
    size, unused = _page_size(file)
    pages: dict[int, bytes] = {}
    found: dict[str, Row] = {}
    for changed in (_file_pages(file, size), *_commits(log, size)):
        pages |= changed
        for page in changed.values():
            for payload in _payloads(page, pages, size - unused):
                with contextlib.suppress(ValueError, TypeError, KeyError, IndexError, AnnotationError):
                    key, text = _columns(payload)
                    if key in found and found[key][-1] == text:  # as in an earlier version of the page
                        continue
                    row = to_row(decode_decision(text))
                    if row[0] == key:
                        found[key] = row
    return found


def read_journal_files(path: Path) -> dict[str, Row]:
    """The acts that can be read of a journal's file and the log beside it.

    Raises:
        OSError: one of the files cannot be read.
    """
    log = Path(f"{path}-wal")
    return salvage(path.read_bytes(), log.read_bytes() if log.exists() else b"")


def _page_size(file: bytes) -> tuple[int, int]:
    """The size of a page, and how many bytes at its end SQLite leaves unused; both in bytes."""
    if not file.startswith(b"SQLite format 3\0") or len(file) < 21:
        return _PAGE, 0
    [size] = struct.unpack_from(">H", file, 16)
    size = 65536 if size == 1 else size
    return (size, file[20]) if size >= 512 and size & (size - 1) == 0 else (_PAGE, 0)


def _file_pages(file: bytes, size: int) -> dict[int, bytes]:
    return {number: file[at : at + size] for number, at in enumerate(range(0, len(file), size), 1)}


def _commits(log: bytes, size: int) -> Iterator[dict[int, bytes]]:
    """The pages of each commit in the log, the oldest first, of those since it was begun."""
    if len(log) < _HEADER or struct.unpack_from(">I", log)[0] not in _LOGS:
        return
    salt, open_ = log[16:24], {}
    for at in range(_HEADER, len(log) - _FRAME - size + 1, _FRAME + size):
        number, commit = struct.unpack_from(">II", log, at)
        if log[at + 8 : at + 16] == salt:
            open_[number] = log[at + _FRAME : at + _FRAME + size]
            if commit:
                yield open_
                open_ = {}


def _payloads(page: bytes, pages: dict[int, bytes], size: int) -> Iterator[bytes]:
    """The content of each row of a leaf page; `size` is what SQLite uses of a page, in bytes."""
    if len(page) < 8 or page[0] != _LEAF:
        return
    [n_cells] = struct.unpack_from(">H", page, 3)
    for cell in range(n_cells):
        with contextlib.suppress(IndexError, struct.error, KeyError, ValueError):
            [at] = struct.unpack_from(">H", page, 8 + 2 * cell)
            yield _payload(page, at, pages, size)


def _payload(page: bytes, at: int, pages: dict[int, bytes], size: int) -> bytes:
    length, at = _varint(page, at)
    _, at = _varint(page, at)  # the row's number
    most, least = size - 35, (size - 12) * 32 // 255 - 23
    if length <= most:
        return page[at : at + length]
    local = least + (length - least) % (size - 4)
    local = local if local <= most else least
    parts, left = [page[at : at + local]], length - local
    [number] = struct.unpack_from(">I", page, at + local)
    if left > len(pages) * size:
        raise ValueError("longer than the file")
    while left > 0:
        more = pages[number]
        [number] = struct.unpack_from(">I", more)
        parts.append(more[4 : 4 + min(left, size - 4)])
        left -= size - 4
    return b"".join(parts)


def _columns(payload: bytes) -> tuple[str, str]:
    """The id and the text of the act of a row of `acts`."""
    end, at = _varint(payload, 0)
    kinds = []
    while at < end:
        kind, at = _varint(payload, at)
        kinds.append(kind)
    if len(kinds) != _N_COLUMNS:
        raise ValueError("another table's row")
    values = []
    for kind in kinds[: _DECISION + 1]:
        length = (kind - 12) // 2 if kind >= 12 else _LENGTHS[kind]
        values.append(payload[at : at + length])
        at += length
    return values[0].decode(), values[_DECISION].decode()


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """SQLite's number of one to nine bytes, the first the highest, and where it ends."""
    value = 0
    for n in range(8):
        value = value << 7 | data[at + n] & 0x7F
        if data[at + n] < 0x80:
            return value, at + n + 1
    return value << 8 | data[at + 8], at + 9
