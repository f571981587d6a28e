"""Pairs of images with keypoints in both, for scoring image-to-image correspondence: PF-PASCAL and SPair-71k.

Keypoints are taken as pixels with centres at integers, as the files give them; should a file count from 1, both images
of a pair are off by the same pixel.
"""

import csv
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from ..errors import AnnotationError, DatasetNotFoundError

VOC_CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *(
        "diningtable",
        "dog",
        "horse",
        "motorbike",
        "person",
        "pottedplant",
        "sheep",
        "sofa",
        "train",
        "tvmonitor",
    ),
)  # PF-PASCAL numbers them from 1
_IMAGES, _POINTS = ("source_image", "target_image", "class"), ("XA", "YA", "XB", "YB")
_SPAIR = ("src_imname", "trg_imname", "src_kps", "trg_kps", "category", "src_bndbox", "trg_bndbox")
Xywh = tuple[float, float, float, float]


@dataclass(frozen=True)
class ImagePair:
    """Images A and B with P common keypoints; `image_*` are paths as the file names them.

    `xy_*` are full-image pixels, `xywh_*` COCO boxes of the object, None where the file has none.
    """

    pair_id: str
    category: str
    image_a: str
    image_b: str
    xy_a: Float[np.ndarray, "P 2"]
    xy_b: Float[np.ndarray, "P 2"]
    xywh_a: Xywh | None = None
    xywh_b: Xywh | None = None


def read_pairs(path: Path) -> list[ImagePair]:
    """The pairs of a PF-PASCAL csv, or of SPair-71k's JSON files: one of them, or a folder such as PairAnnotation/test.

    Raises:
        DatasetNotFoundError: no such file or folder, or no pair in it.
        AnnotationError: a file of another form; the message names the row or the file.
    """
    if path.is_dir():
        pairs = [_read_spair_file(file) for file in sorted(path.glob("*.json"))]
    elif not path.is_file():
        raise DatasetNotFoundError("a file or folder of pairs", f"nothing at {path}", "Check the path.")
    elif path.suffix.lower() == ".json":
        pairs = [_read_spair_file(path)]
    else:
        pairs = read_pfpascal(path)
    if not pairs:
        raise DatasetNotFoundError(
            f"pairs in {path}", "none", "Name PF-PASCAL's test_pairs.csv, or SPair-71k's PairAnnotation/test."
        )
    return pairs


def read_pfpascal(path: Path) -> list[ImagePair]:
    """PF-PASCAL's test pairs as published with NCNet (Rocco et al. 2018): a csv, keypoints as lists joined by ';'.

    Raises:
        AnnotationError: columns are missing, or a row does not fit; rows count from 1, the header is row 1.
    """
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        columns = list(reader.fieldnames or ())
        if [name for name in _IMAGES if name not in columns]:
            raise AnnotationError(
                f"the columns {', '.join((*_IMAGES, *_POINTS))}",
                f"{', '.join(columns) or 'none'} in {path}",
                "Name a csv of image pairs as published with NCNet.",
            )
        if [name for name in _POINTS if name not in columns]:
            raise AnnotationError(
                f"keypoints, in the columns {', '.join(_POINTS)}",
                f"no keypoints: only {', '.join(columns)} in {path}",
                "A list of pairs for training (such as WeakAlign's) cannot be scored: name NCNet's test_pairs.csv.",
            )
        pairs = []
        for number, row in enumerate(reader, start=2):
            try:
                pairs.append(_pfpascal_pair(row, f"row {number}"))
            except AnnotationError as error:
                expected, received, remedy = error.args
                raise AnnotationError(expected, f"{received} (row {number} of {path})", remedy) from error
    return pairs


