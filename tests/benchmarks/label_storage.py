"""Bytes of one image's pseudo-labels in Parquet against its dense float16 features; no time is taken.

900 foreground cells of a 60x60 grid, one row each; labels of 64 images lie in one file, as in a shard.
"""

import tempfile
from pathlib import Path

import numpy as np

from densecorr.records import LabelRecord
from flows.labeller import four_digits
from storage.rows import records_to_table
from storage.tables import write_table

from .measure import Benchmark, Sizes

N_IMAGES, SIDE, N_CELLS = 64, 60, 900
N_VERTICES = 5_000


def prepare(n_numbers: int) -> Benchmark:
    """Labels whose cells lie in a disc, whose vertices change from cell to cell, and whose scores are noise."""
    records = [make_labels(index) for index in range(N_IMAGES)]

    def write() -> int:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "labels.parquet"
            write_table(path, "labels", records_to_table("labels", records))
            return path.stat().st_size // N_IMAGES

    features = SIDE * SIDE * n_numbers * 2
    return Benchmark(write, lambda: None, sizes=Sizes(write, features, 1 / 500), rounds=1)


def make_labels(index: int) -> LabelRecord:
    """One image's labels."""
    rng = np.random.default_rng(index)
    y, x = np.divmod(np.arange(SIDE * SIDE), SIDE)
    cells = np.argsort((x - 29.5) ** 2 + (y - 29.5) ** 2, kind="stable")[:N_CELLS]
    cells.sort()
    place = np.stack([x[cells], y[cells]], axis=1) * 14 + 6.5
    score, margin, expected = (
        rng.uniform(0.4, 0.9, N_CELLS),
        rng.exponential(0.03, N_CELLS),
        rng.uniform(0, 0.3, N_CELLS),
    )
    return LabelRecord(
        label_id=f"{'0' * 20}/image-{index}",
        instance_id=f"image-{index}",
        template_id="person-v1",
        source="zero_shot",
        producer="0" * 20,
        x=place[:, 0] / 1.7 + rng.uniform(0, 200),
        y=place[:, 1] / 1.7 + rng.uniform(0, 200),
        vertex=rng.integers(N_VERTICES, size=N_CELLS),
        point_ids=np.arange(N_CELLS),
        score=four_digits(score),
        margin=four_digits(margin),
        cycle_px=four_digits(rng.integers(0, 6, N_CELLS) * 8.2),
        expected_error=four_digits(expected),
        extra={"orientation": 0.8, "view_lead": 0.01, "probably_mirrored": False},
    )
