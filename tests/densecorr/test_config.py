import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from densecorr.config import canonical_json, from_jsonable, to_jsonable
from densecorr.errors import SettingsError


@dataclass(frozen=True)
class Circle:
    kind: Literal["circle"] = "circle"
    radius: float = 1.0


@dataclass(frozen=True)
class Square:
    kind: Literal["square"] = "square"
    side: float = 2.0
    tilted: bool = False


@dataclass(frozen=True)
class Drawing:
    title: str
    shape: Circle | Square = field(default_factory=Circle)
    shapes: tuple[Circle | Square, ...] = ()
    interval: tuple[float, float] = (-1.0, 1.0)
    counts: dict[str, int] = field(default_factory=dict)
    unit: Literal["m", "cm"] = "m"
    folder: Path | None = None
    limit: int | None = None
    tags: list[str] = field(default_factory=list)
    extra: Any = None


FULL = Drawing(
    title="zwölf",
    shape=Square(side=3.0, tilted=True),
    shapes=(Circle(radius=0.5), Square()),
    interval=(-30.0, 45.5),
    counts={"b": 2, "a": 1},
    unit="cm",
    folder=Path("a/b"),
    limit=7,
    tags=["x", "y"],
    extra={"free": [1, None, "text"]},
)


def of_drawing(**changed: Any) -> Drawing:
    return from_jsonable(Drawing, {"title": "t", **changed})


@pytest.mark.parametrize("value", [Drawing("defaults"), FULL])
def test_settings_come_back_through_json(value: Drawing) -> None:
    assert from_jsonable(Drawing, json.loads(canonical_json(value))) == value


def real_settings() -> list[Any]:
    from densecorr.losses import ShicLoss
    from densecorr.pseudolabels import LabelFilter, ZeroShotSettings
    from densecorr.rendering.views import ViewSettings
    from densecorr.synthesis import ControlNetGenerator, ProceduralGenerator, Viewpoints
    from densecorr.training import TrainSettings

    intervals = ((-60.0, 60.0), (170.0, 190.0))
    return [
        TrainSettings(loss=ShicLoss.paper(), device="cuda"),
        ProceduralGenerator(viewpoints=Viewpoints(azimuths=intervals)),
        ControlNetGenerator(),
        ZeroShotSettings(pooling="auto", azimuths=intervals),
        LabelFilter(),
        ViewSettings(),
    ]


def test_the_library_s_own_settings_come_back_through_json() -> None:
    for value in real_settings():
        assert from_jsonable(type(value), json.loads(canonical_json(value))) == value


@pytest.mark.parametrize(
    ("build", "parts"),
    [
        (lambda: of_drawing(titel="x"), ["'titel'", "Did you mean 'title'?"]),
        (
            lambda: of_drawing(shape={"kind": "square", "sied": 1.0}),
            ["'shape.sied'", "Did you mean 'side'?", "Square"],
        ),
        (lambda: of_drawing(qqq=1), ["'qqq'", "Valid keys: title, shape"]),
        (lambda: of_drawing(shape={"kind": "hexagon"}), ["shape.kind", "circle", "square", "'hexagon'"]),
        (lambda: of_drawing(shape={}), ["shape.kind", "None"]),
        (lambda: of_drawing(shapes=[{"kind": "circle", "radius": "big"}]), ["shapes[0].radius", "'big'"]),
        (lambda: of_drawing(interval=[1.0, 2.0, 3.0]), ["2 values at 'interval'"]),
        (lambda: of_drawing(unit="mm"), ["unit", "'mm'", "cm"]),
        (lambda: of_drawing(counts={"a": 1.5}), ["counts.a", "1.5"]),
        (lambda: of_drawing(limit=True), ["limit", "True"]),
        (lambda: of_drawing(tags="abc"), ["a list at 'tags'", "'abc'"]),
        (lambda: of_drawing(folder=3), ["folder", "3"]),
        (lambda: from_jsonable(Drawing, {}), ["a value for 'title'", "str"]),
        (lambda: from_jsonable(Drawing, []), ["the top level", "Drawing"]),
    ],
)
def test_anything_else_is_refused_by_its_path(build: Callable[[], Any], parts: list[str]) -> None:
    with pytest.raises(SettingsError) as caught:
        build()
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_numbers_must_be_finite_both_ways(bad: float) -> None:
    with pytest.raises(SettingsError, match="finite"):
        canonical_json(Circle(radius=bad))
    with pytest.raises(SettingsError, match="radius"):
        from_jsonable(Circle, {"radius": bad})
    with pytest.raises(SettingsError, match="finite"):
        canonical_json({"deep": [np.array([1.0, bad])]})


def test_an_int_is_a_float_but_a_bool_is_neither() -> None:
    assert canonical_json(from_jsonable(Circle, {"radius": 2})) == canonical_json(Circle(radius=2.0))
    for kind, data in [(float, True), (int, True), (int, 1.0), (bool, 1), (str, 1)]:
        with pytest.raises(SettingsError):
            from_jsonable(kind, data)


def test_canonical_json_does_not_depend_on_how_a_value_was_built() -> None:
    text = canonical_json({"b": [1, 2.5], "a": {"y": None, "x": "ü"}})
    assert text == '{"a":{"x":"ü","y":null},"b":[1,2.5]}'
    assert canonical_json({"a": {"x": "ü", "y": None}, "b": (np.int64(1), np.float64(2.5))}) == text
    assert canonical_json({"b": np.array([1, 2.5]).tolist()}) == '{"b":[1.0,2.5]}'


def test_what_is_not_plain_data_is_refused() -> None:
    for value in (object(), {1, 2}, b"bytes", Circle):
        with pytest.raises(SettingsError, match="plain data"):
            to_jsonable(value)


def test_enums_become_their_values() -> None:
    class Side(Enum):
        LEFT = "left"

    assert to_jsonable({"side": Side.LEFT}) == {"side": "left"}


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None)
@given(plain)
def test_canonical_json_loses_nothing(value: Any) -> None:
    assert json.loads(canonical_json(value)) == value
    assert canonical_json(json.loads(canonical_json(value))) == canonical_json(value)


# ---- presets


@dataclass(frozen=True)
class Sheet:
    size: int = 1
    drawing: Drawing | None = None

    PRESETS: ClassVar[dict[str, dict[str, Any]]] = {
        "plain": {},
        "large": {"size": 9, "drawing": {"title": "t", "shape": {"kind": "square", "side": 5.0}}},
    }


def test_a_preset_gives_the_values_that_other_keys_override() -> None:
    assert from_jsonable(Sheet, {"preset": "plain"}) == Sheet()
    large = from_jsonable(Sheet, {"preset": "large"})
    assert large == Sheet(9, Drawing("t", Square(side=5.0)))
    tilted = from_jsonable(Sheet, {"preset": "large", "drawing": {"shape": {"tilted": True}}})
    assert tilted == Sheet(9, Drawing("t", Square(side=5.0, tilted=True)))
    other = from_jsonable(Sheet, {"preset": "large", "size": 2, "drawing": {"shape": {"kind": "circle"}}})
    assert other == Sheet(2, Drawing("t", Circle()))


def test_only_what_has_presets_takes_one() -> None:
    assert "preset" not in to_jsonable(from_jsonable(Sheet, {"preset": "large"}))
    with pytest.raises(SettingsError, match=r"one of \['plain', 'large'\] at 'sheet.preset'"):
        from_jsonable(Sheet, {"preset": "small"}, "sheet")
    with pytest.raises(SettingsError, match="'preset'"):
        of_drawing(preset="large")
