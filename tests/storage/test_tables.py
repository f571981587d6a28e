"""Tables: what is written comes back equal, and nothing else gets in or out silently."""

from dataclasses import fields
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from densecorr.errors import AnnotationError, ArtifactError
from densecorr.records import ImageRecord, InstanceRecord, LabelRecord
from storage.tables import (
    SCHEMAS,
    conform_table,
    read_table,
    records_to_table,
    write_table,
    write_tables,
)

IMAGES = [
    ImageRecord("coco/1", "images/1.png", 640, 480),
    ImageRecord("coco/2", "images/2.png", 5, 7, split="val"),
]
LABELS = pa.table(
    {
        "label_id": ["l/0", "l/1"],
        "instance_id": ["coco/10"] * 2,
        "template_id": ["cow-v1"] * 2,
        "source": ["human"] * 2,
        "producer": ["0" * 20] * 2,
        "x": [[1.0, 2.0], []],
        "y": [[1.0, 2.0], []],
        "vertex": [[0, -1], []],
        "weight": [1.0, 0.5],
    }
)


def test_equal_tables_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_table(tmp_path / name, "labels", LABELS)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_files_are_compressed_with_zstd(tmp_path: Path) -> None:
    write_tables(tmp_path / "new", {"images": records_to_table("images", IMAGES)})
    column = pq.ParquetFile(tmp_path / "new" / "images.parquet").metadata.row_group(0).column(0)
    assert column.compression == "ZSTD"


def test_columns_and_filters_select(tmp_path: Path) -> None:
    folder = tmp_path / "split=train"  # must not become a column
    write_tables(folder, {"images": records_to_table("images", IMAGES)})
    table = read_table(
        folder / "images.parquet", "images", columns=["image_id", "split"], filters=[("width", "=", 5)]
    )
    assert table.to_pylist() == [{"image_id": "coco/2", "split": "val"}]


def test_absent_nullable_columns_become_null_and_types_are_cast() -> None:
    table = pa.table(
        {"image_id": ["a"], "uri": ["a.png"], "width": [1.0], "height": pa.array([2], pa.int64())}
    )
    conformed = conform_table("images", table)
    assert conformed.schema.equals(SCHEMAS["images"], check_metadata=True)
    assert conformed.to_pylist()[0] == dict.fromkeys(SCHEMAS["images"].names) | {
        "image_id": "a",
        "uri": "a.png",
        "width": 1,
        "height": 2,
    }


def break_images(**columns: list) -> pa.Table:
    good = {"image_id": ["a", "b"], "uri": ["a", "b"], "width": [1, 2], "height": [1, 2]}
    return pa.table({name: values for name, values in (good | columns).items() if values})


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (break_images(colour=["red", "blue"]), "colour"),
        (break_images(uri=[]), "a column uri"),
        (break_images(uri=["a", None]), "row 1"),
        (break_images(width=[1, 2**40]), "int32 in column width"),
        (break_images(width=[1.5, 2.5]), "int32 in column width"),
        (break_images(image_id=["b", "b"]), "'b'"),
    ],
)
def test_rows_that_do_not_fit_are_refused(tmp_path: Path, table: pa.Table, message: str) -> None:
    with pytest.raises(AnnotationError, match=message):
        write_table(tmp_path / "images.parquet", "images", table)
    assert not (tmp_path / "images.parquet").exists()


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({}, "without that mark"),
        ({"densecorr.table": "images", "densecorr.version": "1"}, "received a table images"),
        ({"densecorr.table": "cameras", "densecorr.version": "9"}, "received version 9"),
        ({"densecorr.table": "cameras"}, "received version unknown"),
    ],
)
def test_other_tables_and_versions_are_refused(
    tmp_path: Path, metadata: dict[str, str], message: str
) -> None:
    table = pa.table({name: [] for name in SCHEMAS["cameras"].names})
    pq.write_table(table.replace_schema_metadata(metadata), tmp_path / "t.parquet")
    with pytest.raises(ArtifactError, match=message):
        read_table(tmp_path / "t.parquet", "cameras")


def test_absent_and_damaged_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"t\.parquet; received no such file"):
        read_table(tmp_path / "t.parquet", "images")
    (tmp_path / "t.parquet").write_bytes(b"PAR1 and then nothing")
    with pytest.raises(ArtifactError, match=r"t\.parquet"):
        read_table(tmp_path / "t.parquet", "images")


def test_unknown_names_are_refused(tmp_path: Path) -> None:
    write_tables(tmp_path, {"images": records_to_table("images", IMAGES)})
    with pytest.raises(AnnotationError, match="colour"):
        read_table(tmp_path / "images.parquet", "images", columns=["colour"])
    with pytest.raises(ArtifactError, match="photos"):
        read_table(tmp_path / "images.parquet", "photos")
    with pytest.raises(AnnotationError, match="cameras_to_table"):
        records_to_table("cameras", [])


def test_the_columns_are_those_of_the_architecture() -> None:
    assert ", ".join(SCHEMAS["labels"].names) == (
        "label_id, instance_id, template_id, source, producer, point_ids, x, y, vertex, score, margin, "
        "cycle_px, expected_error, part, u, v, visible, weight, extra"
    )
    assert ", ".join(SCHEMAS["decisions"].names) == (
        "decision_id, dataset_id, instance_id, label_id, template_id, producer, point_id, action, undoes, "
        "before, after, reviewer, reason, time, seconds"
    )
    for name, record in (("images", ImageRecord), ("instances", InstanceRecord), ("labels", LabelRecord)):
        assert {field.name for field in fields(record)} == set(SCHEMAS[name].names)
