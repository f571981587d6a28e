"""Records to tables and back: equal, in any number of rows and chunks."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from densecorr.errors import AnnotationError
from densecorr.records import Camera, ImageRecord, InstanceRecord, LabelRecord
from storage.tables import (
    SCHEMAS,
    cameras_to_table,
    conform_table,
    read_table,
    records_to_table,
    table_to_cameras,
    table_to_records,
    write_table,
)

IMAGES = [
    ImageRecord("coco/1", "images/1.png", 640, 480),
    ImageRecord(
        "coco/2",
        "images/2.png",
        5,
        7,
        "ab" * 32,
        "val",
        "CC0",
        "coco",
        "cam/0",
        2**40,
        {"a": [1, 2.5, None], "é": {}},
    ),
]
INSTANCES = [
    InstanceRecord("coco/10", "coco/1", "person", (0.1, 2.0, 3.3, 4.0)),
    InstanceRecord(
        instance_id="coco/11",
        image_id="coco/2",
        category="cow",
        xywh=(1.0, 2.0, 3.0, 4.0),
        silhouette={"size": [7, 5], "counts": "0P3\\`1"},
        silhouette_source="dataset",
        template_id="cow-v1",
        area=12.5,
        iscrowd=True,
        ignore=True,
        score=0.1,
        extra={"keypoints": [1, 2, 2]},
    ),
]


def make_label(label_id: str, n_points: int, rng: np.random.Generator, *, full: bool) -> LabelRecord:
    def reals() -> np.ndarray:
        return rng.normal(size=n_points).astype(np.float32)

    optional = {}
    if full:
        optional = {name: reals() for name in ("score", "margin", "cycle_px", "expected_error", "u", "v")} | {
            "point_ids": np.arange(n_points),
            "part": rng.integers(0, 25, n_points).astype(np.uint8),
            "visible": rng.random(n_points) < 0.5,
            "weight": 0.1,
            "extra": {"dp_x": [0.5] * n_points},
        }
    vertex = rng.integers(-1, 27554, n_points)
    return LabelRecord(label_id, "coco/10", "cow-v1", "human", "src", reals(), reals(), vertex, **optional)


def make_labels() -> list[LabelRecord]:
    rng = np.random.default_rng(0)
    shapes = [(3, True), (0, True), (5, False), (0, False), (1, True)]
    return [make_label(f"l/{i}", n, rng, full=full) for i, (n, full) in enumerate(shapes)]


def assert_records_equal(received: list, expected: list) -> None:
    assert len(received) == len(expected)
    for one, other in zip(received, expected, strict=True):
        for field in fields(other):
            a, b = getattr(one, field.name), getattr(other, field.name)
            if isinstance(b, np.ndarray):
                np.testing.assert_array_equal(a, b, strict=True)
            else:
                assert a == b, field.name


@pytest.mark.parametrize(
    ("name", "records"), [("images", IMAGES), ("instances", INSTANCES), ("labels", make_labels())]
)
@pytest.mark.parametrize("n_rows", [0, 1, None])
def test_written_records_come_back_equal(
    tmp_path: Path, name: str, records: list, n_rows: int | None
) -> None:
    expected = records[:n_rows]
    write_table(tmp_path / "t.parquet", name, records_to_table(name, expected))
    table = read_table(tmp_path / "t.parquet", name)
    assert table.schema.equals(SCHEMAS[name], check_metadata=True)
    assert_records_equal(table_to_records(name, table), expected)


def test_labels_in_several_chunks_and_slices_come_back_equal() -> None:
    labels = make_labels()
    table = records_to_table("labels", labels)
    pieces = pa.concat_tables([table.slice(0, 2), table.slice(2, 1), table.slice(3)])
    assert_records_equal(table_to_records("labels", pieces), labels)
    assert_records_equal(table_to_records("labels", table.slice(1, 3)), labels[1:4])


def test_arrays_of_labels_can_be_written_to() -> None:
    label = table_to_records("labels", records_to_table("labels", make_labels()))[0]
    label.x[:] = 0  # Arrow's own buffers are read-only, which torch warns about
    assert label.visible is not None
    label.visible[:] = True


def test_cameras_come_back_equal(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    camera = Camera(
        rng.normal(size=(3, 3)),
        rng.normal(size=(3, 3)),
        rng.normal(size=3),
        64,
        48,
        (0.1, 0.0, 0.0, 0.0, 1e-9),
    )
    write_table(tmp_path / "c.parquet", "cameras", cameras_to_table({"rig/0": camera}))
    back = table_to_cameras(read_table(tmp_path / "c.parquet", "cameras"))
    assert list(back) == ["rig/0"]
    assert_records_equal([back["rig/0"]], [camera])


@pytest.mark.parametrize("column", ["vertex", "score", "part", "visible"])
def test_point_columns_of_unequal_length_are_refused(column: str) -> None:
    label = make_labels()[0]
    with pytest.raises(AnnotationError, match=f"3 entries of {column}.*l/0"):
        records_to_table("labels", [replace(label, **{column: getattr(label, column)[:2]})])


@pytest.mark.parametrize(
    ("column", "value"),
    [("vertex", np.array([0, 1, 2**31])), ("part", np.array([0, 1, -1])), ("source", "guess")],
)
def test_values_out_of_range_are_refused_not_wrapped(column: str, value: object) -> None:
    with pytest.raises(AnnotationError, match=column):
        records_to_table("labels", [replace(make_labels()[0], **{column: value})])


@pytest.mark.parametrize("silhouette", [{"size": [7], "counts": "0"}, {"size": [7, 5], "counts": None}, {}])
def test_broken_silhouettes_are_refused(silhouette: dict) -> None:
    with pytest.raises(AnnotationError, match="silhouette of coco/10"):
        records_to_table("instances", [replace(INSTANCES[0], silhouette=silhouette)])


def test_extra_that_is_not_json_is_refused() -> None:
    with pytest.raises(AnnotationError, match="extra"):
        records_to_table("images", [replace(IMAGES[0], extra={"when": object()})])


def test_numbers_of_numpy_in_extra_are_kept() -> None:
    table = records_to_table("images", [replace(IMAGES[0], extra={"n": np.int64(3), "v": np.arange(2)})])
    assert table_to_records("images", table)[0].extra == {"n": 3, "v": [0, 1]}


def test_tables_built_from_plain_lists_are_cast() -> None:
    table = pa.table(
        {
            "instance_id": ["a"],
            "image_id": ["i"],
            "category": pa.array(["cow"]).dictionary_encode(),
            "xywh": [[1, 2, 3, 4]],
            "silhouette": [{"counts": b"0P3", "size": [7, 5]}],
            "area": [1],
            "iscrowd": [False],
            "ignore": [True],
        }
    )
    record = table_to_records("instances", table)[0]
    assert record.xywh == (1.0, 2.0, 3.0, 4.0)
    assert record.silhouette == {"size": [7, 5], "counts": "0P3"}
    assert (record.category, record.area, record.ignore) == ("cow", 1.0, True)


def test_a_box_of_three_numbers_is_refused() -> None:
    table = records_to_table("instances", INSTANCES).drop_columns(["xywh"])
    with pytest.raises(AnnotationError, match="xywh"):
        conform_table("instances", table.append_column("xywh", pa.array([[1.0, 2.0, 3.0]] * 2)))
