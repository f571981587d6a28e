"""Made-up files of the shape and size of LVIS v1 train (no real data): text that a reader must get through.

At scale 1: 100,170 images, 1.27 million polygon annotations of 1,203 categories, about 1 GB. Everything follows
from the seed, line by line, so that a file of any size is written in little memory.

In the shape of COCO instead, images have a file name, and of every hundred annotations one is a crowd of runs, ten
have keypoints, and, if asked for, one more row is of a panoptic file: its segments and no category.

`python -m tests.benchmarks.lvis_files lvis.json --scale 0.1` writes one; `--shape coco` the other.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

N_IMAGES, N_ANNOTATIONS, N_CATEGORIES = 100_170, 1_270_141, 1_203
WIDTH, HEIGHT = 640, 480
MEAN_POINTS = 37  # of an annotation: about 800 bytes each, as in LVIS
N_OUTLINES = 4096  # drawn once; every annotation has one of them
KEYPOINTS = ("nose", "left_ear", "right_ear")
Shape = Literal["lvis", "coco"]


@dataclass(frozen=True)
class Written:
    """What a file holds: numbers of rows, the panoptic ones not among the annotations."""

    images: int
    annotations: int
    panoptic: int = 0


def write_lvis(
    path: Path, scale: float, seed: int = 0, shape: Shape = "lvis", *, panoptic: bool = False
) -> Written:
    """Write a file of `scale` times LVIS's size; annotations grouped by image, as LVIS orders them."""
    rng = np.random.default_rng(seed)
    n_images, n_annotations = round(N_IMAGES * scale), round(N_ANNOTATIONS * scale)
    image_ids = np.sort(rng.choice(6 * N_IMAGES, n_images, replace=False)) + 1
    counts = rng.multinomial(n_annotations, rng.dirichlet(np.full(n_images, 0.8)))
    with path.open("w", encoding="utf-8") as file:
        file.write('{"info": {"description": "made up"}, "licenses": [{"id": 1, "name": "made up"}],\n')
        file.write(
            '"categories": ' + json.dumps([_category(i + 1, shape) for i in range(N_CATEGORIES)]) + ",\n"
        )
        file.write('"images": [')
        for index, image_id in enumerate(image_ids.tolist()):
            file.write((", " if index else "") + json.dumps(_image(image_id, shape, rng)))
        file.write('],\n"annotations": [')
        outlines = [_outline(index, rng) for index in range(N_OUTLINES)]
        next_id, n_panoptic = 1, 0
        for image_id, count in zip(image_ids.tolist(), counts.tolist(), strict=True):
            for _ in range(count):
                rows = [_annotation(next_id, image_id, outlines, shape, rng)]
                if shape == "coco" and panoptic and next_id % 100 == 75:
                    rows.append(json.dumps(_panoptic(next_id, image_id)))
                    n_panoptic += 1
                file.write((", " if next_id > 1 else "") + ", ".join(rows))
                next_id += 1
        file.write("]}\n")
    return Written(n_images, n_annotations, n_panoptic)


def _category(category_id: int, shape: Shape) -> dict[str, Any]:
    name = f"thing_{category_id}"
    if shape == "coco":
        return {
            "supercategory": "thing",
            "id": category_id,
            "name": name,
            "keypoints": KEYPOINTS,
            "skeleton": [[1, 2], [1, 3]],
        }
    return {
        "id": category_id,
        "name": name,
        "synset": f"thing.n.{category_id:02d}",
        "frequency": "rcf"[category_id % 3],
        "synonyms": [name],
        "def": "something made up",
        "image_count": 10,
        "instance_count": 20,
    }


def _image(image_id: int, shape: Shape, rng: np.random.Generator) -> dict[str, Any]:
    name = f"{image_id:012d}.jpg"
    row = {
        "id": image_id,
        "width": WIDTH,
        "height": HEIGHT,
        "license": 1,
        "date_captured": "2013-11-14 11:18:45",
        "coco_url": f"http://images.example/train2017/{name}",
        "flickr_url": f"http://farm.example/{name}",
    }
    if shape == "coco":
        return row | {"file_name": name}
    return row | {
        "neg_category_ids": rng.integers(1, N_CATEGORIES + 1, 6).tolist(),
        "not_exhaustive_category_ids": rng.integers(1, N_CATEGORIES + 1, int(rng.integers(0, 3))).tolist(),
    }


