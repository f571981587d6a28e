"""`densecorr data export`: every format is read back and compared with the tables it came from."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow.parquet as pq
import pytest
import tyro
from huggingface_hub import DatasetCard

from densecorr.datasets import CocoSettings
from densecorr.datasets.coco import read_coco
from densecorr.datasets.query import Filters
from flows.data import DataCommand
from flows.data_export import DataExport, read_selection
from flows.session import Session
from tests.flows.exports import export, image_bytes, ingest, ingest_labelled, load_toy, samples_of, tables_of

KINDS = ("instances", "lvis", "densepose_iuv", "densepose_cse")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("toy")
    load_toy().write(folder)
    return folder


@pytest.fixture(scope="module")
def session(root: Path) -> Session:
    return Session(str(root / "store"), "never")


@pytest.fixture(scope="module")
def labelled(session: Session, root: Path) -> Path:
    return ingest_labelled(session, root)


@pytest.fixture(scope="module")
def folders(session: Session, root: Path) -> dict[str, Path]:
    """The data set's folder of each kind of file; those of DensePose in the split `val`."""
    options = {name: {"split": "val"} for name in KINDS if name.startswith("densepose")}
    return {
        name: ingest(session, root / f"{name}.json", root / "images", **options.get(name, {}))
        for name in KINDS
    }


@pytest.mark.parametrize("kind", KINDS)
def test_coco_and_back_is_the_same_data_set(
    session: Session, folders: dict[str, Path], root: Path, tmp_path: Path, kind: str
) -> None:
    before = tables_of(folders[kind])
    out = export(session, folders[kind], tmp_path / "out", "coco")
    after = read_coco(out / "annotations.json", out / "images", "toy", CocoSettings())
    assert len(after.quarantine) == 0
    for name in ("images", "instances", "labels"):
        one, other = getattr(before, name), getattr(after, name)
        columns = [column for column in other.column_names if column != "extra"]
        assert other.select(columns).to_pylist() == one.select(columns).to_pylist()
    for uri in before.images["uri"].to_pylist():
        assert (out / "images" / uri).read_bytes() == image_bytes(root, uri)
    original = json.loads((root / f"{kind}.json").read_text())
    written = json.loads((out / "annotations.json").read_text())
    assert written["annotations"] == original["annotations"]


def test_filters_choose_instances_images_and_labels(session: Session, labelled: Path, tmp_path: Path) -> None:
    whole = tables_of(labelled)
    assert (len(whole.images), len(whole.instances), len(whole.labels)) == (3, 7, 2)
    filters = Filters(category=("cow",), label_source=("human",))
    out = export(session, labelled, tmp_path / "cows", "coco", filters=filters)
    written = json.loads((out / "annotations.json").read_text())
    assert [row["category_id"] for row in written["annotations"]] == [21]
    assert written["annotations"][0]["ref_model"] == "cow_5002"
    assert [row["id"] for row in written["images"]] == [785]
    assert [path.name for path in (out / "images").iterdir()] == ["000000000785.png"]
    counts = [
        len(read_selection(labelled, asked, [labelled / "labels.parquet"], False).images)
        for asked in (Filters(), Filters(split=("train",)), Filters(category=("person",)))
    ]
    assert counts == [3, 0, 2]  # the images without instances stay where nothing is asked of instances


def test_densepose_holds_the_labelled_only(
    session: Session, labelled: Path, root: Path, tmp_path: Path
) -> None:
    out = export(session, labelled, tmp_path / "dp", "densepose", images=False)
    assert [path.name for path in out.iterdir()] == ["annotations.json"]
    written = json.loads((out / "annotations.json").read_text())
    assert written["annotations"] == json.loads((root / "densepose_cse.json").read_text())["annotations"]
    assert [row["id"] for row in written["images"]] == [37, 785]
    iuv = json.loads((root / "densepose_iuv.json").read_text())["annotations"]
    assert any("dp_I" in row for row in iuv)


def test_file_names_that_lead_elsewhere_become_ids(session: Session, root: Path, tmp_path: Path) -> None:
    file = load_toy().densepose_cse()
    for image in file["images"]:
        image["file_name"] = str(root / "images" / image["file_name"])
    (tmp_path / "absolute.json").write_text(json.dumps(file))
    dataset = ingest(session, tmp_path / "absolute.json", root / "images")
    out = export(session, dataset, tmp_path / "out", "coco")
    written = json.loads((out / "annotations.json").read_text())
    assert [row["file_name"] for row in written["images"]] == ["toy%2F37.png", "toy%2F785.png"]
    after = read_coco(out / "annotations.json", out / "images", "toy", CocoSettings())
    assert after.images["sha256"].to_pylist() == tables_of(dataset).images["sha256"].to_pylist()


def expected_rows(folder: Path) -> list[dict[str, Any]]:
    """Images with their objects and label sets, by loops over the tables."""
    tables = tables_of(folder)
    labels = tables.labels.to_pylist()
    rows = []
    for image in tables.images.to_pylist():
        objects = []
        for one in tables.instances.to_pylist():
            if one.pop("image_id") != image["image_id"]:
                continue
            sets = [label for label in labels if label["instance_id"] == one["instance_id"]]
            sets = [{k: v for k, v in label.items() if k != "instance_id"} for label in sets]
            renamed = {"bbox": one.pop("xywh"), "segmentation": one.pop("silhouette"), "labels": sets}
            objects.append(one | renamed)
        rows.append({**image, "objects": objects})
    return rows


