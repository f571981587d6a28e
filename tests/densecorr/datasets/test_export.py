import json
import os
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from densecorr.datasets.arrow import DatasetTables
from densecorr.datasets.coco import read_coco
from densecorr.datasets.coco_types import CocoAnnotation, CocoImage, CocoSettings
from densecorr.datasets.export import write_coco
from densecorr.errors import AnnotationError
from densecorr.records import ImageRecord, InstanceRecord, LabelRecord
from storage.tables import read_table, records_to_table, write_table

SHARED = Path(os.environ.get("DENSECORR_SHARED_DATA", Path(__file__).parents[4] / "shared" / "data"))
H, W = 12, 16


def same_json(a: Any, b: Any) -> bool:
    """Equal as JSON: numbers by value, but true is not 1."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same_json(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same_json, a, b))
    return isinstance(a, bool) == isinstance(b, bool) and a == b


def there_and_back(path: Path, root: Path, **options: Any) -> tuple[Any, Any]:
    tables = read_coco(path, root, "toy", CocoSettings(**options))
    assert len(tables.quarantine) == 0
    back = path.with_suffix(".back.json")
    write_coco(back, tables)
    return json.loads(path.read_text(encoding="utf-8")), json.loads(back.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["instances", "lvis", "densepose_iuv", "densepose_cse"])
def test_each_kind_of_file_comes_back_equal(name: str, coco_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes((coco_folder / f"{name}.json").read_bytes())
    before, after = there_and_back(path, coco_folder / "images", missing_silhouettes="grabcut")
    assert same_json(after, before)


def texts(size: int) -> st.SearchStrategy[str]:
    return st.text(st.characters(codec="utf-8"), max_size=size)


FLOATS = st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | FLOATS | texts(8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts(4), inner, max_size=3),
    max_leaves=5,
)
NUMBERS = st.integers(-1000, 1000) | st.floats(-1000, 1000)
FLAGS = st.sampled_from([0, 1, True, False, None])
IDS = st.integers(-5, 2**60) | texts(4) | st.integers(0, 9).map(float)


def unknown(known: Any) -> st.SearchStrategy[dict[str, Any]]:
    """Fields that no column knows."""
    keys = texts(6).filter(lambda key: key not in known)
    return st.dictionaries(keys, VALUES, max_size=3)


def text_of(identity: Any) -> str:
    return str(int(identity)) if isinstance(identity, float) else str(identity)


@st.composite
def segmentations(draw: st.DrawFn) -> Any:
    kind = draw(st.sampled_from(["polygons", "runs", "compressed", "crowded"]))
    if kind == "polygons":
        number = st.integers(-4, 20) | st.floats(-4, 20)
        return draw(
            st.lists(st.lists(number, min_size=6, max_size=12).filter(lambda p: len(p) % 2 == 0), max_size=3)
        )
    cuts = sorted(draw(st.lists(st.integers(0, H * W), max_size=6)))
    counts = np.diff([0, *cuts, H * W]).tolist()
    if kind == "runs":
        return {"size": [H, W], "counts": counts}
    rle = coco_mask.frPyObjects({"size": [H, W], "counts": counts}, H, W)
    text = {"size": [H, W], "counts": rle["counts"].decode()}
    return text if kind == "compressed" else text | draw(unknown(text))


@st.composite
def points(draw: st.DrawFn) -> dict[str, Any]:
    n = draw(st.integers(0, 3))

    def some(values: st.SearchStrategy[Any]) -> list[Any]:
        return draw(st.lists(values, min_size=n, max_size=n))

    fields: dict[str, Any] = {"dp_x": some(st.floats(0, 256)), "dp_y": some(st.integers(0, 256))}
    has_chart, has_vertex = draw(st.sampled_from([(True, False), (False, True), (True, True)]))
    if has_chart:
        fields |= {
            "dp_I": some(st.integers(0, 24)),
            "dp_U": some(st.floats(0, 1)),
            "dp_V": some(st.floats(0, 1)),
        }
    if has_vertex:
        fields |= {
            "dp_vertex": some(st.integers(0, 5001)),
            "ref_model": draw(st.sampled_from(["cow_5002", "own"])),
        }
    if draw(st.booleans()):
        fields["dp_masks"] = draw(st.sampled_from([[], [[]] * 14, [{"size": [2, 2], "counts": "4"}, None]]))
    return fields


@st.composite
def annotations(draw: st.DrawFn, identity: Any, images: list[Any], categories: list[Any]) -> dict[str, Any]:
    image = draw(st.sampled_from(images))
    row = draw(unknown(CocoAnnotation.__struct_fields__))
    row |= {"id": identity, "image_id": image, "category_id": draw(st.sampled_from(categories))}
    if draw(st.booleans()) and isinstance(image, int) and image < 2**50:
        row["image_id"] = float(image)  # as pandas writes it
    side = st.integers(0, 1000) | st.floats(0, 1000)
    row["bbox"] = [draw(NUMBERS), draw(NUMBERS), draw(side), draw(side)]
    for name, values in (
        ("iscrowd", FLAGS),
        ("ignore", FLAGS),
        ("score", VALUES),
        ("segmentation", segmentations()),
    ):
        if draw(st.booleans()):
            row[name] = draw(values)
    if draw(st.booleans()):
        row["area"] = draw(st.none() | st.integers(0, 2**60) | st.floats(0, 1e300))
    return row | draw(st.just({}) | points())


@st.composite
def coco_files(draw: st.DrawFn) -> dict[str, Any]:
    def identities(n: int) -> list[Any]:
        return draw(st.lists(IDS, unique_by=text_of, min_size=n, max_size=n + 2))

    data = draw(unknown(("images", "annotations", "categories", "info", "licenses")))
    for name in ("info", "licenses"):
        if draw(st.booleans()):
            data[name] = draw(VALUES)
    images, categories = identities(1), identities(1)
    data["images"] = []
    for index, identity in enumerate(images):
        row = draw(unknown(CocoImage.__struct_fields__))
        row |= {"id": identity, "width": W, "height": draw(st.sampled_from([H, float(H)]))}
        row[draw(st.sampled_from(["file_name", "coco_url"]))] = f"http://a/b/{index}.jpg"
        for name in ("license", "split", "camera_id", "frame"):
            if draw(st.booleans()):
                row[name] = draw(VALUES)
        data["images"].append(row)
    if draw(st.integers(0, 4)) == 0:
        return data  # image information only, as for test sets
    names = st.sampled_from(["cow", "person", "a/b"])
    data["categories"] = [draw(unknown(("id", "name"))) | {"id": i, "name": draw(names)} for i in categories]
    data["annotations"] = [draw(annotations(identity, images, categories)) for identity in identities(0)]
    return data


@given(coco_files(), st.sampled_from([None, 1]), st.booleans())
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_file_comes_back_equal(
    tmp_path_factory: pytest.TempPathFactory, data: dict[str, Any], indent: int | None, ascii_only: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_text(json.dumps(data, indent=indent, ensure_ascii=ascii_only), encoding="utf-8")
    before, after = there_and_back(path, path.parent, check_images=False)
    assert same_json(after, before)


@given(coco_files())
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_file_comes_back_equal_from_stored_tables(
    tmp_path_factory: pytest.TempPathFactory, data: dict[str, Any]
) -> None:
    folder = tmp_path_factory.getbasetemp()
    (folder / "any.json").write_text(json.dumps(data), encoding="utf-8")
    tables = read_coco(folder / "any.json", folder, "toy", CocoSettings(check_images=False))
    stored = {}
    for name in ("images", "instances", "labels"):
        write_table(folder / f"{name}.parquet", name, getattr(tables, name))
        stored[name] = read_table(folder / f"{name}.parquet", name)
    write_coco(folder / "back.json", DatasetTables(**stored, info=json.loads(json.dumps(tables.info))))
    assert same_json(json.loads((folder / "back.json").read_text()), json.loads(json.dumps(data)))


def test_the_stored_tables_come_back_equal_too(toy: ModuleType, coco_folder: Path, tmp_path: Path) -> None:
    tables = read_coco(coco_folder / "densepose_iuv.json", coco_folder / "images", "toy")
    stored = {}
    for name in ("images", "instances", "labels"):
        write_table(tmp_path / f"{name}.parquet", name, getattr(tables, name))
        stored[name] = read_table(tmp_path / f"{name}.parquet", name)
    write_coco(tmp_path / "a.json", DatasetTables(**stored, info=json.loads(json.dumps(tables.info))))
    assert same_json(json.loads((tmp_path / "a.json").read_text()), toy.densepose_iuv())


def test_changed_columns_are_what_is_written(coco_folder: Path, tmp_path: Path) -> None:
    tables = read_coco(coco_folder / "instances.json", coco_folder / "images", "toy")
    rows = tables.instances.to_pylist()
    rows[0] |= {"xywh": [1.0, 2.0, 3.0, 4.5], "category": "horse", "iscrowd": True}
    instances = pa.Table.from_pylist(rows, schema=tables.instances.schema)
    write_coco(tmp_path / "a.json", DatasetTables(tables.images, instances, tables.labels, info=tables.info))
    data = json.loads((tmp_path / "a.json").read_text())
    assert data["annotations"][0]["bbox"] == [1, 2, 3, 4.5]
    assert data["annotations"][0]["iscrowd"] == 1
    assert data["categories"][-1] == {"id": 22, "name": "horse"}
    assert data["annotations"][0]["category_id"] == 22


def test_other_labels_are_written_as_cse_points_that_read_back(coco_folder: Path, tmp_path: Path) -> None:
    tables = read_coco(coco_folder / "instances.json", coco_folder / "images", "toy")
    x, y = np.array([12.25, 20, 30], np.float32), np.array([9, 10.5, 11], np.float32)
    label = LabelRecord("l", "toy/5", "cow-v1", "zero_shot", "abc", x, y, np.array([7, -1, 9]))
    write_coco(tmp_path / "a.json", tables, labels=records_to_table("labels", [label]))
    data = json.loads((tmp_path / "a.json").read_text())
    assert data["annotations"][4]["dp_vertex"] == [7, 9]
    assert data["annotations"][4]["ref_model"] == "cow-v1"
    (back,) = read_coco(tmp_path / "a.json", coco_folder / "images", "toy").labels.to_pylist()
    assert_allclose(back["x"], x[[0, 2]], atol=1e-5)
    assert_allclose(back["y"], y[[0, 2]], atol=1e-5)
    assert back["vertex"] == [7, 9]

    chart = LabelRecord(
        "l", "toy/5", "", "model", "abc", x, y, np.full(3, -1), part=np.array([1, 2, 24], np.uint8),
        u=np.array([0, 0.5, 1], np.float32), v=np.array([1, 0.5, 0], np.float32),
    )  # fmt: skip
    write_coco(tmp_path / "a.json", tables, labels=records_to_table("labels", [chart]))
    (back,) = read_coco(tmp_path / "a.json", coco_folder / "images", "toy").labels.to_pylist()
    assert (back["part"], back["u"], back["v"]) == ([1, 2, 24], [0, 0.5, 1], [1, 0.5, 0])


def test_made_silhouettes_are_written_when_asked_for(coco_folder: Path, tmp_path: Path) -> None:
    chosen = CocoSettings(missing_silhouettes="grabcut")
    tables = read_coco(coco_folder / "instances.json", coco_folder / "images", "toy", chosen)
    write_coco(tmp_path / "a.json", tables, made_silhouettes=True)
    row = json.loads((tmp_path / "a.json").read_text())["annotations"][4]
    assert row["segmentation"]["size"] == [48, 64]


def test_tables_made_elsewhere_are_a_file_pycocotools_reads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = [ImageRecord("a/1", "x.png", 16, 12), ImageRecord("b/1", "y.png", 16, 12)]
    silhouette = {
        "size": [12, 16],
        "counts": coco_mask.encode(np.ones((12, 16), np.uint8, "F"))["counts"].decode(),
    }
    instances = [
        InstanceRecord("a/5", "a/1", "cow", (1.0, 2.0, 3.0, 4.0), silhouette, "dataset", area=12.0),
        InstanceRecord("b/5", "b/1", "dog", (1.0, 2.0, 3.0, 4.0), area=12.0, score=0.5, ignore=True),
    ]
    tables = DatasetTables(
        records_to_table("images", images),
        records_to_table("instances", instances),
        records_to_table("labels", []),
    )
    write_coco(tmp_path / "a.json", tables)
    api = COCO(tmp_path / "a.json")
    capsys.readouterr()
    assert sorted(api.imgs) == ["a/1", "b/1"]  # one id of two sources stays two
    assert [category["name"] for category in api.dataset["categories"]] == ["cow", "dog"]
    assert api.annToMask(api.anns["a/5"]).sum() == 12 * 16
    assert api.anns["b/5"]["ignore"] == 1


def test_several_label_sets_need_a_choice(coco_folder: Path, tmp_path: Path) -> None:
    tables = read_coco(coco_folder / "densepose_cse.json", coco_folder / "images", "toy")
    twice = pa.concat_tables([tables.labels, tables.labels])
    with pytest.raises(AnnotationError, match="several for toy/1 and 1 others"):
        write_coco(tmp_path / "a.json", tables, labels=twice)
    alone = DatasetTables(tables.images.slice(0, 1), tables.instances, tables.labels, info=tables.info)
    with pytest.raises(AnnotationError, match="toy/785"):
        write_coco(tmp_path / "a.json", alone)
    assert list(tmp_path.iterdir()) == []  # no half-written file stays


@pytest.mark.skipif(not SHARED.is_dir(), reason="no shared data: set DENSECORR_SHARED_DATA")
@pytest.mark.parametrize("name", ["ap10k", "zebra"])
def test_real_files_come_back_equal(name: str, tmp_path: Path) -> None:
    folder = SHARED / "mmpose" / name
    path = tmp_path / "a.json"
    path.write_bytes((folder / f"test_{name}.json").read_bytes())
    before, after = there_and_back(path, folder)
    assert same_json(after, before)
    assert len(after["annotations"]) == 2


@pytest.mark.skipif(not SHARED.is_dir(), reason="no shared data: set DENSECORR_SHARED_DATA")
def test_of_real_coco_what_is_there_comes_back_and_the_rest_is_set_aside(tmp_path: Path) -> None:
    folder = SHARED / "mmpose" / "coco"
    path = folder / "test_coco.json"
    tables = read_coco(path, folder, "coco", CocoSettings(on_error="skip"))
    assert tables.images["image_id"].to_pylist() == ["coco/785"]
    assert sorted(tables.quarantine["kind"].to_pylist()) == ["annotation"] * 13 + ["image"] * 3
    write_coco(tmp_path / "a.json", tables)
    before, after = json.loads(path.read_text()), json.loads((tmp_path / "a.json").read_text())
    kept = [row for row in before["annotations"] if row["image_id"] == 785]
    images = [row for row in before["images"] if row["id"] == 785]
    assert same_json(after, before | {"annotations": kept, "images": images})
