"""Fetching the annotations of some images, and LVIS's negative and exhaustive categories."""

import json
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from densecorr.errors import AnnotationError, ArtifactError
from densecorr.records import ImageRecord, InstanceRecord
from storage.lookup import annotations_of_images, exhaustive_categories, negative_categories
from storage.rows import records_to_table
from storage.schemas import NAME_KEY, VERSION_KEY
from storage.tables import TableWriter, read_table, write_tables


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    extra = {"neg_category_ids": [2], "not_exhaustive_category_ids": [3]}
    images = [ImageRecord(f"lvis/{i}", f"{i}.jpg", 16, 12, extra=extra) for i in range(300)]
    instances = [
        InstanceRecord(f"lvis/{i}", f"lvis/{i // 3}", ["cow", "cup", "hat"][i % 3], (0.0, 0.0, 2.0, 2.0))
        for i in range(900)
    ]
    write_tables(tmp_path, {"images": records_to_table("images", images)})
    with TableWriter(tmp_path / "instances.parquet", "instances") as writer:
        writer.write(records_to_table("instances", instances[:500]))
        writer.write(records_to_table("instances", instances[500:]))
    names = {1: "cow", 2: "cup", 3: "hat"}
    (tmp_path / "dataset.json").write_text(
        json.dumps({"categories": [{"id": i, "name": n} for i, n in names.items()]})
    )
    return tmp_path


def test_the_same_rows_as_from_the_whole_table(folder: Path) -> None:
    whole = read_table(folder / "instances.parquet", "instances").to_pylist()
    for wanted in (["lvis/299", "lvis/7", "lvis/85", "other"], ["other"], []):
        found = annotations_of_images(folder, wanted)
        assert found.to_pylist() == [row for row in whole if row["image_id"] in wanted]


def test_what_lvis_says_of_an_image(folder: Path) -> None:
    assert negative_categories(folder, ["lvis/4"]) == {"lvis/4": ("cup",)}
    assert exhaustive_categories(folder, ["lvis/4"]) == {"lvis/4": ("cow", "cup")}
    with pytest.raises(AnnotationError, match="'lvis/x'"):
        negative_categories(folder, ["lvis/x"])
    with pytest.raises(ArtifactError, match=r"instances\.parquet"):
        annotations_of_images(folder / "absent", ["lvis/4"])


def test_tables_of_version_1_are_read(folder: Path) -> None:
    path = folder / "instances.parquet"
    rows = read_table(path, "instances")
    fields = [pc.struct_field(rows["silhouette"], name) for name in ("size", "counts")]
    silhouette = pc.make_struct(*fields, field_names=["size", "counts"])
    old = rows.set_column(rows.schema.get_field_index("silhouette"), "silhouette", silhouette)
    pq.write_table(old.replace_schema_metadata({NAME_KEY: b"instances", VERSION_KEY: b"1"}), path)
    assert read_table(path, "instances").schema.field("silhouette") == rows.schema.field("silhouette")
