"""Strict reading and writing of the tables as Parquet, and records to tables and back.

Each file says in its metadata which table it holds and in which version of the columns. Nothing is dropped or
added
silently: an unknown column is an error when writing, another table or version an error when reading.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from densecorr.errors import ArtifactError

from .conform import conform_table, unfit
from .rows import cameras_to_table, records_to_table, table_to_cameras, table_to_records
from .schemas import NAME_KEY, READABLE, SCHEMAS, VERSION, VERSION_KEY, schema_of

__all__ = [
    "SCHEMAS",
    "TableWriter",
    "cameras_to_table",
    "conform_table",
    "read_table",
    "records_to_table",
    "table_to_cameras",
    "table_to_records",
    "write_table",
    "write_tables",
]


_CONFIDENCES = ("score", "margin", "expected_error")
GROUP_ROWS = {"instances": 256}  # few enough that the rows of some images are read without most others


def write_table(path: str | Path, name: str, table: pa.Table) -> None:
    """Write a table as Parquet after `conform_table`; name and version go into its metadata.

    Compressed with zstd, but instances with lz4: 1.4 times the size, in half the time to write and to read.
    Confidences are split by byte first, which lets zstd find their common exponents.

    Raises:
        AnnotationError: the rows are not those of such a table.
    """
    conformed = conform_table(name, table)
    pq.write_table(conformed, path, row_group_size=GROUP_ROWS.get(name), **_parquet_options(name))


class TableWriter:
    """Writes a table batch by batch, in little memory; use it in a `with`.

    Each batch is checked as by `write_table`; that no key returns in a later batch is the caller's to see to.

    Raises:
        AnnotationError: the rows are not those of such a table.
    """

    def __init__(self, path: str | Path, name: str) -> None:
        self._name, self._rows = name, GROUP_ROWS.get(name)
        self._writer = pq.ParquetWriter(path, schema_of(name), **_parquet_options(name))
        self._thread, self._pending = ThreadPoolExecutor(1), Future[None]()
        self._pending.set_result(None)

    def __enter__(self) -> "TableWriter":
        return self

    def __exit__(self, *_: object) -> None:
        with self._thread, self._writer:
            self._pending.result()

    def write(self, table: pa.Table) -> None:
        """Add rows; they are compressed while the caller makes the next."""
        if len(table):
            conformed = conform_table(self._name, table)
            self._pending.result()
            self._pending = self._thread.submit(
                self._writer.write_table, conformed, row_group_size=self._rows
            )


def _parquet_options(name: str) -> dict[str, Any]:
    if name == "instances":  # in small groups, dictionaries and statistics cost more time than they save
        return {"compression": "lz4", "use_dictionary": False, "write_statistics": False}
    split = [f"{column}.list.element" for column in _CONFIDENCES if name == "labels"]
    others: Any = [path for path in _leaf_paths(schema_of(name)) if path not in split]
    return {
        "compression": "zstd",
        "use_dictionary": others,
        "column_encoding": dict.fromkeys(split, "BYTE_STREAM_SPLIT") or None,
    }


def _leaf_paths(schema: pa.Schema) -> list[str]:
    """The columns as Parquet names them: a list's entries and a struct's fields below their own column."""
    paths = []
    for field in schema:
        if pa.types.is_struct(field.type):
            paths += [f"{field.name}.{path}" for path in _leaf_paths(pa.schema(list(field.type)))]
        else:
            is_list = pa.types.is_list(field.type) or pa.types.is_fixed_size_list(field.type)
            paths.append(f"{field.name}.list.element" if is_list else field.name)
    return paths


def write_tables(folder: str | Path, tables: Mapping[str, pa.Table]) -> None:
    """Write `<folder>/<name>.parquet` for each table; the folder is made if need be.

    Raises:
        AnnotationError: the rows are not those of such a table.
    """
    Path(folder).mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        write_table(Path(folder, f"{name}.parquet"), name, table)


def read_table(
    path: str | Path, name: str, columns: Sequence[str] | None = None, filters: Any = None
) -> pa.Table:
    """Read a table that `write_table` wrote.

    Args:
        path: the Parquet file.
        name: which table it must hold.
        columns: only these; all by default.
        filters: rows to keep, as in `pyarrow.parquet.read_table`.

    Raises:
        ArtifactError: no such file, not a table of ours, another table, or one of another version.
        AnnotationError: an asked column that the table does not have.
    """
    schema = schema_of(name)
    open_table(Path(path), name).close()
    strangers = [column for column in columns or () if column not in schema.names]
    if strangers:
        raise unfit(name, f"columns among {', '.join(schema.names)}", ", ".join(strangers))
    asked = None if columns is None else list(columns)
    no_folders: Any = None  # a folder named "a=b" on the way adds no column; pyarrow's stub forgets None
    table = pq.read_table(path, columns=asked, filters=filters, partitioning=no_folders)
    return _current(table, schema)


def _current(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """A table of an older version as one of this."""
    if (table.schema.metadata or {}).get(VERSION_KEY, b"").decode() == VERSION:
        return table
    fields = [schema.field(column) for column in table.column_names]
    return table.cast(pa.schema(fields, metadata=schema.metadata))


def open_table(path: Path, name: str) -> pq.ParquetFile:
    """Open a table's file to read parts of it; close it after.

    Raises:
        ArtifactError: as `read_table`.
    """
    try:
        file = pq.ParquetFile(path, memory_map=True)
    except FileNotFoundError as error:
        raise ArtifactError(
            f"a table {name} in {path}", "no such file", "Run the stage that makes it."
        ) from error
    except pa.ArrowInvalid as error:
        raise ArtifactError(f"a table {name} in {path}", f"'{error}'", "Make the file again.") from error
    try:
        _check_metadata(path, name, file.schema_arrow.metadata or {})
    except ArtifactError:
        file.close()
        raise
    return file


def _check_metadata(path: Path, name: str, metadata: dict[bytes, bytes]) -> None:
    found = metadata.get(NAME_KEY, b"").decode()
    if found != name:
        received = f"a table {found}" if found else "a Parquet file without that mark"
        raise ArtifactError(f"a table {name} in {path}", received, "Name a file that holds the table.")
    version = metadata.get(VERSION_KEY, b"").decode()
    if version not in READABLE:
        raise ArtifactError(
            f"version {VERSION} of the table {name} in {path}",
            f"version {version or 'unknown'}",
            "Run the stage that made it again, or use the densecorr version that did.",
        )
