"""What changed between two tables: rows added, changed, removed and unchanged, told apart by a hash of their content.

Tables are read in batches and only two 64-bit hashes a row are kept: some 20 MB for the 1.3 million rows of LVIS.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Int64, UInt64

BATCH = 8192  # rows hashed at once
N_NAMED = 5  # ids of each kind in a report


@dataclass(frozen=True)
class Changes:
    """How many rows are of each kind, and the ids of the first few, in their table's order."""

    added: int
    changed: int
    removed: int
    unchanged: int
    first_added: tuple[str, ...] = ()
    first_changed: tuple[str, ...] = ()
    first_removed: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The fields as plain data."""
        return asdict(self)


def compare_tables(previous: Path, current: Path, key: str) -> Changes:
    """Compare two Parquet tables row by row.

    Rows belong together by `key`. Compared are the columns that both tables have; their order, and that of the rows,
    does not matter.

    Args:
        previous: the older table.
        current: the newer one.
        key: the column of text that identifies a row; no value occurs twice.
    """
    before, after = pq.read_schema(previous), pq.read_schema(current)
    columns = sorted(set(before.names) & set(after.names))
    old_keys, old_rows = _hashed(previous, key, columns)
    new_keys, new_rows = _hashed(current, key, columns)
    known = np.isin(new_keys, old_keys)
    order = np.argsort(old_keys, kind="stable")
    places = order[np.searchsorted(old_keys, new_keys[known], sorter=order)]
    differs = np.zeros(len(new_keys), dtype=bool)
    differs[known] = old_rows[places] != new_rows[known]
    gone = np.flatnonzero(~np.isin(old_keys, new_keys))
    added, changed = np.flatnonzero(~known), np.flatnonzero(differs)
    return Changes(
        len(added),
        len(changed),
        len(gone),
        len(new_keys) - len(added) - len(changed),
        _named(current, key, added),
        _named(current, key, changed),
        _named(previous, key, gone),
    )


def row_bytes(table: pa.RecordBatch) -> Iterator[bytes]:
    """The content of each row: equal for equal rows, however the batch is cut and stored."""
    bounds = np.arange(table.num_rows + 1, dtype=np.int64)
    leaves = [leaf for column in table.columns for leaf in _leaves(column, bounds)]
    for row in range(table.num_rows):
        yield b"".join([data[ends[row] : ends[row + 1]] for data, ends in leaves])


def _hashed(
    path: Path, key: str, columns: list[str]
) -> tuple[UInt64[np.ndarray, " N"], UInt64[np.ndarray, " N"]]:
    """Hashes of each row's key and of its content."""
    keys, rows = [np.zeros(0, np.uint64)], [np.zeros(0, np.uint64)]
    with pq.ParquetFile(path, memory_map=True) as file:
        for batch in file.iter_batches(batch_size=BATCH, columns=columns):
            keys.append(_hash(text.encode() for text in batch.column(key).to_pylist()))
            rows.append(_hash(row_bytes(batch.select(columns))))
    return np.concatenate(keys), np.concatenate(rows)


def _hash(values: Iterator[bytes]) -> UInt64[np.ndarray, " N"]:
    digests = b"".join([hashlib.blake2b(value, digest_size=8).digest() for value in values])
    return np.frombuffer(digests, dtype=np.uint64)


def _named(path: Path, key: str, places: Int64[np.ndarray, " N"]) -> tuple[str, ...]:
    """The keys of the first few of some rows."""
    if not len(places):
        return ()
    return tuple(pq.read_table(path, columns=[key])[key].take(pa.array(places[:N_NAMED])).to_pylist())


def _leaves(
    array: pa.Array, bounds: Int64[np.ndarray, " N1"]
) -> Iterator[tuple[memoryview, Int64[np.ndarray, " N1"]]]:
    """The plain buffers below a column, and where in each, in bytes, every row begins and ends.

    Args:
        array: of any type that a data set's tables have.
        bounds: row n is made of the elements bounds[n] to bounds[n + 1].
    """
    kind = array.type
    yield _view(array.is_valid().cast(pa.uint8()).to_numpy(zero_copy_only=False)), bounds
    if pa.types.is_struct(kind):
        for part in array.flatten():
            yield from _leaves(part, bounds)
        return
    if pa.types.is_fixed_size_list(kind):
        array = array.cast(pa.list_(kind.value_type))
        kind = array.type
    if pa.types.is_list(kind):
        ends = array.offsets.to_numpy().astype(np.int64)
        yield _view(np.diff(ends)), bounds * 8
        yield from _leaves(array.values, ends[bounds])
    elif pa.types.is_string(kind) or pa.types.is_binary(kind):
        array = array if len(array) else pa.array([""])  # an empty one may have no buffers
        _, offsets, data = array.buffers()
        ends = np.frombuffer(offsets, np.int32, len(array) + 1, array.offset * 4).astype(np.int64)
        yield _view(np.diff(ends)), bounds * 8
        yield memoryview(data if data is not None else b""), ends[bounds]
    else:
        if pa.types.is_boolean(kind):
            array = array.cast(pa.uint8())
        values = array.fill_null(0).to_numpy(zero_copy_only=False)
        yield _view(values), bounds * values.itemsize


def _view(values: np.ndarray) -> memoryview:
    return memoryview(values.tobytes())
