"""The stage that splits a data set: by video, folder, subject, duplicates."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from densecorr.datasets import CocoSettings
from densecorr.datasets.splits import SplitSettings
from densecorr.errors import AnnotationError, SettingsError
from flows.ingest import STAGE as INGEST
from flows.ingest import Ingest
from flows.split import STAGE, Split
from flows.stage import run_stage
from storage.artifacts import Store
from storage.datasets import image_path, read_dataset_info
from storage.tables import read_table
from tests.flows.command_line import densecorr

HALVES = {"train": 0.5, "val": 0.5}


def quiet(done: int, total: int | None = None, text: str = "") -> None:
    """A progress nobody sees."""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def herd(tmp_path: Path, store: Store) -> str:
    """Twelve images in three folders; animal k // 2; images 2k and 2k + 1 show the same but for the compression."""
    root = tmp_path / "herd"
    images, annotations = [], []
    for index in range(12):
        name = f"day{index % 3}/{index}.{'jpg' if index % 2 else 'png'}"
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        coarse = np.random.default_rng(index // 2).integers(0, 256, (7, 9, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((96, 72), Image.Resampling.BICUBIC).save(root / name)
        animal = {"id": index // 4, "herd": {"tag": f"t{index // 2}"}}
        images.append({"id": index, "file_name": name, "width": 96, "height": 72, "animal": animal})
        box = {"bbox": [2, 2, 8, 6], "area": 48.0, "iscrowd": 0, "category_id": 1 + index % 2}
        annotations.append({"id": index, "image_id": index, **box})
    categories = [{"id": 1, "name": "cow"}, {"id": 2, "name": "calf"}]
    data = {"images": images, "annotations": annotations, "categories": categories}
    (tmp_path / "coco.json").write_text(json.dumps(data))
    command = Ingest(str(tmp_path / "coco.json"), str(root), "herd", CocoSettings(split="train"))
    return run_stage(INGEST, command, store, quiet)


def split(store: Store, dataset: str, **settings: object) -> Path:
    chosen = SplitSettings(**{"shares": HALVES} | settings)
    return store.path(run_stage(STAGE, Split(dataset, chosen), store, quiet))


def sides(folder: Path) -> dict[int, str]:
    table = read_table(folder / "images.parquet", "images")
    numbers = [int(text.removeprefix("herd/")) for text in table["image_id"].to_pylist()]
    return dict(zip(numbers, table["split"].to_pylist(), strict=True))


@pytest.mark.parametrize(
    ("settings", "group"),
    [
        ({"group_by": ("duplicates",)}, lambda k: k // 2),
        ({"group_by": ("subject",), "subject": "animal.herd.tag"}, lambda k: k // 2),
        (
            {"group_by": ("subject",), "subject": "animal.id", "shares": {"a": 0.6, "b": 0.4}},
            lambda k: k // 4,
        ),
        ({"group_by": ("folder",), "shares": {"a": 0.7, "b": 0.3}}, lambda k: k % 3),
    ],
)
def test_a_group_is_on_one_side(store: Store, herd: str, settings: dict, group: object) -> None:
    found = sides(split(store, herd, **settings))
    assert len(found) == 12
    assert len(set(found.values())) == 2
    by_group: dict[int, set[str]] = {}
    for number, side in found.items():
        by_group.setdefault(group(number), set()).add(side)  # type: ignore[operator]
    assert all(len(one) == 1 for one in by_group.values())


def test_the_rest_of_the_data_set_is_as_it_was(store: Store, herd: str) -> None:
    out, before = split(store, herd), store.path(herd)
    assert split(store, herd) == out
    assert split(store, herd, seed=1) != out
    for name in ("instances", "labels", "cameras"):
        assert (out / f"{name}.parquet").read_bytes() == (before / f"{name}.parquet").read_bytes()
    images = read_table(out / "images.parquet", "images")
    old = read_table(before / "images.parquet", "images")
    assert images.drop_columns("split").equals(old.drop_columns("split"))
    info = read_dataset_info(out)
    assert info == read_dataset_info(before) | {"split": None}
    assert Path(image_path(out, info["image_root"], images["uri"][0].as_py())).is_file()
    summary = json.loads((out / "splits.json").read_text())
    assert summary["groups"] == 12
    assert summary["achieved"]["images"] == {"train": 0.5, "val": 0.5}
    assert summary["achieved"]["instances of calf"] == {"train": 0.5, "val": 0.5}


def test_criteria_that_chain_everything_leave_nothing_to_split(store: Store, herd: str) -> None:
    with pytest.raises(SettingsError, match="a group for each of train, val; received 1 groups"):
        split(store, herd, group_by=("folder", "duplicates"))


def test_a_subject_that_images_lack_is_named(store: Store, herd: str) -> None:
    with pytest.raises(AnnotationError, match=r"'animal\.name' in the extra.*herd/0 with animal"):
        split(store, herd, group_by=("subject",), subject="animal.name")


def test_the_command_line_says_the_shares_and_refuses_with_code_2(
    store: Store, herd: str, tmp_path: Path
) -> None:
    command = ("--store", "store", "--track", "never", "flows.split:STAGE", "--dataset", herd[:12])
    made = densecorr(*command, "--settings.shares", "train", "0.75", "val", "0.25", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    assert "train 75.0% (of 75%), val 25.0% (of 25%)" in made.stderr
    refused = densecorr(*command, "--settings.shares", "train", "0.9", cwd=tmp_path)
    assert refused.returncode == 2
    assert "sum to 1" in refused.stderr
