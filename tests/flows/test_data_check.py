"""`densecorr data check`: the page, the tables and the exit code."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import tyro

from densecorr.datasets import CocoSettings
from densecorr.datasets.quality_geometry import vertex_sides
from densecorr.datasets.rendered import write_world
from densecorr.datasets.world_settings import WorldSettings
from densecorr.errors import DensecorrError
from densecorr.images import read_image, write_png
from densecorr.templates import TemplateSettings
from densecorr.templates.stored import read_template
from flows.data_check import Check
from flows.ingest import STAGE, Ingest
from flows.progress import StageProgress
from flows.session import Session
from flows.stage import run_stage
from flows.template import STAGE as TEMPLATE
from flows.template import TemplateCommand
from tests.flows.herds import herd_file, herd_images


def test_planted_faults_are_counted_drawn_and_listed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, image in herd_images().items():
        write_png(tmp_path / name, image)
    data = herd_file()
    first = data["annotations"][0]
    first["segmentation"] = [[100, 100, 130, 100, 130, 130, 100, 130]]  # far from its box and its points
    data["annotations"].append(data["annotations"][3] | {"id": 5})
    (tmp_path / "coco.json").write_text(json.dumps(data))
    session = Session(str(tmp_path / "store"), "never")
    command = Ingest(str(tmp_path / "coco.json"), str(tmp_path), "herd", CocoSettings())
    made = run_stage(STAGE, command, session.store, StageProgress("ingest"))

    out = tmp_path / "page" / "check.html"
    assert tyro.cli(Check, args=[made, "--out", str(out), "--strict"])(session) == 1
    printed = {line.split()[0]: line.split()[1] for line in capsys.readouterr().out.splitlines()}
    assert printed["points_outside_mask"] == printed["box_off_mask"] == printed["duplicate"] == "1"
    assert printed["never_visible"] == "not"
    assert printed["tiny"] == printed["duplicate_across_splits"] == "0"
    page = out.read_text()
    assert page.count("<figure>") == page.count('src="data:image/jpeg;base64,') == 3
    assert page.count("<h2>") == 4
    rows = pq.read_table(out.with_suffix(".parquet")).to_pylist()
    assert {row["instance_id"] for row in rows} == {"herd/1", "herd/5"}
    assert len(out.with_suffix(".csv").read_text().splitlines()) == 4

    assert tyro.cli(Check, args=[made, "--json", "--no-images"])(session) == 0
    assert [row["kind"] for row in json.loads(capsys.readouterr().out)] == [row["kind"] for row in rows]
    with pytest.raises(DensecorrError):
        tyro.cli(Check, args=["nothing"])(session)


def test_every_planted_defect_is_found_with_a_template_and_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = WorldSettings(category="quadruped", n_train=9, n_val=2, image_size=96, n_points=60)
    write_world(tmp_path, settings, workers=1)
    session = Session(str(tmp_path / "store"), "never")
    small = TemplateSettings(n_coarse=60, n_eigenpairs=16)
    command = TemplateCommand("quadruped", "quadruped", settings=small)
    template = run_stage(TEMPLATE, command, session.store, StageProgress("template"))
    data = json.loads((tmp_path / "annotations.json").read_text())
    mesh = read_template(session.store.path(template))
    add_flanks(tmp_path, data, vertex_sides(mesh.V, mesh.mirror_plane))
    assert check(session, tmp_path, data, template, capsys) == {}

    planted = plant(tmp_path, data, mesh.mirror)
    assert check(session, tmp_path, data, template, capsys) == planted


def add_flanks(folder: Path, data: dict[str, Any], side: np.ndarray) -> None:
    """Two keypoints an instance: the pixel in the middle of its left half, and that of its right."""
    data["categories"][0]["keypoints"] = ["left_flank", "right_flank"]
    for one in data["annotations"]:
        x, y = (int(value) for value in one["bbox"][:2])
        with np.load(folder / one["densecorr"]["vertex_map"]) as arrays:
            vertex = arrays["vertex"]
        one["keypoints"] = []
        for half in (1, -1):
            at = np.argwhere((vertex >= 0) & (side[vertex] == half))
            if len(at) <= 400:  # little of this side is seen
                one["keypoints"] += [0.0, 0.0, 0]
                continue
            row, column = at[np.linalg.norm(at - at.mean(axis=0), axis=1).argmin()]
            one["keypoints"] += [float(x + column), float(y + row), 2]


def plant(folder: Path, data: dict[str, Any], mirror: np.ndarray) -> dict[str, set[str]]:
    """Spoil one label or image for each kind of defect; which id has which."""
    rng = np.random.default_rng(0)
    images, rows = data["images"], data["annotations"]
    sided = [row for row in rows[:9] if 2 in row["keypoints"][2::3]]
    flipped, off, random, boxed, keypoint, repeated, spotted, copied = [sided[0], *without(rows, sided[0])][
        :8
    ]
    flipped["dp_vertex"] = mirror[np.array(flipped["dp_vertex"])].tolist()
    off["dp_y"] = [-90.0 if k < 12 else value for k, value in enumerate(off["dp_y"])]
    random["dp_vertex"] = rng.integers(0, len(mirror), len(random["dp_vertex"])).tolist()
    x, y, w, h = boxed["bbox"]
    boxed["bbox"], boxed["dp_x"] = [x, y, w / 2, h], [2 * value for value in boxed["dp_x"]]
    boxed["keypoints"] = [0.0, 0.0, 0] * 2
    x, y, w, h = keypoint["bbox"]
    keypoint["keypoints"][:3] = [x - 9.0, y - 9.0, 1]
    rows.append(repeated | {"id": 100})
    x, y = (float(int(value)) for value in spotted["bbox"][:2])
    dot = {"bbox": [x, y, 6, 6], "area": 36, "segmentation": [[x, y, x + 6, y, x + 6, y + 6, x, y + 6]]}
    rows.append(dot | {"id": 101, "image_id": spotted["image_id"], "category_id": 1, "iscrowd": 0})
    source = next(one for one in images if one["id"] == copied["image_id"])
    target = next(one for one in images if one["split"] == "val")
    noisy = read_image(folder / source["file_name"]) + rng.normal(0, 2, (96, 96, 3))
    target["file_name"] = "copy.png"
    write_png(folder / "copy.png", noisy.clip(0, 255).astype(np.uint8))
    own = next(row for row in rows if row["image_id"] == target["id"])
    own |= copied | {"id": own["id"], "image_id": own["image_id"]}
    ids = {
        "left_right": flipped["id"],
        "points_outside_mask": off["id"],
        "never_visible": random["id"],
        "box_off_mask": boxed["id"],
        "keypoint_outside_box": keypoint["id"],
        "duplicate": 100,
        "tiny": 101,
        "duplicate_across_splits": target["id"],
    }
    return {kind: {f"w/{number}"} for kind, number in ids.items()}


def without(rows: list[dict[str, Any]], row: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for one in rows if one is not row]


def check(
    session: Session,
    folder: Path,
    data: dict[str, Any],
    template: str,
    capsys: pytest.CaptureFixture[str],
) -> dict[str, set[str]]:
    """Ingest the file and run the command: the ids of each kind that it found."""
    (folder / "file.json").write_text(json.dumps(data))
    command = Ingest(str(folder / "file.json"), str(folder), "w", CocoSettings())
    made = run_stage(STAGE, command, session.store, StageProgress("ingest"))
    page = folder / "check.html"
    tyro.cli(Check, args=[made, "--template", template, "--out", str(page)])(session)
    assert "not checked" not in capsys.readouterr().out
    found: dict[str, set[str]] = {}
    for row in pq.read_table(page.with_suffix(".parquet")).to_pylist():
        found.setdefault(row["kind"], set()).add(row["instance_id"] or row["image_id"])
    assert page.read_text().count("<figure") == sum(len(ids) for ids in found.values())
    return found
