"""`densecorr data query`: instances of a data set by filters, or SQL over its tables."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from densecorr.datasets.query import Filters

if TYPE_CHECKING:
    import pyarrow as pa

    from .session import Session

SHOWN = 20  # rows of a table on the terminal


@dataclass(frozen=True)
class Query:
    """Choose instances by category, size, split, label source or any SQL condition; or run an SQL query."""

    dataset: Annotated[str, tyro.conf.Positional]
    """The data set: an id, a unique prefix, a tag, or its folder."""
    filters: Annotated[Filters, tyro.conf.arg(name="")] = field(default_factory=Filters)
    sql: str | None = None
    """A whole query over the views images, instances and labels, instead of the filters (needs DuckDB)."""
    limit: int | None = None
    """At most so many rows."""
    format: Literal["table", "csv", "json", "ids"] = "table"
    """table: the first rows, to read; ids: instance ids, one a line."""
    out: Path | None = None
    """Write to this file instead of the terminal."""

    def __call__(self, session: "Session") -> None:
        """Print or write the rows."""
        from densecorr.datasets.query import query_instances, run_sql
        from densecorr.errors import SettingsError

        from .session import say

        if self.sql is not None and self.filters != Filters():
            raise SettingsError("filters or --sql", "both", "Put the conditions into the query.")
        folder = dataset_folder(session, self.dataset)
        if self.sql is None:
            rows = query_instances(folder, self.filters, self.limit)
        else:
            rows = run_sql(folder, self.sql).slice(0, self.limit)
        if self.out is None:
            print(format_rows(rows, self.format, SHOWN), end="")
            return
        self.out.parent.mkdir(parents=True, exist_ok=True)
        self.out.write_text(format_rows(rows, self.format), encoding="utf-8")
        say(f"{self.out}: {len(rows)} rows")


def dataset_folder(session: "Session", name: str) -> Path:
    """The folder of a data set: `name` itself if it is one, else the artifact of that id, prefix or tag.

    Raises:
        ArtifactError: the store holds no such artifact.
        DatasetNotFoundError: it is not a data set.
    """
    from storage.datasets import read_dataset_info

    folder = Path(name)
    if not (folder / "dataset.json").is_file():
        folder = session.store.path(session.store.resolve(name))
    read_dataset_info(folder)
    return folder


def format_rows(rows: "pa.Table", form: str, most: int | None = None) -> str:
    """A table as text: aligned columns (the first `most` rows), CSV, JSON (a list of objects) or instance ids.

    Raises:
        SettingsError: ids are asked of rows without `instance_id`.
    """
    from densecorr.errors import SettingsError

    if form == "ids":
        if "instance_id" not in rows.column_names:
            raise SettingsError(
                "a column instance_id", ", ".join(rows.column_names), "Select it in the query."
            )
        return "".join(f"{value}\n" for value in rows["instance_id"].to_pylist())
    if form == "json":
        return json.dumps(rows.to_pylist(), indent=1, default=str, ensure_ascii=False) + "\n"
    if form == "csv":
        return _csv(rows)
    shown = rows.slice(0, most).to_pylist()
    cells = [rows.column_names, *([_cell(value) for value in row.values()] for row in shown)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in cells]
    if len(rows) > len(shown):
        lines.append(f"... and {len(rows) - len(shown)} more (--format csv, json or ids gives all)")
    return "\n".join([*lines, f"{len(rows)} rows"]) + "\n"


def _csv(rows: "pa.Table") -> str:
    """CSV with a head line; lists and objects as JSON."""
    import csv
    import io

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(rows.column_names)
    for batch in rows.to_batches(max_chunksize=65536):
        for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            writer.writerow(
                json.dumps(value, default=str) if isinstance(value, list | dict) else value for value in row
            )
    return text.getvalue()


def _cell(value: object) -> str:
    if value is None:
        return ""
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