def read_spair(data: dict[str, Any], pair_id: str) -> ImagePair:
    """One pair of SPair-71k (Min et al. 2019), as its JSON has it.

    Its boxes are x1, y1, x2, y2; their corners are taken as edges, so that the longer side is
    max(x2 - x1, y2 - y1), the reference length of the benchmark's own PCK. Images lie in a folder by category.

    Raises:
        AnnotationError: a field is missing or does not fit.
    """
    missing = [name for name in _SPAIR if name not in data]
    if missing:
        raise AnnotationError(
            f"the fields {', '.join(_SPAIR)}", f"no {', '.join(missing)}", "Name a pair's file."
        )
    category = str(data["category"])
    xy_a, xy_b = _points(data["src_kps"], "src_kps"), _points(data["trg_kps"], "trg_kps")
    _check_counts({"src_kps": len(xy_a), "trg_kps": len(xy_b)})
    return ImagePair(
        pair_id,
        category,
        f"{category}/{data['src_imname']}",
        f"{category}/{data['trg_imname']}",
        xy_a,
        xy_b,
        _corner_box(data["src_bndbox"], "src_bndbox"),
        _corner_box(data["trg_bndbox"], "trg_bndbox"),
    )


def find_pair_image(folder: Path, name: str) -> Path:
    """The file of a pair's image: below `folder` as named, else with fewer of the leading folders.

    Raises:
        DatasetNotFoundError: it is not there.
    """
    parts = Path(name).parts
    for start in range(len(parts)):
        path = folder.joinpath(*parts[start:])
        if path.is_file():
            return path
    raise DatasetNotFoundError(
        f"the image {name} in {folder}", "no such file", "Name the folder that the images were unpacked to."
    )


def _read_spair_file(path: Path) -> ImagePair:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(data, dict):
            raise AnnotationError("one pair", type(data).__name__, "Name a pair's file of SPair-71k.")
        return read_spair(data, path.stem)
    except ValueError as error:  # JSON or text
        raise AnnotationError("a JSON file", f"{path} ({error})", "Get the file again.") from error
    except AnnotationError as error:
        expected, received, remedy = error.args
        raise AnnotationError(expected, f"{received} ({path})", remedy) from error


def _pfpascal_pair(row: dict[str | None, Any], pair_id: str) -> ImagePair:
    if None in row or any(value is None for value in row.values()):
        raise AnnotationError("a value for each column", "another number of values", "Complete the row.")
    text = str(row["class"]).strip()
    if not text.isdecimal() or not 1 <= int(text) <= len(VOC_CLASSES):
        raise AnnotationError(f"a class from 1 to {len(VOC_CLASSES)}", repr(text), "Correct the row.")
    values = {name: _numbers(str(row[name]).split(";"), name) for name in _POINTS}
    _check_counts({name: len(numbers) for name, numbers in values.items()})
    return ImagePair(
        pair_id,
        VOC_CLASSES[int(text) - 1],
        str(row["source_image"]),
        str(row["target_image"]),
        np.stack([values["XA"], values["YA"]], axis=1),
        np.stack([values["XB"], values["YB"]], axis=1),
    )


def _check_counts(counts: dict[str, int]) -> None:
    if len(set(counts.values())) > 1 or not all(counts.values()):
        said = ", ".join(f"{n} {name}" for name, n in counts.items())
        raise AnnotationError("as many keypoints in both images, at least one", said, "Correct the pair.")


def _points(value: Any, name: str) -> Float[np.ndarray, "P 2"]:
    if not isinstance(value, list) or not all(isinstance(point, list) and len(point) == 2 for point in value):
        raise AnnotationError(f"{name} as a list of [x, y]", repr(value)[:80], "Correct the pair.")
    return _numbers([number for point in value for number in point], name).reshape(-1, 2)


def _corner_box(value: Any, name: str) -> Xywh:
    if not isinstance(value, list) or len(value) != 4:
        raise AnnotationError(f"{name} as [x1, y1, x2, y2]", repr(value)[:80], "Correct the pair.")
    x1, y1, x2, y2 = _numbers(value, name).tolist()
    if x2 <= x1 or y2 <= y1:
        raise AnnotationError(f"{name} with x1 < x2 and y1 < y2", repr(value), "Correct the pair.")
    return (x1, y1, x2 - x1, y2 - y1)


def _numbers(values: list[Any], name: str) -> Float[np.ndarray, " N"]:
    try:
        numbers = [float(value) for value in values]
    except (TypeError, ValueError) as error:
        raise AnnotationError(f"numbers in {name}", str(error), "Correct the row.") from error
    if not all(map(math.isfinite, numbers)):
        raise AnnotationError(f"finite numbers in {name}", "NaN or infinity", "Correct the row.")
    return np.array(numbers, dtype=np.float64)
