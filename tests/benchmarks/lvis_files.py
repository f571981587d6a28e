"""Made-up files of the shape and size of LVIS v1 train (no real data): text that a reader must get through.

At scale 1: 100,170 images, 1.27 million polygon annotations of 1,203 categories, about 1.1 GB. Everything follows
from the seed, line by line, so that a file of any size is written in little memory.

`python -m tests.benchmarks.lvis_files lvis.json --scale 0.1` writes one.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

N_IMAGES, N_ANNOTATIONS, N_CATEGORIES = 100_170, 1_270_141, 1_203
WIDTH, HEIGHT = 640, 480
MEAN_POINTS = 37  # of an annotation: about 800 bytes each, as in LVIS


def write_lvis(path: Path, scale: float, seed: int = 0) -> tuple[int, int]:
    """Write a file of `scale` times LVIS's size; annotations grouped by image, as LVIS orders them.

    Returns:
        Its images and annotations.
    """
    rng = np.random.default_rng(seed)
    n_images, n_annotations = round(N_IMAGES * scale), round(N_ANNOTATIONS * scale)
    image_ids = np.sort(rng.choice(6 * N_IMAGES, n_images, replace=False)) + 1
    counts = rng.multinomial(n_annotations, rng.dirichlet(np.full(n_images, 0.8)))
    with path.open("w", encoding="utf-8") as file:
        file.write('{"info": {"description": "made up"}, "licenses": [{"id": 1, "name": "made up"}],\n')
        file.write('"categories": ' + json.dumps([_category(i + 1) for i in range(N_CATEGORIES)]) + ",\n")
        file.write('"images": [')
        for index, image_id in enumerate(image_ids.tolist()):
            file.write((", " if index else "") + json.dumps(_image(image_id, rng)))
        file.write('],\n"annotations": [')
        next_id = 1
        for image_id, count in zip(image_ids.tolist(), counts.tolist(), strict=True):
            for _ in range(count):
                file.write((", " if next_id > 1 else "") + json.dumps(_annotation(next_id, image_id, rng)))
                next_id += 1
        file.write("]}\n")
    return n_images, n_annotations


def _category(category_id: int) -> dict[str, Any]:
    return {
        "id": category_id,
        "name": f"thing_{category_id}",
        "synset": f"thing.n.{category_id:02d}",
        "frequency": "rcf"[category_id % 3],
        "synonyms": [f"thing_{category_id}"],
        "def": "something made up",
        "image_count": 10,
        "instance_count": 20,
    }


def _image(image_id: int, rng: np.random.Generator) -> dict[str, Any]:
    name = f"{image_id:012d}.jpg"
    return {
        "id": image_id,
        "width": WIDTH,
        "height": HEIGHT,
        "license": 1,
        "date_captured": "2013-11-14 11:18:45",
        "coco_url": f"http://images.example/train2017/{name}",
        "flickr_url": f"http://farm.example/{name}",
        "neg_category_ids": rng.integers(1, N_CATEGORIES + 1, 6).tolist(),
        "not_exhaustive_category_ids": rng.integers(1, N_CATEGORIES + 1, int(rng.integers(0, 3))).tolist(),
    }


def _annotation(annotation_id: int, image_id: int, rng: np.random.Generator) -> dict[str, Any]:
    """A star-shaped polygon, sometimes two, with coordinates of two decimals as LVIS writes them."""
    polygons = []
    for _ in range(1 + (annotation_id % 10 == 0)):
        n_points = int(rng.geometric(1 / (MEAN_POINTS - 3))) + 3
        angle = np.linspace(0, 2 * np.pi, n_points, endpoint=False)
        size = rng.uniform(6, 100)
        radius = size * rng.uniform(0.7, 1, n_points)
        x = np.clip(rng.uniform(0, WIDTH) + radius * np.cos(angle), 0, WIDTH).round(2)
        y = np.clip(rng.uniform(0, HEIGHT) + radius * np.sin(angle), 0, HEIGHT).round(2)
        polygons.append(np.stack([x, y], axis=1).ravel())
    points = np.concatenate(polygons).reshape(-1, 2)
    low, high = points.min(axis=0), points.max(axis=0)
    return {
        "area": round(float(np.prod(high - low)) * 0.7, 2),
        "id": annotation_id,
        "segmentation": [polygon.tolist() for polygon in polygons],
        "image_id": image_id,
        "bbox": [round(v, 2) for v in [*low.tolist(), *(high - low).tolist()]],
        "category_id": int(rng.integers(1, N_CATEGORIES + 1)),
    }


def main() -> None:
    """Write a file from the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("path", type=Path)
    parser.add_argument("--scale", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    print(*write_lvis(given.path, given.scale, given.seed), given.path.stat().st_size)


if __name__ == "__main__":
    main()
