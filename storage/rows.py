"""Records (`densecorr/records.py`) to tables and back, whole columns at a time."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from densecorr.datasets.segmentations import as_runs
from densecorr.errors import AnnotationError
from densecorr.records import Camera, ImageRecord, InstanceRecord, LabelRecord

from .conform import conform_table, unfit
from .schemas import CAMERAS, POINT_COLUMNS, schema_of

_DTYPES = {"vertex": np.int64, "point_ids": np.int64, "part": np.uint8, "visible": np.bool_}  # others float32

_RECORDS = {"images": ImageRecord, "instances": InstanceRecord, "labels": LabelRecord}
_Record = ImageRecord | InstanceRecord | LabelRecord


def records_to_table(name: str, records: Sequence[_Record]) -> pa.Table:
    """The table `images`, `instances` or `labels` with one row a record, checked against its schema.

    Positions and scores become float32, vertices int32. Cameras carry no id: see `cameras_to_table`.

    Raises:
        AnnotationError: a value does not fit its column, a key is repeated, or a label's arrays differ
            in length.
    """
    if name not in _RECORDS:
        raise _no_records(name)
    schema = schema_of(name)
    return conform_table(name, pa.table([_column(name, field, records) for field in schema], schema=schema))


@overload
def table_to_records(name: Literal["images"], table: pa.Table) -> list[ImageRecord]: ...
@overload
def table_to_records(name: Literal["instances"], table: pa.Table) -> list[InstanceRecord]: ...
@overload
def table_to_records(name: Literal["labels"], table: pa.Table) -> list[LabelRecord]: ...
def table_to_records(name: str, table: pa.Table) -> list[Any]:
    """One record a row, in order; arrays are writable, vertices int64, positions and scores float32.

    Raises:
        AnnotationError: the table lacks a required column or does not fit the schema.
    """
    if name not in _RECORDS:
        raise _no_records(name)
    table = conform_table(name, table)
    columns = {field.name: _values(name, field, table.column(field.name)) for field in table.schema}
    return [
        _RECORDS[name](**dict(zip(columns, row, strict=True))) for row in zip(*columns.values(), strict=True)
    ]


def cameras_to_table(cameras: Mapping[str, Camera]) -> pa.Table:
    """The table `cameras` of cameras by id; matrices are stored row by row."""
    views = list(cameras.values())
    columns = {
        "camera_id": list(cameras),
        "K": [view.K.ravel().tolist() for view in views],
        "R": [view.R.ravel().tolist() for view in views],
        "t": [view.t.tolist() for view in views],
        "distortion": [list(view.distortion) for view in views],
        "width": [view.width for view in views],
        "height": [view.height for view in views],
    }
    return conform_table("cameras", pa.table(columns, schema=CAMERAS))


def table_to_cameras(table: pa.Table) -> dict[str, Camera]:
    """Camera id to camera.

    Raises:
        AnnotationError: the table does not fit the schema.
    """
    rows = conform_table("cameras", table).to_pylist()
    return {
        row["camera_id"]: Camera(
            K=np.array(row["K"]).reshape(3, 3),
            R=np.array(row["R"]).reshape(3, 3),
            t=np.array(row["t"]),
            width=row["width"],
            height=row["height"],
            distortion=tuple(row["distortion"]),
        )
        for row in rows
    }


def _column(name: str, field: pa.Field, records: Sequence[_Record]) -> pa.Array:
    """One column of the table, from the records' attribute of that name."""
    values = [getattr(record, field.name) for record in records]
    try:
        if field.name == "extra":
            return pa.array([_json(value) if value else None for value in values], field.type)
        if name == "labels" and field.name in POINT_COLUMNS:
            return _join(values, field.type)
        return pa.array(values, field.type)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, TypeError, ValueError) as error:
        raise unfit(name, f"{field.type} in column {field.name}", f"a value that is not ({error})") from error


def _values(name: str, field: pa.Field, column: pa.ChunkedArray) -> list[Any]:
    """The values of one column as the records hold them, one a row."""
    if field.name == "extra":
        return [json.loads(text) if text else {} for text in column.to_pylist()]
    if field.name == "xywh":
        return [tuple(box) for box in column.to_pylist()]
    if field.name == "silhouette":
        return [as_runs(value) for value in column.to_pylist()]
    if name == "labels" and field.name in POINT_COLUMNS:
        return _split(column, _DTYPES.get(field.name, np.float32))
    return column.to_pylist()


def _join(arrays: Sequence[np.ndarray | None], kind: pa.ListType) -> pa.Array:
    """A list column from one array (or None) a row: one conversion for all rows together."""
    absent = np.array([array is None for array in arrays], dtype=bool)
    present = [np.asarray(array).reshape(-1) for array in arrays if array is not None]
    lengths = np.zeros(len(arrays), dtype=np.int64)
    lengths[~absent] = [len(array) for array in present]
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    filled = [array for array in present if len(array)]  # an empty list is float64 to numpy
    flat = pa.array(np.concatenate(filled)) if filled else pa.array([], kind.value_type)
    return pa.ListArray.from_arrays(
        pa.array(offsets).cast(pa.int32()), flat.cast(kind.value_type), type=kind, mask=pa.array(absent)
    )


def _split(column: pa.ChunkedArray, dtype: type) -> list[np.ndarray | None]:
    """One writable array (None where null) a row of a list column."""
    arrays: list[np.ndarray | None] = []
    for chunk in column.chunks:
        flat = (
            chunk.flatten().to_numpy(zero_copy_only=False).astype(dtype)
        )  # a copy: Arrow's own is read-only
        ends = np.cumsum(pc.fill_null(pc.list_value_length(chunk), 0).to_numpy(zero_copy_only=False))
        starts = np.concatenate([[0], ends[:-1]]) if len(ends) else ends
        valid = chunk.is_valid().to_numpy(zero_copy_only=False)
        arrays.extend(
            flat[start:end] if present else None
            for start, end, present in zip(starts, ends, valid, strict=True)
        )
    return arrays


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _no_records(name: str) -> AnnotationError:
    remedy = "Cameras have cameras_to_table and table_to_cameras; decisions are kept by the decisions table."
    return AnnotationError("records of images, instances or labels", f"a table {name}", remedy)
