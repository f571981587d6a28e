"""A killed `ingest` goes on where it was, and ends with what an undisturbed one makes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from densecorr.datasets import CocoSettings, coco_image_files
from densecorr.datasets.coco_types import CocoImage
from densecorr.image_headers import read_header
from densecorr.images import write_png
from flows.ingest import STAGE, Ingest
from flows.progress import StageProgress
from flows.stage import run_stage
from storage.artifacts import Store

N_IMAGES = 200
SLOW_INGEST = """
import sys, time
from pathlib import Path
from densecorr.datasets import coco_image_files
from flows import cli

def read_slowly(path, read=coco_image_files.read_header):
    time.sleep(0.05)
    return read(path)

coco_image_files.read_header, coco_image_files.NOTED = read_slowly, 32
cli.main(sys.argv[1:])
"""


def make_images(folder: Path) -> None:
    """Small images, a box on each, one image of another size than its row says."""
    rng = np.random.default_rng(0)
    (folder / "images").mkdir()
    sizes = [16 if i == 3 else 12 for i in range(N_IMAGES)]
    for i, height in enumerate(sizes):
        pixels = rng.integers(0, 255, (height, 16, 3), dtype=np.uint8)
        write_png(folder / "images" / f"{i}.png", pixels)
    images = [{"id": i, "file_name": f"{i}.png", "width": 16, "height": 12} for i in range(N_IMAGES)]
    box = {"bbox": [2, 2, 8, 6], "area": 48.0, "iscrowd": 0, "category_id": 1}
    rows = [{"id": i + 1, "image_id": i, **box} for i in range(N_IMAGES)]
    data = {"images": images, "annotations": rows, "categories": [{"id": 1, "name": "cow"}]}
    (folder / "coco.json").write_text(json.dumps(data))


def ingest(folder: Path, store: Store, previous: str | None = None) -> str:
    settings = CocoSettings(on_error="skip")
    command = Ingest(str(folder / "coco.json"), str(folder / "images"), "cows", settings, previous=previous)
    return run_stage(STAGE, command, store, StageProgress("ingest"))


def shards(store: Path) -> list[Path]:
    return sorted(store.rglob("drafts/*/files/shards/shard-*.parquet"))


def kill_in_the_middle(folder: Path, store: Path, *more: str) -> set[str]:
    """Start `densecorr ingest`, kill it once two shards are there; the files that these hold."""
    arguments = ["--store", str(store), "ingest", "--annotations", "coco.json", "--images", "images"]
    arguments += ["--source", "cows", "--settings.on-error", "skip", *more]
    command = [sys.executable, "-c", SLOW_INGEST, *arguments]
    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while len(shards(store)) < 2:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline, "no shard"
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=10)
    assert process.returncode == -signal.SIGKILL
    return {name for path in shards(store) for name in pq.read_table(path)["path"].to_pylist()}


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is POSIX's")
@pytest.mark.parametrize("again", [False, True])
def test_a_killed_ingest_reads_no_finished_image_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], again: bool
) -> None:
    make_images(tmp_path)
    killed, whole = Store(tmp_path / "killed"), Store(tmp_path / "whole")
    previous = None
    if again:
        previous = ingest(tmp_path, killed)
        assert ingest(tmp_path, whole) == previous
        for i in range(0, N_IMAGES, 2):
            write_png(tmp_path / "images" / f"{i}.png", np.full((12, 16, 3), i, dtype=np.uint8))
    more = ("--previous", previous) if previous else ()
    finished = kill_in_the_middle(tmp_path, tmp_path / "killed", *more)
    assert 64 <= len(finished) < N_IMAGES
    assert not previous or all(int(name.removesuffix(".png")) % 2 == 0 for name in finished)

    read: list[str] = []

    def read_and_note(path: Path) -> object:
        read.append(path.name)
        return read_header(path)

    monkeypatch.setattr(coco_image_files, "read_header", read_and_note)
    capsys.readouterr()
    made = ingest(tmp_path, killed, previous)
    assert f"going on after {len(finished)} image files" in capsys.readouterr().err
    assert finished.isdisjoint(read)
    changed = {f"{i}.png" for i in range(0, N_IMAGES, 2)} | {"3.png"} if previous else set()
    everything = changed or {f"{i}.png" for i in range(N_IMAGES)}
    assert sorted(read) == sorted(everything - finished)

    assert ingest(tmp_path, whole, previous) == made
    assert killed.manifest(made).files == whole.manifest(made).files
    assert not (killed.path(made) / "shards").exists()
    assert not killed.verify()


def test_an_image_that_changed_after_the_kill_is_read_again(tmp_path: Path) -> None:
    make_images(tmp_path)
    path = tmp_path / "images" / "0.png"
    status = path.stat()
    stamp = (status.st_size, status.st_mtime_ns)
    image = CocoImage(id=0, file_name="0.png", width=16, height=12)
    old = coco_image_files.ImageFile("0.png", "old", (16, 12), stamp=stamp)
    noted: list[coco_image_files.ImageFile] = []
    memory = coco_image_files.FileMemory(finished={"0.png": old}, note=noted.extend)
    folder = tmp_path / "images"
    assert list(coco_image_files.inspect_files([image], folder, True, 1, memory)) == [old]
    assert noted == []
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    (found,) = coco_image_files.inspect_files([image], folder, True, 1, memory)
    assert found.sha256 != "old"
    assert noted == [found]
