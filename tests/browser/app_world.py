"""A store with the body template and pictures of it, and `densecorr review open` on it as a process of its own."""

import base64
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from densecorr.records import Decision, ImageRecord, InstanceRecord, LabelRecord
from densecorr.review.acts import new_decision_id
from densecorr.templates import TemplateSettings, build_template, write_template
from storage.artifacts import Recipe, Store
from storage.datasets import read_labels
from storage.decisions import append_decisions
from storage.similarities import PointSimilarities, write_similarity_facts, write_similarity_shard
from storage.tables import records_to_table, write_tables
from tests.browser.fake_scene import N_POINTS, SIZE, body, view

ROOT = Path(__file__).resolve().parents[2]
YAWS = (0.0, 0.7, -0.7, 3.1)
START_S = 120  # FiftyOne's first start on two cores


def make_store(
    folder: Path, n: int, n_points: int = N_POINTS, outlined: bool = False, true: bool = False
) -> Store:
    """A data set `data` of n people, with silhouettes or truth if asked for, and labels `zero` of it to review."""
    store = Store(folder)
    settings = TemplateSettings(n_eigenpairs=4, n_coarse=40)
    template = build_template(body().V, body().F, "body-v1", settings)
    store.ensure(Recipe("template", 1, {"id": "body-v1"}, {}), lambda out: write_template(out, template))
    truth = [label(i, n_points, "human") for i in range(n)] if true else []
    ingest = Recipe("ingest", 1, {"n": n}, {})
    store.tag("data", store.ensure(ingest, lambda out: write_people(out, n, outlined, truth)))
    table = records_to_table("labels", [label(i, n_points) for i in range(n)])
    recipe = Recipe("pseudo-label", 1, {"n": n, "points": n_points}, {"dataset": store.resolve("data")})
    store.tag("zero", store.ensure(recipe, lambda out: write_tables(out, {"labels": table})))
    return store


def write_people(out: Path, n: int, outlined: bool, truth: Sequence[LabelRecord]) -> None:
    """Pictures at four angles, in turn."""
    width, height = SIZE
    for k, yaw in enumerate(YAWS):
        (out / f"{k}.png").write_bytes(base64.b64decode(view(yaw)["png"].partition(",")[2]))
    tables = {
        "images": [ImageRecord(f"m{i}", f"{i % 4}.png", width, height) for i in range(n)],
        "instances": [
            InstanceRecord(
                f"p{i}",
                f"m{i}",
                "person",
                (40.0, 20.0, width - 80.0, height - 40.0),
                silhouette(YAWS[i % 4]) if outlined else None,
            )
            for i in range(n)
        ],
        "labels": truth,
    }
    write_tables(out, {name: records_to_table(name, records) for name, records in tables.items()})
    (out / "dataset.json").write_text(json.dumps({"image_root": "."}))


@cache
def silhouette(yaw: float) -> dict[str, Any]:
    """The outline of a picture as a compressed COCO RLE."""
    mask = np.zeros(SIZE[::-1], np.uint8)
    outlines = [np.reshape(outline, (-1, 2)).astype(np.int32) for outline in view(yaw)["silhouette"]]
    cv2.fillPoly(mask, outlines, (1,))
    rle = coco_mask.encode(np.asfortranarray(mask))
    return {"size": list(SIZE[::-1]), "counts": rle["counts"].decode()}


def add_similarities(store: Store) -> None:
    """The artifact `alike` for the labels `zero`: a byte a point and vertex, at random, but each point's best known."""
    n_vertices = len(body().V)

    def write(out: Path) -> None:
        found = []
        for one in read_labels(store.path(store.resolve("zero"))).values():
            values = alike(one)
            xy = np.stack([one.x, one.y], axis=1).astype(np.float64)
            found.append(PointSimilarities(one.instance_id, xy, values, np.zeros((len(xy), 2), np.float32)))
        (out / "shards").mkdir()
        write_similarity_shard(out / "shards" / "shard-00000", found, n_vertices)
        write_similarity_facts(out, "body-v1", np.arange(n_vertices), {})

    recipe = Recipe("similarities", 1, {}, {"labels": store.resolve("zero")})
    store.tag("alike", store.ensure(recipe, write))


def alike(one: LabelRecord) -> np.ndarray:
    """Bytes (P, V) as of features: each point has a best vertex of its own, 255, which no other way of heating has."""
    rng = np.random.default_rng(int(one.instance_id[1:]))
    values = rng.integers(1, 200, (len(one.x), len(body().V)), dtype=np.uint8)
    values[np.arange(len(one.x)), rng.permutation(len(body().V))[: len(one.x)]] = 255
    return values


def add_review(store: Store, instance_id: str) -> None:
    """What a third reviewer, eve, did before: one point of an instance on the other side, then accepted."""
    one = read_labels(store.path(store.resolve("zero")))[instance_id]
    point = {"x": float(one.x[0]), "y": float(one.y[0]), "vertex": int(one.vertex[0]), "visible": True}
    other = point | {"vertex": int(body().mirror[one.vertex[0]])}
    verdict = {"action": "accept", "reason": ""}
    acts: list[tuple[str, int | None, dict[str, Any], dict[str, Any]]] = [
        ("assign", 0, {"points": {"0": point}}, {"points": {"0": other}}),
        ("accept", None, {"verdict": None}, {"verdict": verdict}),
    ]
    append_decisions(
        store,
        [
            Decision(
                new_decision_id(),
                store.resolve("data"),
                instance_id,
                one.label_id,
                one.template_id,
                one.producer,
                action,
                "eve",
                datetime.now(UTC),
                2.0,
                point_id,
                before=before,
                after=after,
            )
            for action, point_id, before, after in acts
        ],
    )


def label(i: int, n_points: int, source: str = "zero_shot") -> LabelRecord:
    points = view(YAWS[i % 4], n_points)["points"]
    columns = {name: np.array([p[name] for p in points]) for name in ("x", "y", "vertex", "score")}
    return LabelRecord(
        f"{source}/{i}",
        f"p{i}",
        "body-v1",
        source,
        "zero",
        columns["x"].astype(np.float32),
        columns["y"].astype(np.float32),
        columns["vertex"],
        score=columns["score"].astype(np.float32),
    )


def need_app() -> None:
    """Skip what needs the App where its database or FiftyOne is not there."""
    if not os.environ.get("DENSECORR_MONGOD"):
        pytest.skip("no DENSECORR_MONGOD: `bash infra/get_mongod.sh FOLDER` gets one")
    pytest.importorskip("fiftyone")


class App:
    """The running command; `url` once it serves."""

    def __init__(self, process: "subprocess.Popen[str]", url: str, port: int, folder: Path) -> None:
        self.process, self.url, self.port, self.folder = process, url, port, folder


@contextmanager
def open_review(
    store: Store,
    folder: Path,
    reviewer: str | None = "ann",
    start_s: float = START_S,
    options: Sequence[str] = (),
) -> Iterator[App]:
    """`densecorr review open` for a reviewer, or to browse, ended afterwards as by Ctrl-C."""
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
    who = [] if reviewer is None else ["--reviewer", reviewer]
    arguments = ["data", "--labels", "zero", *who, "--port", str(port), *options]
    process = subprocess.Popen(
        [sys.executable, "-m", "flows.cli", "review", "open", *arguments],
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
