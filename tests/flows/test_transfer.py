"""The transfer command: globes whose places are known, in files of the benchmarks' forms."""

import csv
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from densecorr import models
from densecorr.config import to_jsonable
from densecorr.errors import (
    AnnotationError,
    DatasetNotFoundError,
    DensecorrError,
    ImageError,
    SettingsError,
)
from densecorr.images import encode_silhouette, write_png
from densecorr.models import CseModel, CseModelSettings, Predictor, UNetBackbone
from densecorr.models.stored import write_surface
from densecorr.training.checkpoints import save_model
from flows import cli
from flows.session import Session
from flows.transfer import Transfer, named_categories
from flows.transfer_work import best_box
from tests.globe import Photo, globe_predictor, photo_pair

METHODS = ("vertex", "soft", "embedding")
HORSE, COW = 13, 10


@cache
def globe() -> Predictor:
    return globe_predictor()


@pytest.fixture
def known_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """A folder in whose place the globe's model is loaded."""
    folder = tmp_path / "globe"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    monkeypatch.setattr(models, "load_predictor", lambda path, device: globe())
    return str(folder)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two pairs of horses and one of cows as PF-PASCAL has them, the same as SPair-71k does, and a COCO file."""
    images: dict[str, Photo] = {}
    rows: list[list[Any]] = []
    (tmp_path / "spair").mkdir()
    for seed, number in enumerate((HORSE, HORSE, COW)):
        category = {HORSE: "horse", COW: "cow"}[number]
        a, b, *points = photo_pair(seed)
        names = [f"PF/JPEGImages/{seed}{side}.png" for side in "ab"]
        images |= dict(zip(names, (a, b), strict=True))
        lists = [";".join(map(str, xy[:, axis])) for xy in points for axis in (0, 1)]
        rows.append([*names, number, *lists])
        corners = [[x, y, x + w, y + h] for x, y, w, h in (a.xywh, b.xywh)]
        pair = {"src_imname": f"{seed}a.png", "trg_imname": f"{seed}b.png", "category": category}
        pair |= {"src_kps": points[0].tolist(), "trg_kps": points[1].tolist()}
        pair |= {"src_bndbox": corners[0], "trg_bndbox": corners[1]}
        (tmp_path / "spair" / f"{seed:06}.json").write_text(json.dumps(pair))
    with (tmp_path / "pairs.csv").open("w", newline="") as file:
        csv.writer(file).writerows(["source_image,target_image,class,XA,YA,XB,YB".split(","), *rows])
    (tmp_path / "JPEGImages").mkdir()
    annotations = []
    for index, (name, photo) in enumerate(images.items()):
        write_png(tmp_path / "JPEGImages" / Path(name).name, photo.image())
        silhouette = encode_silhouette((photo.image() != 128).any(axis=2))
        category_id = COW if Path(name).name[0] == "2" else HORSE
        annotations.append(
            {"id": index, "image_id": index, "category_id": category_id, "bbox": photo.xywh}
            | {"segmentation": silhouette}
        )
    coco = {
        "images": [{"id": i, "file_name": Path(name).name} for i, name in enumerate(images)],
        "categories": [{"id": COW, "name": "cow"}, {"id": HORSE, "name": "horse"}],
        "annotations": annotations,
    }
    (tmp_path / "coco.json").write_text(json.dumps(coco))
    return tmp_path


def transfer(
    folder: Path, model: tuple[str, ...], pairs: str = "pairs.csv", **options: Any
) -> dict[str, Any]:
    command = Transfer(folder / pairs, folder / "JPEGImages", model, folder / "out.json", **options)
    command(Session(str(folder / "store")))
    return json.loads((folder / "out.json").read_text())


@pytest.mark.parametrize("method", METHODS)
def test_a_model_that_knows_scores_all(folder: Path, known_model: str, method: Any) -> None:
    said = transfer(folder, (f"horse={known_model}",), method=method, boxes=folder / "coco.json")
    assert said["method"] == method
    assert "longer side of image B" in said["rule"]
    assert (said["figures"]["horse"]["pairs"], said["figures"]["horse"]["points"]) == (2, 80)
    for kind in ("per_point", "per_pair"):
        assert {value["value"] for value in said["figures"]["horse"][kind].values()} == {1.0}
    assert said["skipped_without_model"] == {"cow": 1}
    assert said["whole_images_as_boxes"] == said["points_outside_images"] == 0
    assert said["models"] == {"horse": known_model}


def test_both_files_of_the_same_pairs_give_the_same_figures(
    folder: Path, known_model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    two = (f"horse={known_model}", f"cow={known_model}")
    said = transfer(folder, two, "spair", reference="bbox", alphas=(0.02, 0.01))
    table = capsys.readouterr().out
    assert "box in image B" in said["rule"]
    assert "box in image B" in table.splitlines()[0]
    assert [line.split()[0] for line in table.splitlines()[2:]] == ["cow", "horse", "mean"]
    assert said["figures"]["mean over categories"]["pairs"] == 3
    by_csv = transfer(
        folder, two, boxes=folder / "coco.json", silhouettes=True, reference="bbox", alphas=(0.02, 0.01)
    )
    for category in ("horse", "cow"):
        for alpha in ("0.02", "0.01"):
            first, second = (f["figures"][category]["per_point"][alpha]["value"] for f in (said, by_csv))
            assert first == pytest.approx(second, abs=0.15)  # COCO boxes are rounded to whole pixels
    figures = said["figures"]["horse"]["per_point"]
    assert figures["0.01"]["value"] <= figures["0.02"]["value"]


def test_without_boxes_whole_images_are_looked_at_and_counted(folder: Path, known_model: str) -> None:
    said = transfer(folder, (f"horse={known_model}",))
    assert said["whole_images_as_boxes"] == 4
    assert said["figures"]["horse"]["per_point"]["0.1"]["value"] == 1.0
    with pytest.raises(SettingsError, match="row 2"):
        transfer(folder, (f"horse={known_model}",), reference="bbox")


def test_points_outside_their_image_are_counted(
    folder: Path, known_model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_png(folder / "JPEGImages" / "0b.png", np.full((30, 40, 3), 128, dtype=np.uint8))
    said = transfer(folder, (f"horse={known_model}",))
    assert said["points_outside_images"] > 0
    assert "keypoints lie outside" in capsys.readouterr().err


Damage = Callable[[Path], object]


@pytest.mark.parametrize(
    ("damage", "error", "said"),
    [
        (lambda f: (f / "JPEGImages" / "1b.png").unlink(), DatasetNotFoundError, r"1b\.png.*row 3"),
        (lambda f: (f / "JPEGImages" / "1b.png").write_bytes(b"no image"), ImageError, "row 3"),
        (lambda f: (f / "pairs.csv").write_text("source_image,target_image,class\n"), AnnotationError, "XA"),
        (lambda f: (f / "pairs.csv").unlink(), DatasetNotFoundError, "pairs.csv"),
        (lambda f: (f / "JPEGImages").rename(f / "other"), DatasetNotFoundError, "folder of images"),
    ],
)
def test_bad_files_are_named(
    folder: Path, known_model: str, damage: Damage, error: type[DensecorrError], said: str
) -> None:
    damage(folder)
    with pytest.raises(error, match=said):
        transfer(folder, (f"horse={known_model}",))


def test_bad_options_are_named(folder: Path, known_model: str) -> None:
    with pytest.raises(SettingsError, match=r"cow, horse.*received dog"):
        transfer(folder, (f"dog={known_model}",))
    with pytest.raises(SettingsError, match="--boxes"):
        transfer(folder, (f"horse={known_model}",), silhouettes=True)
    for texts in ((), ("horse",), ("=x",), ("horse=",), ("horse=a", "horse=b")):
        with pytest.raises(SettingsError, match="--model"):
            named_categories(texts)


def test_the_box_of_the_object_that_the_points_are_of() -> None:
    boxes = [{"bbox": box} for box in ((0, 0, 100, 100), (10, 10, 20, 20), (60, 60, 20, 20), (5, 5, 30, 30))]
    assert best_box(boxes, np.array([[12.0, 12.0], [25.0, 25.0]])) == 1
    assert best_box(boxes, np.array([[12.0, 12.0], [33.0, 33.0]])) == 3
    assert best_box([], np.zeros((1, 2))) is None


def test_from_the_command_line_with_a_model_s_folder(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = CseModelSettings(
        embedding=4, n_eigenfunctions=5, crop_size=32, backbone=UNetBackbone(widths=(4, 6))
    )
    basis = torch.randn(30, 5, generator=torch.Generator().manual_seed(0))
    model = tmp_path / "model"
    model.mkdir()
    save_model(
        model, CseModel(settings, basis), {"train": {"model": to_jsonable(settings)}, "category": "horse"}
    )
    write_surface(model, basis.numpy(), np.zeros((30, 3), dtype=np.uint8))
    options = [
        "--pairs",
        f"{folder}/spair",
        "--images",
        str(folder / "JPEGImages"),
        "--out",
        f"{folder}/o/out.json",
    ]
    for method in METHODS:
        chosen = ["--model", f"horse={model}", "--model", f"cow={model}", "--method", method]
        assert cli.main(["--store", str(folder / "store"), "transfer", *options, *chosen]) == 0
        said = json.loads((folder / "o" / "out.json").read_text())
        assert set(said["figures"]) == {"cow", "horse", "mean over categories"}
    assert "PCK in %" in capsys.readouterr().out
    nowhere = ["--model", f"horse={model}", "--device", "cuda:99"]
    assert cli.main(["--store", str(folder / "store"), "transfer", *options, *nowhere]) == 2
    assert "cuda:99" in capsys.readouterr().err
    assert cli.main(["--store", str(folder / "store"), "transfer", *options, "--model", "horse=absent"]) == 2
    assert "absent" in capsys.readouterr().err
