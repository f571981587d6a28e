"""`densecorr data check`: the page, the tables and the exit code."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import tyro

from densecorr.datasets import CocoSettings
from densecorr.errors import DensecorrError
from densecorr.images import write_png
from flows.data_check import Check
from flows.ingest import STAGE, Ingest
from flows.progress import StageProgress
from flows.session import Session
from flows.stage import run_stage
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