def by_id(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {row["image_id"]: row for row in rows}


@pytest.mark.parametrize("kind", [*KINDS, "labelled"])
def test_huggingface_rows_are_the_tables(
    session: Session, folders: dict[str, Path], labelled: Path, root: Path, tmp_path: Path, kind: str
) -> None:
    folder = {**folders, "labelled": labelled}[kind]
    out = export(session, folder, tmp_path / "hf", "huggingface")
    rows = []
    for file in sorted((out / "data").iterdir()):
        table = pq.read_table(file)
        features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
        assert list(features) == table.column_names
        assert features["image"] == {"_type": "Image"}
        names = features["objects"][0]["category"]["names"]
        for row in table.to_pylist():
            for one in row["objects"]:
                one["category"] = names[one["category"]]
            image = row.pop("image")
            assert image["bytes"] == image_bytes(root, row["uri"])
            assert image["path"] == Path(row["uri"]).name
            assert file.name.split("-")[0] == row["split"] or row["split"] is None
            rows.append(row)
    assert by_id(rows) == by_id(expected_rows(folder))


def test_huggingface_shards_and_card(session: Session, folders: dict[str, Path], tmp_path: Path) -> None:
    limits = tyro.cli(DataExport, args=["a", "b", "--format", "coco", "--shard-images", "1"]).limits
    out = export(session, folders["lvis"], tmp_path / "hf", "huggingface", limits=limits)
    n = len(tables_of(folders["lvis"]).images)
    files = sorted(path.name for path in (out / "data").iterdir())
    assert files == [f"train-{k:05d}-of-{n:05d}.parquet" for k in range(n)]
    read = DatasetCard((out / "README.md").read_text())
    card, body = read.data.to_dict(), read.text
    assert card["size_categories"] == ["n<1K"]
    (config,) = card["configs"]
    assert config == {"config_name": "default", "data_files": [{"split": "train", "path": "data/train-*"}]}
    assert card["dataset_info"]["splits"][0]["num_examples"] == n
    assert card["dataset_info"]["download_size"] == sum(p.stat().st_size for p in (out / "data").iterdir())
    assert f"{n} images" in body
    bare = export(session, folders["lvis"], tmp_path / "bare", "huggingface", images=False)
    assert "image" not in pq.read_schema(bare / "data" / "train-00000-of-00001.parquet").names


def test_huggingface_opens_with_datasets(session: Session, labelled: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    out = export(session, labelled, tmp_path / "hf", "huggingface")
    data = datasets.load_dataset(str(out), cache_dir=str(tmp_path / "cache"))
    rows = [row for split in data.values() for row in split]
    assert {row["image_id"] for row in rows} == {"toy/37", "toy/785", "toy/1000"}
    assert rows[0]["image"].size == (rows[0]["width"], rows[0]["height"])


@pytest.mark.parametrize("kind", [*KINDS, "labelled"])
def test_webdataset_samples_are_the_tables(
    session: Session, folders: dict[str, Path], labelled: Path, root: Path, tmp_path: Path, kind: str
) -> None:
    folder = {**folders, "labelled": labelled}[kind]
    out = export(session, folder, tmp_path / "wds", "webdataset")
    rows = []
    for tar in sorted(out.iterdir()):
        assert tar.name.endswith("-000000.tar")
        for key, sample in samples_of(tar).items():
            assert set(sample) == {"png", "json"}
            read = json.loads(sample["json"])
            assert unquote(key) == read["image"]["image_id"]
            assert sample["png"] == image_bytes(root, read["image"]["uri"])
            rows.append({**read["image"], "objects": read["annotations"]})
    assert by_id(rows) == by_id(expected_rows(folder))


def test_webdataset_is_the_same_bytes_again(session: Session, labelled: Path, tmp_path: Path) -> None:
    options = ["--format", "webdataset", "--shard-images", "2"]
    contents = []
    for name in ("one", "two"):
        tyro.cli(DataCommand, args=["export", str(labelled), str(tmp_path / name), *options])(session)
        contents.append({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()})
    assert contents[0] == contents[1]
    assert sum(len(samples_of(tmp_path / "one" / name)) for name in contents[0]) == 3
    bare = export(session, labelled, tmp_path / "bare", "webdataset", images=False)
    assert {suffix for tar in bare.iterdir() for one in samples_of(tar).values() for suffix in one} == {
        "json"
    }


def test_the_example_of_the_page_runs(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "queries.md").read_text(encoding="utf-8")
    (script,), (printed,) = (
        re.findall(rf"^```{kind}\n(.*?)^```$", page, flags=re.DOTALL | re.MULTILINE)
        for kind in ("bash", "text")
    )
    code = re.findall(r"^```python\n(.*?)^```$", page, flags=re.DOTALL | re.MULTILINE)[-1]
    command = f'densecorr() {{ "{sys.executable}" -m flows.cli --store {tmp_path}/store "$@"; }}\n'
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        ["bash", "-ec", command + script],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout == printed, done.stderr
    assert (
        "100 points"
        in subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60
        ).stdout
    )
