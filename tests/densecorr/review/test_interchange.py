"""Files of other tools: nothing of a label set is lost on the way there and back, and changes become acts."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from densecorr.errors import AnnotationError, DatasetNotFoundError
from densecorr.records import LabelRecord
from densecorr.review.interchange import FORMATS, ToolImage, ToolInstance, ToolPoint
from densecorr.review.interchange.changes import Importer
from densecorr.review.state import initial_state, replay
from tests.label_studio import submit

pixels = st.floats(0, 400, allow_nan=False).map(lambda value: round(value, 3))
rows = st.lists(st.tuples(pixels, pixels, st.integers(0, 5000), st.booleans()), max_size=8)
names = st.text(st.characters(codec="utf-8", categories=("L", "N")), min_size=1, max_size=6)
polygons = st.sampled_from(((), ((1.0, 2.0, 30.0, 4.5, 9.0, 20.25),)))
objects = st.tuples(st.sampled_from(("person", "zebra")), rows, names, st.tuples(*[pixels] * 4), polygons)
pictures = st.lists(st.lists(objects, max_size=3), max_size=3)


def build(pictures: list[list[tuple]]) -> list[ToolImage]:
    """The drawn values as images: not inside the strategy, where beartype's random checks disturb hypothesis."""
    images = []
    for i, drawn in enumerate(pictures):
        made = []
        for j, (category, values, name, (x, y, w, h), outline) in enumerate(drawn):
            points = tuple(ToolPoint(*row, point_id=2 * k) for k, row in enumerate(values))
            key = f"coco/{i}-{j} <{name}>"
            made.append(ToolInstance(category, points, key, (x, y, 1 + w, 1 + h), outline))
        images.append(ToolImage(f"train/{i} é.jpg", 640, 480, tuple(made)))
    return images


@pytest.mark.parametrize("form", FORMATS)
@settings(max_examples=25, deadline=None)
@given(drawn=pictures)
def test_written_and_read_back(tmp_path_factory: pytest.TempPathFactory, form: str, drawn: list) -> None:
    images = build(drawn)
    write, read = FORMATS[form]
    path = tmp_path_factory.mktemp("tool") / "labels.file"
    write(path, images)
    submit(path, form)
    back = read(path)
    assert [(image.name, image.width, image.height) for image in back] == [
        (image.name, image.width, image.height) for image in images
    ]
    for image, other in zip(images, back, strict=True):
        found = {one.instance_id: one for one in other.instances}
        assert list(found) == [one.instance_id for one in image.instances]
        for one in image.instances:
            same(one, found[one.instance_id], hidden=form != "densepose")