def _outline(index: int, rng: np.random.Generator) -> tuple[str, dict[str, Any]]:
    """A star-shaped polygon, sometimes two, with coordinates of two decimals as LVIS writes them; its box and area."""
    polygons = []
    for _ in range(1 + (index % 10 == 0)):
        n_points = int(rng.geometric(1 / (MEAN_POINTS - 3))) + 3
        angle = np.linspace(0, 2 * np.pi, n_points, endpoint=False)
        size = rng.uniform(6, 100)
        radius = size * rng.uniform(0.7, 1, n_points)
        x = np.clip(rng.uniform(0, WIDTH) + radius * np.cos(angle), 0, WIDTH).round(2)
        y = np.clip(rng.uniform(0, HEIGHT) + radius * np.sin(angle), 0, HEIGHT).round(2)
        polygons.append(np.stack([x, y], axis=1).ravel())
    points = np.concatenate(polygons).reshape(-1, 2)
    low, high = points.min(axis=0), points.max(axis=0)
    box = [round(v, 2) for v in [*low.tolist(), *(high - low).tolist()]]
    area = round(float(np.prod(high - low)) * 0.7, 2)
    return json.dumps([polygon.tolist() for polygon in polygons]), {"bbox": box, "area": area}


def _annotation(
    annotation_id: int,
    image_id: int,
    outlines: list[tuple[str, dict[str, Any]]],
    shape: Shape,
    rng: np.random.Generator,
) -> str:
    """One of the outlines in an image, as text."""
    segmentation, box = outlines[rng.integers(len(outlines))]
    category_id = int(rng.integers(1, N_CATEGORIES + 1))
    row = {"id": annotation_id, "image_id": image_id, "category_id": category_id} | box
    if shape == "coco":
        row |= _coco_fields(annotation_id, rng)
    if "segmentation" in row:
        return json.dumps(row)
    return f'{json.dumps(row)[:-1]}, "segmentation": {segmentation}}}'


def _coco_fields(annotation_id: int, rng: np.random.Generator) -> dict[str, Any]:
    """What COCO has besides, in place of LVIS's: a crowd's runs are not compressed."""
    if annotation_id % 100 == 50:
        ends = np.sort(rng.choice(WIDTH * HEIGHT, 60, replace=False))
        runs = np.diff(ends, prepend=0, append=WIDTH * HEIGHT).tolist()
        return {"iscrowd": 1, "segmentation": {"counts": runs, "size": [HEIGHT, WIDTH]}}
    if annotation_id % 10 == 0:
        points = np.stack(
            [rng.integers(0, WIDTH, 3), rng.integers(0, HEIGHT, 3), rng.integers(0, 3, 3)], axis=1
        )
        seen = int(np.count_nonzero(points[:, 2]))
        return {"iscrowd": 0, "keypoints": points.ravel().tolist(), "num_keypoints": seen}
    return {"iscrowd": 0}


def _panoptic(annotation_id: int, image_id: int) -> dict[str, Any]:
    """A panoptic row: its segments' masks are in a PNG, and neither it nor they are objects of the file."""
    segment = {
        "id": 10**6 + annotation_id,
        "category_id": 1,
        "iscrowd": 0,
        "bbox": [1, 2, 30, 40],
        "area": 900,
    }
    return {"segments_info": [segment], "file_name": f"{image_id:012d}.png", "image_id": image_id}


def main() -> None:
    """Write a file from the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("path", type=Path)
    parser.add_argument("--scale", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--shape", choices=("lvis", "coco"), default="lvis")
    parser.add_argument(
        "--panoptic", action="store_true", help="with panoptic rows, which pycocotools cannot read"
    )
    given = parser.parse_args()
    written = write_lvis(given.path, given.scale, given.seed, given.shape, panoptic=given.panoptic)
    print(written, given.path.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
