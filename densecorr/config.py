"""Settings (frozen dataclasses) to plain data and strictly back.

JSON and TOML hold the same plain data, so one pair of functions serves manifests, checkpoints and pipeline
files. A union of dataclasses is told apart by each member's `kind: Literal["..."]`.

A dataclass may name presets: `PRESETS: ClassVar[dict[str, dict]]`. The key `preset` of its data then stands for the
preset's values; the other keys override them, also inside nested settings. Only the resolved values remain.
"""

import difflib
import json
import math
import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from pathlib import PurePath
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np

from .errors import SettingsError


def to_jsonable(value: Any) -> Any:
    """Plain dicts, lists, strings and numbers holding the same data."""
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_jsonable(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, dict):
        return {str(key): to_jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_jsonable(item) for item in value]
    if isinstance(value, Enum):
        return to_jsonable(value.value)
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, np.generic | np.ndarray):
        return to_jsonable(value.tolist())
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise SettingsError(
        "settings made of plain data", repr(type(value).__name__), "Use numbers, text or dataclasses."
    )


def canonical_json(value: Any) -> str:
    """One text for one value: sorted keys, no white space; NaN and infinity are refused."""
    try:
        return json.dumps(
            to_jsonable(value), sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False
        )
    except ValueError as error:
        raise SettingsError("finite numbers in settings", str(error), "Replace NaN or infinity.") from error


def from_jsonable(kind: Any, data: Any, path: str = "") -> Any:
    """The value of type `kind` that `to_jsonable` made `data` from; anything else is a SettingsError.

    Unknown keys, missing keys and wrong types name the key's path, and an unknown key its nearest valid name.
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any:
        return data
    if origin is Annotated:
        return from_jsonable(arguments[0], data, path)
    if is_dataclass(kind):
        return _dataclass_from(kind, data, path)
    if origin in (Union, types.UnionType):
        return _union_from(arguments, data, path)
    if origin is Literal:
        if any(data == choice and type(data) is type(choice) for choice in arguments):
            return data
        raise _wrong(path, f"one of {list(arguments)}", data)
    if origin in (list, tuple, dict):
        return _container_from(origin, arguments, data, path)
    return _scalar_from(kind, data, path)


def check_least(settings: Any, least: Mapping[str, int | float]) -> None:
    """Raise a SettingsError if a field of the settings is below its least value; for `__post_init__`."""
    for name, low in least.items():
        if getattr(settings, name) < low:
            raise SettingsError(
                f"{name} of at least {low}", str(getattr(settings, name)), "Correct the settings."
            )


def _dataclass_from(kind: Any, data: Any, path: str) -> Any:
    if not isinstance(data, dict):
        raise _wrong(path, f"a table with the fields of {kind.__name__}", data)
    hints = get_type_hints(kind, include_extras=True)
    known = {f.name: f for f in fields(kind) if f.init}
    if "preset" in data and hasattr(kind, "PRESETS"):
        data = _with_preset(kind, data, path)
    for key in data:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"Did you mean '{near[0]}'?" if near else f"Valid keys: {', '.join(known)}."
            raise SettingsError(f"a known key of {kind.__name__}", f"'{_join(path, key)}'", hint)
    values = {}
    for name, f in known.items():
        if name in data:
            values[name] = from_jsonable(hints[name], data[name], _join(path, name))
        elif f.default is MISSING and f.default_factory is MISSING:
            raise SettingsError(
                f"a value for '{_join(path, name)}'", "none", f"Add it; its type is {hints[name]}."
            )
    return kind(**values)


def _with_preset(kind: Any, data: dict[str, Any], path: str) -> dict[str, Any]:
    name = data["preset"]
    if not isinstance(name, str) or name not in kind.PRESETS:
        raise _wrong(_join(path, "preset"), f"one of {list(kind.PRESETS)}", name)
    return _overridden(kind.PRESETS[name], {key: value for key, value in data.items() if key != "preset"})


def _overridden(base: Any, changes: Any) -> Any:
    """Nested tables merged, the changes winning; a table of another `kind` replaces the one that was there."""
    if not isinstance(base, dict) or not isinstance(changes, dict):
        return changes
    if "kind" in changes and changes["kind"] != base.get("kind", changes["kind"]):
        return changes
    return base | {key: _overridden(base.get(key), value) for key, value in changes.items()}


def _union_from(members: tuple[Any, ...], data: Any, path: str) -> Any:
    if data is None and type(None) in members:
        return None
    classes = [member for member in members if is_dataclass(member)]
    if isinstance(data, dict) and classes:
        if len(classes) == 1 and "kind" not in data:
            return from_jsonable(classes[0], data, path)
        by_kind = {getattr(member, "kind", None): member for member in classes}
        if data.get("kind") not in by_kind:
            raise _wrong(_join(path, "kind"), f"one of {sorted(map(str, by_kind))}", data.get("kind"))
        return from_jsonable(by_kind[data["kind"]], data, path)
    for member in members:
        if member is type(None) or is_dataclass(member):
            continue
        try:
            return from_jsonable(member, data, path)
        except SettingsError:
            continue
    raise _wrong(path, " or ".join(getattr(m, "__name__", str(m)) for m in members), data)


def _container_from(origin: Any, arguments: tuple[Any, ...], data: Any, path: str) -> Any:
    if origin is dict:
        if not isinstance(data, dict):
            raise _wrong(path, "a table", data)
        return {
            from_jsonable(arguments[0], key, path): from_jsonable(arguments[1], item, _join(path, key))
            for key, item in data.items()
        }
    if not isinstance(data, list | tuple):
        raise _wrong(path, "a list", data)
    if origin is list or (len(arguments) == 2 and arguments[1] is Ellipsis):
        inner = [arguments[0]] * len(data)
    else:
        inner = list(arguments)
        if len(inner) != len(data):
            raise _wrong(path, f"{len(inner)} values", data)
    return origin(
        from_jsonable(kind, item, f"{path}[{index}]")
        for index, (kind, item) in enumerate(zip(inner, data, strict=True))
    )


def _scalar_from(kind: Any, data: Any, path: str) -> Any:
    if kind is float and isinstance(data, int | float) and not isinstance(data, bool):
        if math.isfinite(data):
            return float(data)
        raise _wrong(path, "a finite number", data)
    if kind is bool or kind is int or kind is str:
        if type(data) is kind:
            return data
    elif isinstance(kind, type) and issubclass(kind, PurePath) and isinstance(data, str):
        return kind(data)
    elif kind is type(None) and data is None:
        return None
    elif isinstance(kind, type) and issubclass(kind, dict | list) and isinstance(data, kind):
        return data
    raise _wrong(path, getattr(kind, "__name__", str(kind)), data)


def _join(path: str, key: Any) -> str:
    return f"{path}.{key}" if path else str(key)


def _wrong(path: str, expected: str, data: Any) -> SettingsError:
    return SettingsError(f"{expected} at '{path or 'the top level'}'", repr(data), "Correct the value.")
