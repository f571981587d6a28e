"""A small COCO file with horses and a cow whose counts can be checked by hand."""

from typing import Any

import numpy as np


def herd_images() -> dict[str, np.ndarray]:
    """Three unlike images, by file name."""
    rng = np.random.default_rng(0)
    return {f"{number}.png": rng.integers(0, 256, (160, 160, 3), dtype=np.uint8) for number in (1, 2, 3)}


def herd_file() -> dict[str, Any]:
    """Images 1 and 3 are train, 2 is val; 3 is empty and without a licence."""

    def animal(number: int, image: int, category: int, xywh: list[int], **more: object) -> dict[str, Any]:
        area = float(xywh[2] * xywh[3])
        box = {"bbox": xywh, "area": area, "iscrowd": 0, "category_id": category}
        return {"id": number, "image_id": image, **box, **more}

    def points(n: int) -> dict[str, Any]:
        return {"dp_x": [128.0] * n, "dp_y": [100.0] * n, "dp_vertex": [7] * n, "ref_model": "horse_4294"}

    def share(value: float) -> dict[str, Any]:
        return {"densecorr": {"visible_share": value}}

    return {
        "licenses": [{"id": 1, "name": "CC0"}],
        "images": [
            {"id": 1, "file_name": "1.png", "width": 160, "height": 160, "license": 1, "split": "train"},
            {"id": 2, "file_name": "2.png", "width": 160, "height": 160, "license": 1, "split": "val"},
            {"id": 3, "file_name": "3.png", "width": 160, "height": 160, "split": "train"},
        ],
        "categories": [{"id": 1, "name": "horse"}, {"id": 2, "name": "cow"}],
        "annotations": [
            animal(1, 1, 1, [0, 0, 20, 20], **points(2), **share(0.2)),
            animal(2, 1, 1, [40, 40, 40, 60], **points(1), **share(0.6)),
            animal(3, 2, 1, [50, 50, 100, 100], **share(1.0)),
            animal(4, 2, 2, [10, 20, 60, 40]),
        ],
    }