def same(one: ToolInstance, other: ToolInstance, hidden: bool) -> None:
    assert one.category == other.category
    np.testing.assert_allclose(one.xywh, other.xywh, atol=1e-6)
    assert len(one.polygons) == len(other.polygons)
    for a, b in zip(one.polygons, other.polygons, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    expected = {point.point_id: point for point in one.points if hidden or point.visible}
    got = {point.point_id: point for point in other.points}
    assert expected.keys() == got.keys()
    for i, point in expected.items():
        assert (point.vertex, point.visible) == (got[i].vertex, got[i].visible)
        np.testing.assert_allclose((point.x, point.y), (got[i].x, got[i].y), atol=1e-6)


def label(n: int = 4) -> LabelRecord:
    x = np.arange(n, dtype=np.float32) * 10
    return LabelRecord("l/1", "i/1", "body-v1", "zero_shot", "p", x, x + 5, np.arange(n) * 100)


importer = Importer("d", "ann", datetime(2026, 1, 1, tzinfo=UTC), seconds=30.0)


def tool(changes: dict[int, ToolPoint | None], extra: tuple[ToolPoint, ...] = ()) -> ToolInstance:
    state = initial_state(label())
    kept = {i: ToolPoint(p.x, p.y, p.vertex, p.visible, i) for i, p in state.points.items()} | changes
    return ToolInstance("person", (*(point for point in kept.values() if point is not None), *extra))


def test_what_changed_becomes_acts_that_lead_to_the_tools_state() -> None:
    changed = tool(
        {
            0: ToolPoint(0.009, 5.0, 0, True, 0),  # CVAT's rounding: no act
            1: ToolPoint(12.0, 15.0, 7, True, 1),
            2: None,
            3: ToolPoint(30.0, 35.0, 300, False, 3),
        },
        extra=(ToolPoint(1.0, 2.0, 3),),
    )
    acts = importer.decisions(label(), changed)
    assert [act.action for act in acts] == ["assign", "delete", "not_visible", "add", "accept"]
    assert sum(act.seconds for act in acts) == pytest.approx(30)
    state = replay(label(), acts)
    assert sorted(state.points) == [0, 1, 3, 4]
    assert (state.points[1].x, state.points[1].vertex) == (12, 7)
    assert not state.points[3].visible
    assert state.points[4].vertex == 3
    assert state.verdict == {"action": "accept", "reason": None}


def test_a_tool_without_ids_or_vertices_keeps_the_label_sets_own() -> None:
    bare = ToolInstance("person", tuple(ToolPoint(10.0 * i + 3.0 * (i == 2), 10.0 * i + 5) for i in range(4)))
    acts = importer.decisions(label(), bare)
    assert [(act.action, act.point_id) for act in acts] == [("move", 2), ("accept", None)]
    assert replay(label(), acts).points[2].vertex == 200


def test_an_import_goes_on_from_what_the_reviewer_did_before() -> None:
    first = importer.decisions(label(), tool({0: ToolPoint(3.0, 5.0, 9, True, 0), 2: None}))
    again = replace(importer, file="b").decisions(label(), tool({}, extra=(ToolPoint(1.0, 2.0, 3),)), first)
    assert [act.action for act in again] == ["assign", "add", "add", "accept"]
    state = replay(label(), [*first, *again])
    assert {i: point.vertex for i, point in state.points.items()} == {0: 0, 1: 100, 2: 200, 3: 300, 4: 3}
    assert state.points[0].x == 0
    assert replace(importer, file="b").decisions(label(), tool({}), [*first, *again]) == []


def test_what_a_format_has_no_place_for_is_not_deleted() -> None:
    hidden = replace(label(), visible=np.array([True, False, True, True]), vertex=np.array([0, 100, -1, 300]))
    back = ToolInstance(
        "person", (ToolPoint(0.0, 5.0, 0, True, 0), ToolPoint(30.0, 35.0, 300, True, 3)), complete=False
    )
    assert [act.action for act in importer.decisions(hidden, back)] == ["accept"]


def test_points_drawn_in_cvat_belong_to_the_object_they_name(tmp_path: Path) -> None:
    write, read = FORMATS["cvat"]
    write(tmp_path / "a.xml", [ToolImage("a.jpg", 64, 48, (replace(tool({}), instance_id="i/1"),))])
    drawn = (
        '<points label="person" points="5,6"><attribute name="instance_id">i/1</attribute></points></image>'
    )
    (tmp_path / "a.xml").write_text((tmp_path / "a.xml").read_text().replace("</image>", drawn))
    (instance,) = read(tmp_path / "a.xml")[0].instances
    assert len(instance.points) == 5
    assert (instance.points[4].x, instance.points[4].point_id) == (4.5, None)


def test_a_label_studio_task_that_nobody_finished_says_nothing(tmp_path: Path) -> None:
    write, read = FORMATS["label-studio"]
    write(tmp_path / "a.json", [ToolImage("a.jpg", 64, 48, (replace(tool({}), instance_id="i/1"),))])
    assert read(tmp_path / "a.json")[0].instances == ()


def test_bad_files_and_values_are_refused(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="a vertex"):
        importer.decisions(label(), tool({1: ToolPoint(1.0, 1.0, -2, True, 1)}))
    with pytest.raises(AnnotationError, match=r"\[-1, 400\)"):
        replace(importer, n_vertices=400).decisions(label(), tool({1: ToolPoint(1.0, 1.0, 400, True, 1)}))
    with pytest.raises(AnnotationError, match="twice"):
        importer.decisions(label(), tool({}, extra=(ToolPoint(1.0, 1.0, 1, True, 2),)))
    bad = tmp_path / "bad.file"
    bad.write_text(json.dumps({"images": 3}), encoding="utf-8")
    for _, read in FORMATS.values():
        with pytest.raises(AnnotationError, match="Export it from the tool again"):
            read(bad)
        with pytest.raises(DatasetNotFoundError, match=r"none\.file"):
            read(tmp_path / "none.file")
