"""DensePose part masks stand in for a segmentation that is not there, and an export leaves them where they were."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from densecorr.datasets import CocoSettings
from densecorr.datasets.arrow import DatasetTables
from densecorr.datasets.coco import read_coco
from densecorr.datasets.export import write_coco
from densecorr.errors import AnnotationError
from densecorr.images import decode_silhouette, encode_silhouette


def coco(**first: object) -> dict[str, Any]:
    """An image of 16 x 12 with two people, the first with other fields."""
    box = {"image_id": 1, "category_id": 1, "bbox": [2, 2, 8, 6], "area": 48.0, "iscrowd": 0}
    return {
        "images": [{"id": 1, "file_name": "1.png", "width": 16, "height": 12}],
        "categories": [{"id": 1, "name": "person"}],
        "annotations": [{"id": 1, **box, **first}, {"id": 2, **box}],
    }


def read(folder: Path, data: dict[str, Any]) -> DatasetTables:
    (folder / "coco.json").write_text(json.dumps(data))
    return read_coco(folder / "coco.json", folder, "people", CocoSettings(check_images=False))


@pytest.mark.parametrize("segmentation", [{}, {"segmentation": []}, {"segmentation": None}])
def test_part_masks_become_the_silhouette(tmp_path: Path, segmentation: dict[str, object]) -> None:
    left = np.zeros((256, 256), dtype=bool)
    left[:, :128] = True
    masks = {"dp_masks": [encode_silhouette(left), *[[]] * 13]}
    data = coco(**masks, **segmentation)
    tables = read(tmp_path, data)
    row = tables.instances.to_pylist()[0]
    assert (row["silhouette_source"], row["area"]) == ("dp_masks", 48.0)
    expected = np.zeros((12, 16), dtype=bool)
    expected[2:8, 2:6] = True  # the left half of the box 2, 2, 8, 6
    assert (decode_silhouette(row["silhouette"], 12, 16) == expected).all()
    assert tables.instances["silhouette_source"].to_pylist()[1] is None
    write_coco(tmp_path / "back.json", tables)
    assert json.loads((tmp_path / "back.json").read_text()) == data


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"dp_masks": [{"size": [8, 8], "counts": [64]}]}, None),
        ({"dp_masks": [[]] * 14}, None),
        ({"dp_masks": [{"size": [256, 256], "counts": [65536]}]}, None),
        ({"dp_masks": [{"size": [256, 256], "counts": [0, 65536]}], "bbox": [2, 2, 0, 6]}, None),
        ({"dp_masks": [{"size": [256, 256], "counts": [0, 7]}]}, "65536"),
    ],
)
def test_part_masks_without_a_silhouette(
    tmp_path: Path, fields: dict[str, object], message: str | None
) -> None:
    data = coco(**fields)
    if message is not None:
        with pytest.raises(AnnotationError, match=message):
            read(tmp_path, data)
    else:
        tables = read(tmp_path, data)
        assert tables.instances["silhouette"].null_count == 2
