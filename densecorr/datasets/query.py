"""Choosing instances of a data set's folder by Arrow filters, and SQL over its tables with DuckDB.

Only the columns that a question needs are read, so a million instances answer in about a second.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pd

from ..errors import DatasetNotFoundError, DependencyError, SettingsError

Reviewed = Literal["any", "yes", "no"]
TABLES = ("images", "instances", "labels")
_PLAIN = (
    "instance_id",
    "image_id",
    "category",
    "area",
    "silhouette_source",
    "template_id",
    "iscrowd",
    "ignore",
)
_OF_IMAGE = ("split", "uri", "licence")


@dataclass(frozen=True)
class Filters:
    """Which instances: all conditions hold together; an empty one asks nothing."""

    category: tuple[str, ...] = ()
    """Of one of these categories."""
    split: tuple[str, ...] = ()
    """In one of these splits."""
    label_source: tuple[str, ...] = ()
    """With a label set from one of these: human, zero_shot, model, synthetic, correction."""
    min_area: float | None = None
    """At least so many pixels."""
    max_area: float | None = None
    """Less than so many pixels."""
    min_visible: float | None = None
    """At least this share seen, from 0 to 1 (`visible_share` in the annotation's `densecorr`)."""
    reviewed: Reviewed = "any"
    """Only those that a reviewer decided on or corrected, or only the others."""
    where: str | None = None
    """An SQL condition on the result's columns, such as "w > 2 * h" (needs DuckDB)."""


def query_instances(folder: Path, filters: Filters = Filters(), limit: int | None = None) -> pa.Table:
    """The chosen instances in the tables' order, one row each: ids, image, category, split, box (x, y, w, h), area.

    Boxes are COCO boxes in full-image pixels, `area` square pixels. With `min_visible` there is a column
    `visible_share`.

    Raises:
        DatasetNotFoundError: the folder is not a data set.
        SettingsError: numbers that exclude each other, a visible share that no instance tells, or bad SQL.
        DependencyError: `where` without DuckDB.
    """
    _check(filters, limit)
    rows = _read_instances(folder, filters)
    images = open_table(folder, "images").to_table(columns=["image_id", *_OF_IMAGE])
    place = pc.index_in(rows["image_id"], value_set=images["image_id"].combine_chunks())
    for name in _OF_IMAGE:
        rows = rows.append_column(name, images[name].take(place))
    if filters.split:
        rows = rows.filter(pc.is_in(rows["split"], value_set=pa.array(filters.split)))
    if filters.min_visible is not None:
        rows = _visible(rows, filters.min_visible)
    if filters.label_source:
        rows = rows.filter(_among(rows["instance_id"], _labelled(folder, filters.label_source)))
    if filters.reviewed != "any":
        decided = _among(rows["instance_id"], reviewed_ids(folder))
        rows = rows.filter(decided if filters.reviewed == "yes" else pc.invert(decided))
    if filters.where:
        condition = f"SELECT * FROM rows WHERE ({filters.where}\n)"
        rows = _sql(condition, {"rows": rows}, filters.where)
    return rows if limit is None else rows.slice(0, limit)


def run_sql(folder: Path, sql: str) -> pa.Table:
    """The answer of DuckDB to a query over the views `images`, `instances` and `labels` of a data set's folder.

    Raises:
        DatasetNotFoundError: the folder is not a data set.
        DependencyError: DuckDB is not installed.
        SettingsError: DuckDB refuses the query; the message is its own.
    """
    return _sql(sql, {name: open_table(folder, name) for name in TABLES}, sql)


def reviewed_ids(folder: Path) -> pa.Array:
    """Instances with a correction among the labels, or a decision in `decisions.parquet` if there is one."""
    corrected = _labelled(folder, ("correction",)).to_pylist()
    if (folder / "decisions.parquet").exists():
        corrected += (
            open_table(folder, "decisions").to_table(columns=["instance_id"])["instance_id"].to_pylist()
        )
    return pa.array(sorted(set(corrected)), pa.string())


def open_table(folder: Path, name: str) -> pd.Dataset:
    """A table of a data set's folder, opened but not read.

    Raises:
        DatasetNotFoundError: there is no such file.
    """
    path = folder / f"{name}.parquet"
    if not path.is_file():
        raise DatasetNotFoundError(
            f"a data set's folder with {name}.parquet",
            f"{folder} without it",
            "Name the artifact of an `ingest` stage.",
        )
    return pd.dataset(path, format="parquet")


def number_in_extra(extra: pa.Array | pa.ChunkedArray, key: str) -> pa.Array | pa.ChunkedArray:
    """The first number under a key in a column of JSON texts, null where there is none; no JSON is parsed."""
    found = pc.extract_regex(extra, pattern=rf'"{key}":\s*(?P<value>-?[0-9.]+(?:[eE][-+]?[0-9]+)?)')
    return pc.cast(pc.struct_field(found, "value"), pa.float64())


def _read_instances(folder: Path, filters: Filters) -> pa.Table:
    """The columns that are needed of the rows that pass the conditions on them."""
    condition = None
    for part in (
        pd.field("category").isin(filters.category) if filters.category else None,
        pd.field("area") >= filters.min_area if filters.min_area is not None else None,
        pd.field("area") < filters.max_area if filters.max_area is not None else None,
    ):
        if part is not None:
            condition = part if condition is None else condition & part
    columns = [*_PLAIN, "xywh", *(["extra"] if filters.min_visible is not None else [])]
    rows = open_table(folder, "instances").to_table(columns=columns, filter=condition)
    for index, name in enumerate("xywh"):
        rows = rows.append_column(name, pc.list_element(rows["xywh"], index))
    return rows.drop_columns("xywh")


def _visible(rows: pa.Table, least: float) -> pa.Table:
    shares = number_in_extra(rows["extra"], "visible_share")
    if len(rows) and shares.null_count == len(rows):
        raise SettingsError(
            "instances that say their visible share, as --min-visible asks",
            f"none among {len(rows)}",
            "Rendered and synthesised data say it; leave the filter out for others.",
        )
    rows = rows.drop_columns("extra").append_column("visible_share", shares)
    return rows.filter(pc.greater_equal(shares, least))


def _labelled(folder: Path, sources: tuple[str, ...]) -> pa.Array | pa.ChunkedArray:
    chosen = pd.field("source").isin(sources)
    return open_table(folder, "labels").to_table(columns=["instance_id"], filter=chosen)["instance_id"]


def _among(column: Any, values: Any) -> Any:
    return pc.is_in(
        column, value_set=values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    )


def _sql(sql: str, views: dict[str, Any], given: str) -> pa.Table:
    try:
        import duckdb
    except ImportError as error:
        raise DependencyError(
            "DuckDB, for SQL", "no such package", "pip install 'densecorr[query]'; filters work without it."
        ) from error
    with duckdb.connect() as connection:
        for name, view in views.items():
            connection.register(name, view)
        try:
            answer = connection.sql(sql)
            return pa.table({}) if answer is None else answer.to_arrow_table()
        except duckdb.Error as error:
            raise SettingsError(
                "SQL that DuckDB runs", f"'{given}' ({error})", "Correct the query."
            ) from error


def _check(filters: Filters, limit: int | None) -> None:
    low, high = filters.min_area, filters.max_area
    if low is not None and high is not None and low >= high:
        raise SettingsError("min_area below max_area", f"{low:g} and {high:g}", "Swap the two numbers.")
    if filters.min_visible is not None and not 0 <= filters.min_visible <= 1:
        raise SettingsError("min_visible from 0 to 1", f"{filters.min_visible:g}", "It is a share.")
    if limit is not None and limit < 0:
        raise SettingsError("a limit of at least 0", str(limit), "Correct the number.")
