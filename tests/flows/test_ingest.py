"""A COCO file becomes a data set artifact; what it refers to is part of its recipe."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from densecorr.datasets import CocoSettings
from densecorr.errors import AnnotationError, DatasetNotFoundError
from densecorr.images import write_png
from flows.ingest import STAGE, Ingest
from flows.progress import StageProgress
from flows.stage import run_stage
from storage.artifacts import Store
from storage.tables import read_table


def coco(**first: object) -> dict[str, object]:
    """Two images, two cows, one of them with a CSE point."""
    box = {"bbox": [2, 2, 8, 6], "area": 48.0, "iscrowd": 0, "category_id": 1}
    point = {"dp_x": [128.0], "dp_y": [128.0], "dp_vertex": [7], "ref_model": "cow_5002"}
    return {
        "images": [{"id": i, "file_name": f"{i}.png", "width": 16, "height": 12} for i in (1, 2)],
        "categories": [{"id": 1, "name": "cow"}],
        "annotations": [
            {"id": 1, "image_id": 1, **box, "segmentation": [[2, 2, 10, 2, 10, 8]], **first},
            {"id": 2, "image_id": 2, **box, **point},
        ],
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    for index in (1, 2):
        write_png(tmp_path / "images" / f"{index}.png", np.full((12, 16, 3), 50 * index, dtype=np.uint8))
    (tmp_path / "coco.json").write_text(json.dumps(coco()))
    return tmp_path


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def ingest(folder: Path, store: Store, **settings: object) -> str:
    command = Ingest(str(folder / "coco.json"), str(folder / "images"), "cows", CocoSettings(**settings))
    return run_stage(STAGE, command, store, StageProgress("ingest"))


def test_a_coco_file_becomes_a_data_set_once(folder: Path, store: Store) -> None:
    made = ingest(folder, store)
    assert ingest(folder, store) == made
    out = store.path(made)
    assert read_table(out / "images.parquet", "images")["image_id"].to_pylist() == ["cows/1", "cows/2"]
    assert read_table(out / "instances.parquet", "instances")["category"].to_pylist() == ["cow", "cow"]
    assert read_table(out / "labels.parquet", "labels")["vertex"].to_pylist() == [[7]]
    assert len(read_table(out / "cameras.parquet", "cameras")) == 0
    info = json.loads((out / "dataset.json").read_text())
    assert info["image_root"] == str(folder / "images")
    assert not (out / "quarantine.parquet").exists()


def test_changed_or_moved_images_make_another_data_set(folder: Path, store: Store) -> None:
    first = ingest(folder, store)
    write_png(folder / "images" / "1.png", np.zeros((12, 16, 3), dtype=np.uint8))
    changed = ingest(folder, store)
    assert changed != first
    moved = folder / "elsewhere"
    shutil.copytree(folder / "images", moved / "images")
    shutil.copy(folder / "coco.json", moved)
    again = ingest(moved, store)
    assert again != changed  # or it would still name the images' old place
    assert json.loads((store.path(again) / "dataset.json").read_text())["image_root"] == str(moved / "images")


def test_a_bad_row_is_refused_or_set_aside(folder: Path, store: Store) -> None:
    (folder / "coco.json").write_text(json.dumps(coco(bbox=[2, 2, -8, 6])))
    with pytest.raises(AnnotationError, match="at least 0"):
        ingest(folder, store)
    assert store.list() == []
    out = store.path(ingest(folder, store, on_error="skip"))
    assert len(read_table(out / "instances.parquet", "instances")) == 1
    assert pq.read_table(out / "quarantine.parquet")["id"].to_pylist() == ["1"]


def test_absent_files_are_named(folder: Path, store: Store) -> None:
    (folder / "images" / "2.png").unlink()
    with pytest.raises((AnnotationError, DatasetNotFoundError), match=r"2\.png"):
        ingest(folder, store)
    shutil.rmtree(folder / "images")
    with pytest.raises(DatasetNotFoundError, match="images"):
        ingest(folder, store)
