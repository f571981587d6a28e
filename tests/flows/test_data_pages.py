"""The commands of the pages on data and scoring run as they stand, on a rendered world and made files.

Words in capitals, such as DATASET, are tags of the test's store.
"""

import json
import re
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from densecorr.datasets.keypoints import KEYPOINT_SETS
from flows.cli import main
from storage.artifacts import Store
from storage.recipe import Recipe
from storage.rows import records_to_table, table_to_records
from storage.tables import read_table, write_table

DOCS = Path(__file__).parents[2] / "docs"
LINE = re.compile(r"^densecorr (?:\[[^\]]*\]|[^#\n])*", flags=re.MULTILINE)
ELSEWHERE = {
    "queries.md": "WORLD",  # its script from nothing is run by test_data_export
    "scoring.md": "EVALUATE_ID",  # a store's runs: test_leaderboard and test_evaluate
}


def blocks(page: str, kind: str = "") -> list[str]:
    text = (DOCS / page).read_text(encoding="utf-8")
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)
    return [block for language, block in found if language == kind]


def commands(page: str) -> list[str]:
    """The command lines of a page; what is in brackets is given, too."""
    found = [line.strip() for block in blocks(page) for line in LINE.findall(block)]
    return [line.replace("[", "").replace("]", "") for line in found if ELSEWHERE.get(page, "\0") not in line]


def run(line: str, capsys: pytest.CaptureFixture[str]) -> str:
    code = main(shlex.split(line)[1:])
    said = capsys.readouterr()
    assert code == 0, f"{line}\n{said.err}"
    return said.out


def made(store: Store, *words: str) -> Path:
    """Run a stage; the folder of its artifact, which is the newest."""
    assert main(list(words)) == 0
    return store.path(store.list()[-1].artifact_id)


