"""Opening an ingested set and fetching the annotations of 100 random images, against pycocotools doing the same."""

import contextlib
import io

import numpy as np
import pyarrow.parquet as pq

from storage.lookup import annotations_of_images

from .ingest_lvis import SCALE, ingest, made_folder
from .measure import Benchmark, Comparison

N_IMAGES = 100


def prepare() -> Benchmark:
    """Ingests the file first."""
    from pycocotools.coco import COCO

    folder = made_folder(SCALE)
    ingest(folder)
    ids = pq.read_table(folder / "out" / "images.parquet", columns=["image_id"])["image_id"].to_pylist()
    wanted = [str(one) for one in np.random.default_rng(0).choice(ids, N_IMAGES, replace=False)]
    numbers = [int(one.partition("/")[2]) for one in wanted]

    def theirs() -> list[int]:
        with contextlib.redirect_stdout(io.StringIO()):
            api = COCO(folder / "lvis.json")
        return [row["id"] for row in api.loadAnns(api.getAnnIds(imgIds=numbers))]

    def check() -> None:
        found = annotations_of_images(folder / "out", wanted)["instance_id"].to_pylist()
        if sorted(found) != sorted(f"lvis/{number}" for number in theirs()):
            raise AssertionError("other annotations were found")

    return Benchmark(
        lambda: annotations_of_images(folder / "out", wanted),
        check,
        (Comparison("COCO(file) and getAnnIds", theirs, 1 / 50),),
        rounds=5,
    )
