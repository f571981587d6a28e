"""Plain rows are read by the chunk: the same answers and the same refusals as one by one."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from densecorr.datasets.coco import read_coco
from densecorr.datasets.coco_chunks import polygons_fit
from densecorr.datasets.coco_types import CocoSettings
from densecorr.datasets.segmentations import as_runs
from densecorr.errors import AnnotationError

H, W = 12, 16


def plain(number: int, **fields: Any) -> dict[str, Any]:
    row = {
        "id": number,
        "image_id": 1 + number % 2,
        "category_id": 1,
        "bbox": [1, 2, 8.5, 6],
        "area": 20.25,
        "segmentation": [[1, 2, 9.5, 2, 9.5, 8], [0.5, 0.5, 3, 0, 3, 3, 0, 3]],
    }
    return row | fields


def write(path: Path, annotations: list[dict[str, Any]]) -> Path:
    images = [{"id": i, "file_name": f"{i}.png", "width": W, "height": H} for i in (1, 2)]
    data = {"images": images, "categories": [{"id": 1, "name": "cow"}], "annotations": annotations}
    path.write_text(json.dumps(data))
    return path


def read(path: Path, **settings: Any) -> Any:
    return read_coco(path, path.parent, "toy", CocoSettings(check_images=False, **settings))


def test_rows_keep_their_order_whichever_way_they_are_read(tmp_path: Path) -> None:
    rows = [plain(i, **({"note": "kept"} if i % 3 == 0 else {})) for i in range(10)]
    instances = read(write(tmp_path / "a.json", rows)).instances
    assert instances["instance_id"].to_pylist() == [f"toy/{i}" for i in range(10)]
    assert ["note" in extra for extra in instances["extra"].to_pylist()] == [i % 3 == 0 for i in range(10)]
    assert len({json.dumps(value) for value in instances["silhouette"].to_pylist()}) == 1


def test_polygons_are_kept_and_filled_as_pycocotools_does(tmp_path: Path) -> None:
    (value,) = read(write(tmp_path / "a.json", [plain(1)])).instances["silhouette"].to_pylist()
    assert value == {"size": [H, W], "counts": None, "polygons": plain(1)["segmentation"]}
    expected = coco_mask.merge(coco_mask.frPyObjects(plain(1)["segmentation"], H, W))
    assert as_runs(value) == {"size": [H, W], "counts": expected["counts"].decode()}


BAD = {
    "odd": ({"segmentation": [[1, 1, 2, 2, 3, 3], [1, 1, 9, 1, 9, 9, 5]]}, "7 numbers in polygon 1"),
    "short": ({"segmentation": [[1, 1, 9, 1]]}, "2 in polygon 0"),
    "far": ({"segmentation": [[1, 1, 9, 1, 1e6, 9]]}, "near an image of 16 x 12"),
    "box": ({"bbox": [1, 1, -2, 3]}, "at least 0"),
    "category": ({"category_id": 7}, "category_id 7"),
    "image": ({"image_id": 9}, "image_id 9"),
    "repeated": ({"id": 3}, "3 again"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_row_among_plain_ones(name: str, tmp_path: Path) -> None:
    fields, message = BAD[name]
    path = write(tmp_path / "a.json", [plain(i, **(fields if i == 5 else {})) for i in range(8)])
    with pytest.raises(AnnotationError, match=message):
        read(path)
    tables = read(path, on_error="skip")
    assert tables.instances["instance_id"].to_pylist() == [f"toy/{i}" for i in range(8) if i != 5]
    assert json.loads(tables.quarantine["raw"][0].as_py()) == plain(5, **fields)


def test_filters_hold_for_plain_rows(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", [plain(i, area=float(i)) for i in range(6)])
    assert read(path, min_area=3.0).instances["area"].to_pylist() == [3, 4, 5]


def test_the_reach_of_polygons_is_each_images_own() -> None:
    polygon = [0.0, 0.0, 60.0, 0.0, 60.0, 1.0]
    polygons = pa.array([[polygon], [polygon], [[0.0] * 5], [polygon, [0.0] * 4]])
    size = np.array([[10, 40], [10, 20], [10, 40], [10, 40]], dtype=np.int32)
    assert polygons_fit(polygons, size).tolist() == [True, False, False, False]


def test_addresses_are_left_for_later_and_exif_is_honoured(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (W, H)).save(tmp_path / "turned.jpg", exif=exif)
    rows = [
        {"id": 1, "file_name": "s3://bucket/1.jpg", "width": W, "height": H},
        {"id": 2, "file_name": "turned.jpg", "width": H, "height": W},
    ]
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"images": rows}))
    images = read_coco(path, tmp_path, "toy").images.to_pylist()
    assert [(row["uri"], row["width"]) for row in images] == [("s3://bucket/1.jpg", W), ("turned.jpg", H)]
    rows[1] |= {"width": W, "height": H}
    path.write_text(json.dumps({"images": rows}))
    with pytest.raises(AnnotationError, match="EXIF tag turns it"):
        read_coco(path, tmp_path, "toy")