def with_keypoints(path: Path) -> None:
    """Put AP-10K's keypoints on labelled points, so that each has one near it."""
    data = json.loads(path.read_text())
    names = KEYPOINT_SETS["ap10k"].names
    data["categories"][0]["keypoints"] = list(names)
    for row in data["annotations"]:
        x, y, w, h = row["bbox"]
        xs, ys = x + np.array(row["dp_x"]) / 256 * w, y + np.array(row["dp_y"]) / 256 * h
        row["keypoints"] = (
            np.stack([xs, ys, np.full(len(xs), 2.0)], 1)[: len(names)].round(1).ravel().tolist()
        )
        row["num_keypoints"] = len(names)
    path.write_text(json.dumps(data))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The files and tags that the pages name."""
    folder = tmp_path_factory.mktemp("pages")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DENSECORR_STORE", str(folder / "store"))
        patch.chdir(folder)
        store = Store(folder / "store")
        sizes = "--settings.image-size 96 --settings.n-train 4 --settings.n-val 2"
        world = made(store, "world", "--settings.category", "quadruped", *sizes.split())
        shutil.copytree(world, "photos")
        with_keypoints(Path("photos/annotations.json"))
        shutil.copy("photos/annotations.json", "annotations.json")
        shutil.copy("annotations.json", "ap10k-val.json")
        shutil.copytree("photos", "data")
        small = "--settings.n-eigenpairs 8 --settings.n-coarse 100 --tag TEMPLATE"
        made(store, "template", "--category", "quadruped", "--mesh", "quadruped", *small.split())
        ingest = "ingest --annotations annotations.json --images photos --source mine --tag DATASET"
        dataset = made(store, *ingest.split())
        charts = [f"{k},{1 + k % 24},{k % 97 / 96},{k % 89 / 88}" for k in range(4900)]
        Path("charts.csv").write_text("\n".join(["vertex,part,u,v", *charts]) + "\n")
        charts = "charts --dataset DATASET --template TEMPLATE --charts charts.csv --direction to-iuv"
        made(store, *charts.split(), "--tag", "LABELS")
        labels = table_to_records("labels", read_table(dataset / "labels.parquet", "labels"))
        pseudo = records_to_table("labels", [replace(one, source="zero_shot") for one in labels])
        recipe = Recipe("pseudo-label", 1, {}, {})
        store.tag(
            "PSEUDO_LABELS",
            store.ensure(recipe, lambda out: write_table(out / "labels.parquet", "labels", pseudo)),
        )
        yield folder


@pytest.mark.parametrize("page", ["data.md", "images.md", "densepose.md", "keypoints.md", "data-check.md"])
def test_the_commands_of_a_page_run(page: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = commands(page)
    assert lines
    for line in lines:
        if page == "densepose.md" and "to-iuv" not in line:
            line = line.replace("DATASET", "LABELS")  # which have charts
        run(line, capsys)


def test_a_data_set_is_queried_and_exported_as_the_page_says(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("duckdb")
    lines = commands("queries.md")
    assert len(lines) >= 8
    for line in lines:
        shutil.rmtree("OUT", ignore_errors=True)
        line = line.replace("horse", "quadruped").replace("--reviewed yes", "--reviewed no")
        run(line.replace("--min-area 1024", "--min-area 10"), capsys)
    store = Store(folder / "store")
    monkeypatch.chdir(store.path("DATASET"))
    exec(blocks("queries.md", "python")[0], {})
    assert "quadruped" in capsys.readouterr().out


def test_result_files_are_scored_as_the_page_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DENSECORR_STORE", str(tmp_path / "store"))
    exec(blocks("scoring.md", "python")[0], {})
    plainest, *others = commands("scoring.md")
    assert plainest == (
        "densecorr score --gt gt.json --pred pred.json --geodesics geo.npy "
        "--protocol reference --metric gps --json out.json"
    )
    run(plainest, capsys)
    found = json.loads(Path("out.json").read_text())
    names = ["AP", "AP50", "AP75", "APm", "APl", "AR", "AR50", "AR75", "ARm", "ARl"]
    assert list(found)[:10] == names
    assert [found[name] for name in ("AP", "APm", "AR")] == pytest.approx([100.0] * 3)
    assert found["settings"]["protocol"] == "reference"
    for name in ("a.json", "b.json"):
        shutil.copy("out.json", name)
    assert len(others) == 3
    for line in others:
        run(line.replace("score ...", plainest.removeprefix("densecorr ")), capsys)
    assert Path("report.html").stat().st_size > 1000
    assert Path("board.html").stat().st_size > 1000


def test_what_lvis_says_of_its_images_is_read_as_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DENSECORR_STORE", str(tmp_path / "store"))
    image = {"width": 9, "height": 9, "coco_url": "http://x/a/1.jpg", "neg_category_ids": [1]}
    images = [{"id": i, **image, "not_exhaustive_category_ids": [2] * (i == 73)} for i in (42, 73)]
    categories = [{"id": 1, "name": "banana"}, {"id": 2, "name": "apple"}]
    box = {"category_id": 2, "bbox": [1, 1, 4, 4], "area": 16, "segmentation": [[1, 1, 5, 1, 5, 5]]}
    rows = [{"id": i, "image_id": i, **box} for i in (42, 73)]
    data = {"images": images, "categories": categories, "annotations": rows}
    (tmp_path / "lvis.json").write_text(json.dumps(data))
    words = f"ingest --annotations {tmp_path}/lvis.json --images {tmp_path} --source lvis".split()
    dataset = made(Store(tmp_path / "store"), *words, "--settings.no-check-images")
    (code,) = blocks("data.md", "python")
    names: dict[str, Any] = {"folder": dataset}
    exec(code, names)
    assert names["rows"]["instance_id"].to_pylist() == ["lvis/42", "lvis/73"]
    assert names["negative_categories"](dataset, ["lvis/42"]) == {"lvis/42": ("banana",)}
    assert names["exhaustive_categories"](dataset, ["lvis/42", "lvis/73"]) == {
        "lvis/42": ("apple",),
        "lvis/73": (),
    }
