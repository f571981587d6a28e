"""Small COCO-style data sets in their real layouts, from a fixed seed: `python make.py FOLDER` writes them.

instances.json        polygons, a crowd of uncompressed runs, compressed runs, keypoints, licences, splits
lvis.json             no file_name but coco_url; categories and images with LVIS's lists
densepose_iuv.json    dp_I, dp_U, dp_V and the 14 dp_masks
densepose_cse.json    dp_vertex on smpl_27554 and cow_5002
images/, images/train2017/
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 64, 48
IMAGE_IDS = (37, 785, 1000)
LICENCES = [
    {"id": 1, "name": "CC BY 4.0", "url": "https://creativecommons.org/licenses/by/4.0/"},
    {"id": 2, "name": "CC BY-NC 4.0", "url": "https://creativecommons.org/licenses/by-nc/4.0/"},
]
PERSON = {"id": 1, "name": "person", "supercategory": "person", "keypoints": ["nose"], "skeleton": []}
COW = {"id": 21, "name": "cow", "supercategory": "animal"}


def make_image(seed: int) -> np.ndarray:
    """Noise with an orange disc of radius 12 around (30, 24): something to cut out."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 70, (HEIGHT, WIDTH, 3))
    ys, xs = np.mgrid[:HEIGHT, :WIDTH]
    disc = (xs - 30) ** 2 + (ys - 24) ** 2 <= 144
    image[disc] = np.array([240, 130, 20]) + rng.integers(-15, 15, (int(disc.sum()), 3))
    return image.astype(np.uint8)


def image_row(number: int, **fields: Any) -> dict[str, Any]:
    """A row of "images"."""
    return {"id": number, "file_name": f"{number:012d}.png", "width": WIDTH, "height": HEIGHT, **fields}


def annotation_row(number: int, image_id: int, **fields: Any) -> dict[str, Any]:
    """A row of "annotations": a person's box of 20 x 16 at (10, 8)."""
    row = {"id": number, "image_id": image_id, "category_id": 1, "bbox": [10, 8, 20.0, 16.0]}
    return {**row, "area": 320, "iscrowd": 0, **fields}


def instances() -> dict[str, Any]:
    """All forms of a segmentation, and what else COCO's own files hold."""
    runs = np.zeros((HEIGHT, WIDTH), dtype=bool)
    runs[10:20, 12:40] = True
    flat = np.flatnonzero(np.diff(np.concatenate([[False], runs.T.ravel(), [False]]).astype(int)))
    counts = np.diff(np.concatenate([[0], flat, [runs.size]])).tolist()
    square = [10.5, 8, 30, 8, 30, 24, 10.5, 24]
    return {
        "info": {"description": "toy", "year": 2024, "version": 1.0},
        "licenses": LICENCES,
        "images": [
            image_row(37, license=1, split="train", flickr_url="http://x/37.jpg", date_captured="2013-11-14"),
            image_row(785, license=2, split="val"),
            image_row(1000, license=1),
        ],
        "annotations": [
            annotation_row(1, 37, segmentation=[square, [40, 30, 50, 30, 45, 40.25]]),
            annotation_row(2, 37, segmentation={"size": [HEIGHT, WIDTH], "counts": counts}, iscrowd=True),
            annotation_row(
                3,
                785,
                category_id=21,
                segmentation={"size": [HEIGHT, WIDTH], "counts": "PP3"},
                attributes={"note": "empty mask", "levels": [1, 2.5, None]},
            ),
            annotation_row(4, 785, keypoints=[12.5, 9, 2], num_keypoints=1, segmentation=[], ignore=1),
            annotation_row(5, 785, score=0.75, category_id=21, ignore=False),
        ],
        "categories": [PERSON, COW],
        "videos": [{"id": 1, "fps": 29.97}],
    }


def lvis() -> dict[str, Any]:
    """LVIS's form."""
    images = []
    for number in IMAGE_IDS:
        row = image_row(
            number,
            license=1,
            coco_url=f"http://images.cocodataset.org/train2017/{number:012d}.png",
            flickr_url=f"http://farm8.staticflickr.com/7015/{number}_z.jpg",
            neg_category_ids=[7, 21],
            not_exhaustive_category_ids=[1],
        )
        del row["file_name"]
        images.append(row)
    rows = [annotation_row(n, image_id, category_id=21) for n, image_id in enumerate((37, 37, 1000))]
    for row in rows:
        del row["iscrowd"]
        row["segmentation"] = [[10, 8, 30, 8, 30, 24]]
    categories = [
        {"id": 1, "name": "person", "synset": "person.n.01", "frequency": "f", "image_count": 2},
        {"id": 21, "name": "cow", "synset": "cattle.n.01", "frequency": "c", "synonyms": ["cow"]},
    ]
    return {"info": {}, "images": images, "annotations": rows, "categories": categories, "licenses": LICENCES}


def densepose_iuv() -> dict[str, Any]:
    """Chart labels; dp_I as numbers with a fraction point, as the released files have them."""
    whole = {"size": [256, 256], "counts": "0PPP2"}
    points = {
        "dp_x": [0.0, 128.0, 256.0],
        "dp_y": [64.0, 128.0, 192.5],
        "dp_I": [1.0, 24.0, 2.0],
        "dp_U": [0.25, 0.5, 1.0],
        "dp_V": [0.0, 0.125, 0.75],
        "dp_masks": [whole, [], *[[]] * 12],
    }
    return {
        "images": [image_row(37)],
        "annotations": [annotation_row(1, 37, **points), annotation_row(2, 37)],
        "categories": [PERSON],
    }


def densepose_cse() -> dict[str, Any]:
    """Vertices of two reference meshes."""
    person = {"dp_x": [12.5, 200], "dp_y": [3, 255.9], "dp_vertex": [0, 27553], "ref_model": "smpl_27554"}
    cow = {"dp_x": [128.0], "dp_y": [128.0], "dp_vertex": [5001], "ref_model": "cow_5002"}
    return {
        "images": [image_row(37), image_row(785)],
        "annotations": [annotation_row(1, 37, **person), annotation_row(2, 785, category_id=21, **cow)],
        "categories": [PERSON, COW],
    }


def write(folder: Path) -> None:
    """Write everything."""
    for part in (folder / "images", folder / "images" / "train2017"):
        part.mkdir(parents=True, exist_ok=True)
        for number in IMAGE_IDS:
            Image.fromarray(make_image(number)).save(part / f"{number:012d}.png")
    for make in (instances, lvis, densepose_iuv, densepose_cse):
        (folder / f"{make.__name__}.json").write_text(json.dumps(make()), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
