"""The file that `init` writes is a pipeline that `run` accepts."""

import json
from pathlib import Path

import numpy as np
import pytest

from densecorr.errors import SettingsError
from densecorr.features import DinoV2Features
from densecorr.images import write_png
from densecorr.models import DecoderBackbone
from flows import cli
from flows.encode import Encode
from flows.init import Init, find_images, pipeline_text, read_counts
from flows.pipeline import read_pipeline
from flows.template import TemplateCommand
from flows.train import Train

MESH = "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 3 2\nf 1 2 4\nf 1 4 3\nf 2 3 4\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """annotations/cows.json names images of ../val2017, as COCO does."""
    monkeypatch.chdir(tmp_path)
    for name in ("annotations", "val2017", "elsewhere"):
        (tmp_path / name).mkdir()
    write_png(tmp_path / "val2017" / "1.png", np.zeros((12, 16, 3), dtype=np.uint8))
    box = {"image_id": 1, "bbox": [2, 2, 8, 6], "area": 48.0, "iscrowd": 0}
    coco = {
        "images": [{"id": 1, "file_name": "1.png", "width": 16, "height": 12}],
        "categories": [{"id": 3, "name": "cow"}, {"id": 4, "name": 'teddy "bear"'}],
        "annotations": [{"id": i, "category_id": 3 if i else 4, **box} for i in range(3)],
    }
    (tmp_path / "annotations" / "cows.json").write_text(json.dumps(coco))
    for name in ("cow.obj", "bear.obj"):
        (tmp_path / name).write_text(MESH)
    return tmp_path


def test_the_file_is_read_and_planned(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--coco", "annotations/cows.json", "--mesh", "cow.obj", "--category", "cow"]
    assert cli.main(["init", *arguments]) == 0
    (folder / "pipeline.toml").write_text(capsys.readouterr().out)
    assert cli.main(["run", "pipeline.toml", "--dry-run", "--store", "store"]) == 0
    plan = capsys.readouterr().out
    stages = ("ingest", "template", "render", "features", "pseudo-label", "synthesise", "train", "evaluate")
    assert all(f"\n{name}" in plan for name in stages)
    assert "8 stages: 0 in the store, 8 to run" in plan


def test_the_paper_s_preset_encodes_and_decodes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--coco", "annotations/cows.json", "--mesh", "cow.obj", "--category", "cow"]
    assert cli.main(["init", *arguments, "--preset", "shic-paper"]) == 0
    (folder / "pipeline.toml").write_text(capsys.readouterr().out)
    found = {node.key: node.command for node in read_pipeline(folder / "pipeline.toml").nodes}
    train, encode = found["train[cow]"], found["encode[cow]"]
    assert isinstance(train, Train)
    assert (train.encoded, train.encoded_synthetic) == ("@encode[cow]", "@encode-synthetic[cow]")
    assert train.settings.epochs == 40
    assert isinstance(train.settings.model.backbone, DecoderBackbone)
    assert isinstance(encode, Encode)
    assert encode.settings == found["encode-synthetic[cow]"].settings
    assert isinstance(encode.settings.features, DinoV2Features)
    sizes = found["render[cow]"].settings.rig.size, found["pseudo-label[cow]"].settings.crop_size
    assert all(size % 14 == 0 for size in (*sizes, encode.settings.crop_size))


def test_every_category_has_its_stages(folder: Path) -> None:
    meshes = ('teddy "bear"=bear.obj', "cow=cow.obj")
    command = Init(Path("annotations/cows.json"), meshes, ('teddy "bear"', "cow"), unit="cm", up="-z")
    (folder / "pipeline.toml").write_text(pipeline_text(command))
    found = {node.key: node.command for node in read_pipeline(folder / "pipeline.toml").nodes}
    assert len(found) == 1 + 2 * 7
    template, train = found["template[cow]"], found['train[teddy "bear"]']
    assert isinstance(template, TemplateCommand)
    assert (template.mesh, template.settings.unit, template.settings.up) == (
        str(folder / "cow.obj"),
        "cm",
        "-z",
    )
    assert isinstance(train, Train)
    assert train.labels == '@pseudo-label[teddy "bear"]'
    assert train.category == 'teddy "bear"'


@pytest.mark.parametrize(
    ("meshes", "categories", "said"),
    [
        (("cow.obj",), (), "cow (2)"),
        (("cow.obj",), ("hen",), "'hen'"),
        (("cow.obj",), ("cow", 'teddy "bear"'), "cow=cow.obj"),
        (("cow=cow.obj",), ("cow", 'teddy "bear"'), "a mesh for each"),
        ((), ("cow",), "a mesh for each"),
    ],
)
def test_what_is_missing_is_said(
    folder: Path, meshes: tuple[str, ...], categories: tuple[str, ...], said: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        pipeline_text(Init(Path("annotations/cows.json"), meshes, categories))
    assert said in str(caught.value)


def test_the_images_are_looked_for_around_the_file(folder: Path) -> None:
    coco = folder / "annotations" / "cows.json"
    counts, names = read_counts(coco)
    assert counts == {"cow": 2, 'teddy "bear"': 1}
    assert find_images(coco, names).samefile(folder / "val2017")
    lvis = ["http://images.cocodataset.org/val2017/1.png", "val2017/1.png", "1.png"]
    assert (find_images(coco, lvis[:2]) / "val2017" / "1.png").exists()
