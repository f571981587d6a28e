"""A COCO file becomes a data set artifact; what it refers to is part of its recipe."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from command_line import densecorr

from densecorr.datasets import CocoSettings
from densecorr.errors import AnnotationError, ArtifactError, DatasetNotFoundError, SettingsError
from densecorr.images import write_png
from flows.ingest import STAGE, Ingest
from flows.progress import StageProgress
from flows.stage import run_stage
from storage.artifacts import Store
from storage.tables import read_table


def coco(**first: object) -> dict[str, Any]:
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


def ingest(
    folder: Path,
    store: Store,
    *,
    previous: str | None = None,
    image_list: str | None = None,
    **settings: object,
) -> str:
    command = Ingest(
        str(folder / "coco.json"),
        str(folder / "images"),
        "cows",
        CocoSettings(**settings),
        image_list=image_list,
        previous=previous,
    )
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


def herd(folder: Path, **annotations: dict[str, object] | None) -> None:
    """Four images with a cow each, its box moved or the cow removed as `annotations` say by id ("a1")."""
    data = coco()
    box = {"bbox": [2, 2, 8, 6], "area": 48.0, "iscrowd": 0, "category_id": 1}
    rows: dict[str, Any] = {f"a{i}": {"id": i, "image_id": i, **box} for i in (1, 2, 3, 4)}
    for name, fields in annotations.items():
        rows[name] = None if fields is None else {**rows.get(name, {"id": 9, "image_id": 1, **box}), **fields}
    data["images"] = [{"id": i, "file_name": f"{i}.png", "width": 16, "height": 12} for i in (1, 2, 3, 4)]
    data["annotations"] = [row for row in rows.values() if row is not None]
    (folder / "coco.json").write_text(json.dumps(data))
    for index in (3, 4):
        if not (folder / "images" / f"{index}.png").exists():
            write_png(folder / "images" / f"{index}.png", np.full((12, 16, 3), index, dtype=np.uint8))


def test_a_second_ingest_says_exactly_what_changed(
    folder: Path, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    herd(folder)
    first = ingest(folder, store)
    assert not (store.path(first) / "changes.json").exists()
    write_png(folder / "images" / "1.png", np.zeros((12, 16, 3), dtype=np.uint8))
    herd(folder, a2={"bbox": [2, 2, 8, 7]}, a3=None, a9={})
    capsys.readouterr()
    out = store.path(ingest(folder, store, previous=first))
    report = json.loads((out / "changes.json").read_text())
    assert report["images"] == {
        "added": 0,
        "changed": 1,
        "removed": 0,
        "unchanged": 3,
        "first_added": [],
        "first_changed": ["cows/1"],
        "first_removed": [],
    }
    assert report["instances"] == {
        "added": 1,
        "changed": 1,
        "removed": 1,
        "unchanged": 2,
        "first_added": ["cows/9"],
        "first_changed": ["cows/2"],
        "first_removed": ["cows/3"],
    }
    assert report["image_files"] == {"unread": 3, "read": 1}
    said = capsys.readouterr().err
    assert "annotations 1 added (cows/9), 1 changed (cows/2), 1 removed (cows/3), 2 unchanged" in said
    plain = store.path(ingest(folder, store))
    for name in ("images", "instances", "labels"):
        assert read_table(out / f"{name}.parquet", name) == read_table(plain / f"{name}.parquet", name)


def test_an_unchanged_image_file_is_not_opened(folder: Path, store: Store) -> None:
    first = ingest(folder, store)
    path = folder / "images" / "2.png"
    status = path.stat()
    path.write_bytes(bytes(status.st_size))  # unreadable, if anybody looked
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    again = ingest(folder, store, previous=first)
    images = [read_table(store.path(made) / "images.parquet", "images") for made in (first, again)]
    assert images[0] == images[1]
    files = [pq.read_table(store.path(made) / "image_files.parquet") for made in (first, again)]
    assert files[0] == files[1]
    assert files[0].select(["path", "bytes", "mtime_ns", "width", "height"]).to_pylist()[1] == {
        "path": "2.png",
        "bytes": status.st_size,
        "mtime_ns": status.st_mtime_ns,
        "width": 16,
        "height": 12,
    }
    with pytest.raises(AnnotationError, match=r"2\.png"):
        ingest(folder, store)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    with pytest.raises(AnnotationError, match=r"2\.png"):
        ingest(folder, store, previous=first, split="val")


def test_known_files_of_another_folder_or_size_are_read(
    folder: Path, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    first = ingest(folder, store)
    data = coco()
    data["images"][0]["width"] = 12
    (folder / "coco.json").write_text(json.dumps(data))
    with pytest.raises(AnnotationError, match="12 x 12 as the JSON says"):
        ingest(folder, store, previous=first)
    moved = folder / "elsewhere"
    shutil.copytree(folder / "images", moved / "images")
    (moved / "coco.json").write_text(json.dumps(coco()))
    out = store.path(ingest(moved, store, previous=first))
    assert json.loads((out / "changes.json").read_text())["image_files"] == {"unread": 0, "read": 2}
    assert "has not read this image folder" in capsys.readouterr().err


def test_what_is_no_previous_data_set_is_refused(folder: Path, store: Store) -> None:
    first = ingest(folder, store)
    with pytest.raises(ArtifactError):
        ingest(folder, store, previous="absent")
    arguments = ("--annotations", "coco.json", "--images", "images", "--previous", "absent")
    done = densecorr("ingest", *arguments, cwd=folder)
    assert done.returncode == 2
    assert "error: Expected an artifact id" in done.stderr
    assert "received 'absent'" in done.stderr
    other = Ingest(str(folder / "coco.json"), str(folder / "images"), "bulls", previous=first)
    with pytest.raises(SettingsError, match="source 'bulls'"):
        run_stage(STAGE, other, store, StageProgress("ingest"))


@pytest.mark.parametrize("text", ["2\n", "# the second\n2.png\n", "[2]", '{"images": [{"id": 2}]}'])
def test_only_listed_images_are_kept(folder: Path, store: Store, text: str) -> None:
    (folder / "list").write_text(text)
    out = store.path(ingest(folder, store, image_list=str(folder / "list")))
    assert read_table(out / "images.parquet", "images")["image_id"].to_pylist() == ["cows/2"]
    assert read_table(out / "instances.parquet", "instances")["instance_id"].to_pylist() == ["cows/2"]


def test_a_list_of_other_images_is_refused(folder: Path, store: Store) -> None:
    (folder / "list").write_text("77\n")
    with pytest.raises(AnnotationError, match=r"list that names images of .*coco\.json; received none"):
        ingest(folder, store, image_list=str(folder / "list"))


def test_panoptic_annotations_are_left_out_and_counted(
    folder: Path, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    data = coco()
    segments = [{"id": 3, "category_id": 1, "area": 9, "bbox": [0, 0, 3, 3], "iscrowd": 0}]
    data["annotations"] += [
        {"image_id": i, "file_name": f"{i}.png", "segments_info": segments} for i in (1, 2)
    ]
    (folder / "coco.json").write_text(json.dumps(data))
    out = store.path(ingest(folder, store))
    assert len(read_table(out / "instances.parquet", "instances")) == 2
    assert not (out / "quarantine.parquet").exists()
    assert "cows: 2 panoptic annotations left out" in capsys.readouterr().err


def test_unchecked_images_leave_no_table_of_files(folder: Path, store: Store) -> None:
    first = ingest(folder, store, check_images=False)
    assert not (store.path(first) / "image_files.parquet").exists()
    out = store.path(ingest(folder, store, previous=first))
    assert json.loads((out / "changes.json").read_text())["images"]["changed"] == 2  # they have a sha256 now
