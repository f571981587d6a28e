import hashlib
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from densecorr.config import from_jsonable, to_jsonable
from densecorr.datasets.coco import read_coco
from densecorr.datasets.coco_types import CocoSettings
from densecorr.datasets.segmentations import as_runs
from densecorr.errors import AnnotationError, DatasetNotFoundError, SettingsError
from densecorr.images import decode_silhouette
from storage.tables import conform_table


def read(folder: Path, name: str, **settings):
    return read_coco(folder / f"{name}.json", folder / "images", "toy", CocoSettings(**settings))


def rows(table) -> dict[str, dict]:
    return {row[table.column_names[0]]: row for row in table.to_pylist()}


def test_every_file_fits_the_stored_tables(coco_folder: Path) -> None:
    for name in ("instances", "lvis", "densepose_iuv", "densepose_cse"):
        tables = read(coco_folder, name, missing_silhouettes="grabcut")
        for table in ("images", "instances", "labels", "cameras"):
            assert len(conform_table(table, getattr(tables, table))) == len(getattr(tables, table))
        assert len(tables.quarantine) == 0
        assert json.loads(json.dumps(tables.info)) == tables.info


def test_columns_say_what_the_file_says(coco_folder: Path) -> None:
    tables = read(coco_folder, "instances", split="test")
    images, instances = rows(tables.images), rows(tables.instances)
    file = coco_folder / "images" / "000000000037.png"
    assert images["toy/37"]["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert (images["toy/37"]["width"], images["toy/37"]["height"]) == (64, 48)
    assert [images[f"toy/{n}"]["split"] for n in (37, 785, 1000)] == ["train", "val", "test"]
    assert images["toy/785"]["licence"] == "CC BY-NC 4.0"
    assert instances["toy/1"]["xywh"] == [10.0, 8.0, 20.0, 16.0]
    assert [row["category"] for row in instances.values()] == ["person", "person", "cow", "person", "cow"]
    assert [row["iscrowd"] for row in instances.values()] == [False, True, False, False, False]
    assert instances["toy/4"]["ignore"] is True
    assert instances["toy/5"]["score"] == 0.75
    assert json.loads(instances["toy/4"]["extra"])["keypoints"] == [12.5, 9, 2]
    assert json.loads(instances["toy/3"]["extra"]) == {
        "attributes": {"note": "empty mask", "levels": [1, 2.5, None]}
    }


def test_silhouettes_of_all_three_forms_cover_what_they_should(coco_folder: Path) -> None:
    instances = rows(read(coco_folder, "instances").instances)
    masks = {
        key: decode_silhouette(as_runs(row["silhouette"]), 48, 64)
        for key, row in instances.items()
        if row["silhouette"] is not None
    }
    assert set(masks) == {"toy/1", "toy/2", "toy/3"}
    assert all(instances[key]["silhouette_source"] == "dataset" for key in masks)
    polygons = masks["toy/1"]
    assert polygons[8:24, 11:30].all()
    assert polygons[31:35, 45].all()  # the second polygon
    assert not polygons[:7].any()
    runs = np.zeros((48, 64), dtype=bool)
    runs[10:20, 12:40] = True
    assert np.array_equal(masks["toy/2"], runs)
    assert not masks["toy/3"].any()


def test_lvis_images_are_found_by_their_url(coco_folder: Path, tmp_path: Path) -> None:
    tables = read(coco_folder, "lvis")
    assert tables.images["uri"].to_pylist()[0] == "train2017/000000000037.png"
    assert json.loads(tables.images["extra"][0].as_py())["neg_category_ids"] == [7, 21]
    inside = read_coco(coco_folder / "lvis.json", coco_folder / "images" / "train2017", "toy")
    assert inside.images["uri"].to_pylist()[0] == "000000000037.png"


def test_filters_keep_what_they_name(coco_folder: Path) -> None:
    def kept(**settings) -> tuple[list[str], list[str]]:
        tables = read(coco_folder, "instances", **settings)
        assert len(tables.quarantine) == 0
        return tables.images["image_id"].to_pylist(), tables.instances["instance_id"].to_pylist()

    everything = ["toy/37", "toy/785", "toy/1000"]
    assert kept(categories=("cow",)) == (["toy/785"], ["toy/3", "toy/5"])
    assert kept(categories=("cow",), empty_images="keep") == (everything, ["toy/3", "toy/5"])
    assert kept(empty_images="drop")[0] == ["toy/37", "toy/785"]
    assert kept(splits=("val",)) == (["toy/785"], ["toy/3", "toy/4", "toy/5"])
    assert kept(split="test", splits=("test",)) == (["toy/1000"], [])
    assert kept(licences=("2",)) == kept(licences=("CC BY-NC 4.0",)) == kept(splits=("val",))
    assert kept(min_area=320.5) == (everything, [])
    assert len(kept(min_area=320.0)[1]) == 5


def test_filters_the_file_cannot_serve_are_refused(coco_folder: Path) -> None:
    with pytest.raises(SettingsError, match=r"Did you mean cow\?"):
        read(coco_folder, "instances", categories=("cwo",))
    with pytest.raises(AnnotationError, match=r"CC BY 4\.0"):
        read(coco_folder, "instances", licences=("MIT",))


def test_sizes_come_from_the_images_where_the_file_has_none(
    toy: ModuleType, coco_folder: Path, tmp_path: Path
) -> None:
    data = toy.instances()
    for row in data["images"]:
        del row["width"], row["height"]
    path = tmp_path / "a.json"
    path.write_text(json.dumps(data))
    tables = read_coco(path, coco_folder / "images", "toy")
    assert tables.images["height"].to_pylist() == [48, 48, 48]


def test_without_checks_no_image_need_be_there(coco_folder: Path, tmp_path: Path) -> None:
    settings = CocoSettings(check_images=False)
    tables = read_coco(coco_folder / "instances.json", tmp_path / "nowhere", "toy", settings)
    assert len(tables.images) == 3
    assert tables.images["sha256"].null_count == 3
    with pytest.raises(DatasetNotFoundError, match="nowhere"):
        read_coco(coco_folder / "instances.json", tmp_path / "nowhere", "toy")


def test_the_result_does_not_depend_on_threads_or_chunks(
    coco_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, root = coco_folder / "instances.json", coco_folder / "images"
    calls = []
    settings = CocoSettings(missing_silhouettes="grabcut")
    once = read_coco(path, root, "toy", settings, lambda *call: calls.append(call), threads=1)
    monkeypatch.setattr("densecorr.datasets.coco_annotations.CHUNK", 2)
    again = read_coco(path, root, "toy", settings, threads=4)
    assert once.images.equals(again.images)
    assert once.instances.to_pylist() == again.instances.to_pylist()
    assert calls == [(3, 3, "images"), (5, 5, "annotations"), (2, 2, "silhouettes")]


def test_boxes_come_from_segmentations_where_there_are_none(
    toy: ModuleType, coco_folder: Path, tmp_path: Path
) -> None:
    data = toy.instances()
    del data["annotations"][1]["bbox"], data["annotations"][1]["area"]
    path = tmp_path / "a.json"
    path.write_text(json.dumps(data))
    row = read_coco(path, coco_folder / "images", "toy").instances.to_pylist()[1]
    assert row["xywh"] == [12.0, 10.0, 28.0, 10.0]
    assert row["area"] == 280.0


def test_settings_survive_json() -> None:
    settings = CocoSettings(categories=("cow",), on_error="skip", min_area=4.0)
    assert from_jsonable(CocoSettings, to_jsonable(settings)) == settings


def test_a_source_is_one_part_of_an_id(coco_folder: Path) -> None:
    with pytest.raises(SettingsError, match="without '/'"):
        read_coco(coco_folder / "instances.json", coco_folder / "images", "a/b")
