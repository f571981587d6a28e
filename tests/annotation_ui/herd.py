"""A small data set of cows: images with two instances each, 12 points an instance, written as tables."""

import json
from pathlib import Path

import numpy as np

from densecorr.images import encode_silhouette, write_png
from densecorr.records import ImageRecord, InstanceRecord, LabelRecord
from storage.tables import records_to_table, write_tables

WIDTH, HEIGHT, N_POINTS = 40, 30, 12
COLORS = {"cow-v1": np.random.default_rng(7).integers(0, 256, (50, 3)).astype(np.uint8)}
BOXES = [(4.0, 5.0, 12.0, 20.0), (20.0, 2.0, 15.0, 25.0)]


def silhouette(k: int) -> np.ndarray:
    """Every second row of the box, so that a shifted crop is seen."""
    x, y, w, h = (int(side) for side in BOXES[k])
    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    mask[y : y + h : 2, x : x + w] = True
    return mask


def label(image: int, k: int, source: str) -> LabelRecord:
    rng = np.random.default_rng(image * 10 + k)
    x, y, w, h = BOXES[k]
    vertex = rng.integers(0, 50, N_POINTS)
    vertex[0] = -1
    score = rng.random(N_POINTS).astype(np.float32)
    score[1] = np.nan
    return LabelRecord(
        label_id=f"s/{image}/{k}/{source}",
        instance_id=f"s/{image}/{k}",
        template_id="cow-v1",
        source=source,
        producer="test",
        x=rng.uniform(x, x + w - 1, N_POINTS).astype(np.float32),
        y=rng.uniform(y, y + h - 1, N_POINTS).astype(np.float32),
        vertex=vertex,
        point_ids=rng.permutation(100)[:N_POINTS],
        score=None if source == "human" else score,
        expected_error=None if source == "human" else 0.1 * (k + 1) * np.ones(N_POINTS, dtype=np.float32),
        extra={"probably_mirrored": k == 1} if source == "zero_shot" else {},
    )


def write_dataset(folder: Path, images: list[int]) -> Path:
    """Images i with two instances each, 12 human points an instance."""
    folder.mkdir(parents=True, exist_ok=True)
    records = [ImageRecord(f"s/{i}", f"{i}.png", WIDTH, HEIGHT, split="train") for i in images]
    instances = [
        InstanceRecord(
            f"s/{i}/{k}", f"s/{i}", "cow", BOXES[k], encode_silhouette(silhouette(k)), "truth", "cow-v1"
        )
        for i in images
        for k in range(2)
    ]
    labels = [label(i, k, "human") for i in images for k in range(2)]
    for i in images:
        write_png(folder / f"{i}.png", np.full((HEIGHT, WIDTH, 3), 10 * i, dtype=np.uint8))
    write_tables(
        folder,
        {
            "images": records_to_table("images", records),
            "instances": records_to_table("instances", instances),
            "labels": records_to_table("labels", labels),
        },
    )
    (folder / "dataset.json").write_text(json.dumps({"image_root": "."}))
    return folder


def write_labels(folder: Path, images: list[int], source: str = "zero_shot") -> Path:
    labels = [label(i, k, source) for i in images for k in range(2)]
    write_tables(folder, {"labels": records_to_table("labels", labels)})
    return folder
