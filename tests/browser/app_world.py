"""A store with the body template and pictures of it, and `densecorr review open` on it as a process of its own."""

import base64
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from densecorr.records import ImageRecord, InstanceRecord, LabelRecord
from densecorr.templates import TemplateSettings, build_template, write_template
from storage.artifacts import Recipe, Store
from storage.tables import records_to_table, write_tables
from tests.browser.fake_scene import N_POINTS, SIZE, body, view

ROOT = Path(__file__).resolve().parents[2]
YAWS = (0.0, 0.7, -0.7, 3.1)
START_S = 120  # FiftyOne's first start on two cores


def make_store(folder: Path, n: int, n_points: int = N_POINTS) -> Store:
    """A data set `data` of n people and a labelling `zero` of it to review."""
    store = Store(folder)
    settings = TemplateSettings(n_eigenpairs=4, n_coarse=40)
    template = build_template(body().V, body().F, "body-v1", settings)
    store.ensure(Recipe("template", 1, {"id": "body-v1"}, {}), lambda out: write_template(out, template))
    store.tag("data", store.ensure(Recipe("ingest", 1, {"n": n}, {}), lambda out: write_people(out, n)))
    table = records_to_table("labels", [label(i, n_points) for i in range(n)])
    recipe = Recipe("pseudo-label", 1, {"n": n, "points": n_points}, {"dataset": store.resolve("data")})
    store.tag("zero", store.ensure(recipe, lambda out: write_tables(out, {"labels": table})))
    return store


def write_people(out: Path, n: int) -> None:
    """Pictures at four angles, in turn."""
    width, height = SIZE
    for k, yaw in enumerate(YAWS):
        (out / f"{k}.png").write_bytes(base64.b64decode(view(yaw)["png"].partition(",")[2]))
    tables = {
        "images": [ImageRecord(f"m{i}", f"{i % 4}.png", width, height) for i in range(n)],
        "instances": [
            InstanceRecord(f"p{i}", f"m{i}", "person", (40.0, 20.0, width - 80.0, height - 40.0))
            for i in range(n)
        ],
        "labels": [],
    }
    write_tables(out, {name: records_to_table(name, records) for name, records in tables.items()})
    (out / "dataset.json").write_text(json.dumps({"image_root": "."}))


def label(i: int, n_points: int) -> LabelRecord:
    points = view(YAWS[i % 4], n_points)["points"]
    columns = {name: np.array([p[name] for p in points]) for name in ("x", "y", "vertex", "score")}
    return LabelRecord(
        f"zero/{i}",
        f"p{i}",
        "body-v1",
        "zero_shot",
        "zero",
        columns["x"].astype(np.float32),
        columns["y"].astype(np.float32),
        columns["vertex"],
        score=columns["score"].astype(np.float32),
    )


class App:
    """The running command; `url` once it serves."""

    def __init__(self, process: "subprocess.Popen[str]", url: str, port: int, folder: Path) -> None:
        self.process, self.url, self.port, self.folder = process, url, port, folder


@contextmanager
def open_review(store: Store, folder: Path, reviewer: str = "ann", start_s: float = START_S) -> Iterator[App]:
    """`densecorr review open` for a reviewer, ended afterwards as by Ctrl-C."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    own = {
        "DENSECORR_STORE": store.place.uri,
        "DENSECORR_STATE": str(folder / "state"),
        "DENSECORR_MONGO_DIR": str(folder / "mongo"),
        "FIFTYONE_DATABASE_NAME": f"densecorr-browser-{os.getpid()}",
        "FIFTYONE_DATABASE_URI": "",
        "PYTHONUNBUFFERED": "1",
    }
    arguments = ["review", "open", "data", "--labels", "zero", "--reviewer", reviewer, "--port", str(port)]
    process = subprocess.Popen(
        [sys.executable, "-m", "flows.cli", *arguments],
        cwd=ROOT,
        env=os.environ | own,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    watchdog = threading.Timer(start_s, process.kill)  # a start that hangs must not hang the tests
    watchdog.start()
    said = []
    try:
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line)
            if "FiftyOne shows" in line:
                break
        else:
            raise RuntimeError("the App did not start:\n" + "".join(said))
        watchdog.cancel()
        # What it says later is read, else it would wait for a reader.
        threading.Thread(target=process.stdout.read, daemon=True).start()
        yield App(
            process, next(w for w in said[-1].split() if w.startswith("http")).rstrip(";"), port, folder
        )
    finally:
        watchdog.cancel()
        process.terminate()
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
