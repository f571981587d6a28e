"""Decisions (`densecorr.records.Decision`) to table rows and to one line of JSON, and back."""

import json
from collections.abc import Sequence
from dataclasses import fields
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from densecorr.records import Decision

from .conform import conform_table, unfit
from .schemas import DECISIONS

_PATCHES = ("before", "after")
_FIELDS = tuple(field.name for field in fields(Decision))


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no JSON form")


_strict = json.JSONEncoder(allow_nan=False, default=_plain)
_fast = msgspec.json.Encoder(enc_hook=_plain, order="sorted")  # sorted: equal patches are equal texts


def decisions_to_table(decisions: Sequence[Decision]) -> pa.Table:
    """The table `decisions` with one row each, in order, checked against its schema.

    Raises:
        AnnotationError: a value does not fit its column, a time without a time zone, seconds that are not a
            number from 0 on, a patch that has no JSON form, an empty or a repeated id.
    """
    for decision in decisions:
        if not decision.decision_id:
            raise unfit("decisions", "a decision_id", "an empty one")
        if decision.time.utcoffset() is None:
            raise unfit("decisions", "a time with its time zone", decision.time.isoformat())
        if not 0 <= decision.seconds < float("inf"):
            raise unfit("decisions", "seconds from 0 on", repr(decision.seconds))
    columns = [_column(field, decisions) for field in DECISIONS]
    return conform_table("decisions", pa.table(columns, schema=DECISIONS))


def table_to_decisions(table: pa.Table) -> list[Decision]:
    """One decision a row, in order; times are in UTC.

    Raises:
        AnnotationError: the table lacks a required column or does not fit the schema.
    """
    table = conform_table("decisions", table)
    columns = [_values(name, table.column(name).to_pylist()) for name in _FIELDS]
    return [Decision(*row) for row in zip(*columns, strict=True)]


def encode_decision(decision: Decision) -> str:
    """One decision as one line of JSON.

    Raises:
        AnnotationError: it could not become a row of the table either, see `decisions_to_table`.
    """
    decisions_to_table([decision])
    values = {name: getattr(decision, name) for name in _FIELDS}
    return _encode({**values, "time": decision.time.astimezone(UTC).isoformat()})


def decode_decision(text: str) -> Decision:
    """The decision of a line that `encode_decision` made.

    Raises:
        ValueError, TypeError, KeyError: the line is not one.
    """
    values = json.loads(text)
    return Decision(**{**values, "time": datetime.fromisoformat(values["time"])})


def _encode(value: dict[str, Any]) -> str:
    text = _fast.encode(value).decode()
    if "null" in text:  # which is also what msgspec makes of NaN: that is to be an error
        _strict.encode(value)
    return text


def _column(field: pa.Field, decisions: Sequence[Decision]) -> pa.Array:
    values = list(map(attrgetter(field.name), decisions))
    try:
        if field.name in _PATCHES:
            values = [_encode(patch) if patch else None for patch in values]
        return pa.array(values, field.type)
    except (pa.ArrowException, OverflowError, TypeError, ValueError) as error:
        raise unfit(
            "decisions", f"{field.type} in column {field.name}", f"a value that is not ({error})"
        ) from error


def _values(name: str, values: list[Any]) -> list[Any]:
    if name in _PATCHES:
        return [msgspec.json.decode(text) if text else {} for text in values]
    return [value.astimezone(UTC) for value in values] if name == "time" else values
