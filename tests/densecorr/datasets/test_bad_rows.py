"""Bad input: each case raises, naming file, row, reason and remedy, or goes to the quarantine alone."""

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from PIL import Image

from densecorr.datasets.coco import read_coco
from densecorr.datasets.coco_types import CocoSettings
from densecorr.errors import AnnotationError, DatasetNotFoundError

Change = Callable[[dict[str, Any]], Any]
NAN = float("nan")


def annotation(index: int, **fields: Any) -> Change:
    return lambda data: data["annotations"][index].update(fields)


def image(index: int, **fields: Any) -> Change:
    return lambda data: data["images"][index].update(fields)


def without(part: str, index: int, name: str) -> Change:
    return lambda data: data[part][index].pop(name)


def points(**fields: Any) -> Change:
    good = {"dp_x": [1.0, 2.0], "dp_y": [1.0, 2.0], "dp_vertex": [0, 1], "ref_model": "cow_5002"}
    return annotation(0, **{key: value for key, value in {**good, **fields}.items() if value is not None})


BAD_ANNOTATIONS = {
    "odd polygon": (annotation(0, segmentation=[[1, 1, 9, 1, 9, 9, 5]]), "7 numbers in polygon 0"),
    "two points": (annotation(0, segmentation=[[1, 1, 9, 9]]), "2 in polygon 0"),
    "far polygon": (annotation(0, segmentation=[[1, 1, 9e6, 1, 9, 9]]), "x 1..9e"),
    "flat polygon": (annotation(0, segmentation=[1, 1, 9, 1, 9, 9]), "segmentation"),
    "rle of another size": (annotation(0, segmentation={"size": [64, 48], "counts": "PP3"}), r"\[64, 48\]"),
    "short compressed rle": (annotation(0, segmentation={"size": [48, 64], "counts": "PP2"}), "sum to 3072"),
    "no rle": (annotation(0, segmentation={"size": [48, 64], "counts": "~~"}), "'~~'"),
    "unfinished rle": (annotation(0, segmentation={"size": [48, 64], "counts": "PPP"}), "'PPP'"),
    "negative runs": (annotation(0, segmentation={"size": [48, 64], "counts": [3073, -1]}), "at least 0"),
    "long runs": (annotation(0, segmentation={"size": [48, 64], "counts": [3072, 1]}), "3073"),
    "nan box": (annotation(0, bbox=[1, 2, NAN, 4]), "NaN or infinity"),
    "infinite box": (annotation(0, bbox=[1, 2, float("inf"), 4]), "NaN or infinity"),
    "null in box": (annotation(0, bbox=[1, 2, None, 4]), "bbox"),
    "negative box": (annotation(0, bbox=[10, 10, -3, 4]), "width and height at least 0"),
    "three numbers": (annotation(0, bbox=[10, 10, 3]), "four finite numbers"),
    "nothing to go by": (lambda data: data["annotations"][4].pop("bbox"), "neither"),
    "repeated id": (annotation(0, id=2), "2 again"),
    "fractional id": (annotation(0, id=1.5), "1.5"),
    "no id": (without("annotations", 0, "id"), "id"),
    "unknown image": (annotation(0, image_id=99), "image_id 99"),
    "unknown category": (annotation(0, category_id=99), "category_id 99"),
    "not an object": (lambda data: data["annotations"].__setitem__(0, [1]), "JSON object"),
    "unequal points": (points(dp_y=[1.0]), "dp_y of 1"),
    "half the points": (points(dp_y=None), "dp_x and dp_y"),
    "points without labels": (points(dp_vertex=None), "dp_vertex"),
    "half a chart": (points(dp_vertex=None, dp_I=[1, 2], dp_U=[0.1, 0.2]), "dp_I, dp_U and dp_V"),
    "negative vertex": (points(dp_vertex=[0, -1]), "-1"),
    "vertex past the end": (points(dp_vertex=[0, 5002]), "5002"),
    "part 25": (points(dp_I=[1, 25], dp_U=[0, 0], dp_V=[0, 0]), "25"),
    "half a part": (points(dp_I=[1, 1.5], dp_U=[0, 0], dp_V=[0, 0]), "1.5"),
    "points of another scale": (points(dp_x=[1.0, 900.0]), r"1\.\.900"),
    "charts of an image file": (points(dp_I=[1, 2], dp_U=[0, 255], dp_V=[0, 0]), "dp_U in"),
    "huge runs": (annotation(0, segmentation={"size": [48, 64], "counts": [2**70]}), str(2**70)),
    "huge box": (annotation(0, bbox=[1, 2, 1e300, 4]), "four finite numbers"),
    "number out of range": (annotation(0, bbox=[1, 2, 10**400, 4]), "bbox"),
    "fifteen masks": (points(dp_masks=[[]] * 15), "15"),
    "damaged mask": (points(dp_masks=[{"size": [256, 256], "counts": "PPP1"}]), "65536"),
    "polygon as mask": (points(dp_masks=[[[1, 1, 2, 2]]]), "filled list"),
}
BAD_IMAGES = {
    "missing file": (image(0, file_name="gone.png"), "gone.png"),
    "damaged file": (image(0, file_name="damaged.png"), "damaged.png"),
    "another size": (image(0, width=65), "64 x 48"),
    "turned": (image(0, width=48, height=64), "exchanges width and height"),
    "no height": (image(0, height=-1), "-1"),
    "no name": (without("images", 0, "file_name"), "file_name"),
    "fractional size": (image(0, width=64.5), "64.5"),
    "wrong type": (image(0, width="64"), "width"),
}


def read(path: Path, root: Path, on_error: Any):
    return read_coco(path, root, "toy", CocoSettings(on_error=on_error))


@pytest.fixture
def prepared(toy: ModuleType, coco_folder: Path, tmp_path: Path) -> Callable[[Change], tuple[Path, Path]]:
    def prepare(change: Change) -> tuple[Path, Path]:
        (coco_folder / "images" / "damaged.png").write_bytes(b"\x89PNG\r\n\x1a\nnonsense")
        data = toy.instances()
        data["images"][0].pop("flickr_url")
        change(data)
        path = tmp_path / "bad.json"
        path.write_text(json.dumps(data))
        return path, coco_folder / "images"

    return prepare


@pytest.mark.parametrize("name", BAD_ANNOTATIONS)
def test_a_bad_annotation(name: str, prepared: Callable[[Change], tuple[Path, Path]]) -> None:
    change, reason = BAD_ANNOTATIONS[name]
    path, root = prepared(change)
    with pytest.raises(AnnotationError, match=reason) as caught:
        read(path, root, "raise")
    assert str(path) in str(caught.value)
    assert "on_error" in caught.value.args[2]

    tables = read(path, root, "skip")
    assert (len(tables.images), len(tables.instances), len(tables.quarantine)) == (3, 4, 1)
    (row,) = tables.quarantine.to_pylist()
    assert row["kind"] == "annotation"
    assert row["raw"] in path.read_text()
    assert row["id"] in (None, "1", "2", "5")


@pytest.mark.parametrize("name", BAD_IMAGES)
def test_a_bad_image_takes_its_annotations_along(
    name: str, prepared: Callable[[Change], tuple[Path, Path]]
) -> None:
    change, reason = BAD_IMAGES[name]
    path, root = prepared(change)
    with pytest.raises(AnnotationError, match=reason):
        read(path, root, "raise")
    tables = read(path, root, "skip")
    assert tables.images["image_id"].to_pylist() == ["toy/785", "toy/1000"]
    assert tables.instances["instance_id"].to_pylist() == ["toy/3", "toy/4", "toy/5"]
    quarantine = tables.quarantine.to_pylist()
    assert [(row["kind"], row["image_id"]) for row in quarantine][1:] == [("annotation", "37")] * 2
    assert all("37" in row["reason"] for row in quarantine[1:])


def test_repeated_images_and_categories(prepared: Callable[[Change], tuple[Path, Path]]) -> None:
    for part, kind in (("images", "image"), ("categories", "category")):
        path, root = prepared(lambda data, part=part: data[part].append(data[part][0]))
        with pytest.raises(AnnotationError, match="again"):
            read(path, root, "raise")
        tables = read(path, root, "skip")
        assert (len(tables.images), len(tables.instances)) == (3, 5)
        assert [row["kind"] for row in tables.quarantine.to_pylist()] == [kind]
        assert len(tables.info["categories"]) == 2


def test_the_message_helps(prepared: Callable[[Change], tuple[Path, Path]]) -> None:
    path, root = prepared(annotation(0, bbox=[10, 10, -3, 4]))
    with pytest.raises(AnnotationError) as caught:
        read(path, root, "raise")
    assert str(caught.value) == (
        "Expected a box of width and height at least 0; received [10.0, 10.0, -3.0, 4.0] (annotation 1 of "
        f"{path}). COCO boxes are x, y, width, height; a box of two corners needs converting. Or set on_error to "
        "'skip': bad rows then go to the quarantine table."
    )


def test_nan_spoils_its_row_alone_and_the_raw_row_says_so(
    prepared: Callable[[Change], tuple[Path, Path]],
) -> None:
    path, root = prepared(annotation(3, keypoints=[NAN, float("-inf"), 2], note='NaN "x" Infinity'))
    tables = read(path, root, "skip")
    assert len(tables.instances) == 4
    (raw,) = tables.quarantine["raw"].to_pylist()
    assert '"keypoints": [NaN, -Infinity, 2]' in raw
    assert json.loads(raw)["note"] == 'NaN "x" Infinity'


@pytest.mark.parametrize("on_error", ["raise", "skip"])
def test_files_that_are_no_coco_files(on_error: str, coco_folder: Path, tmp_path: Path) -> None:
    whole = (coco_folder / "instances.json").read_bytes()
    cases = {
        "ends too early": whole[: len(whole) // 2],
        "an empty file": b"",
        "malformed": whole.replace(b'"info":', b'"info";', 1),
        "result file": b'[{"image_id": 1, "score": 0.5}]',
        "with annotations": b'{"annotations": []}',
        'list "annotations"': b'{"images": [], "annotations": {}}',
        "NaN or infinity": b'{"images": [], "info": {"x": NaN}}',
    }
    path = tmp_path / "file.json"
    for message, content in cases.items():
        path.write_bytes(content)
        with pytest.raises(AnnotationError, match=message) as caught:
            read(path, coco_folder / "images", on_error)
        assert str(path) in str(caught.value)
    with pytest.raises(DatasetNotFoundError, match=r"absent\.json"):
        read(tmp_path / "absent.json", coco_folder / "images", on_error)


def test_every_truncation_is_noticed(coco_folder: Path, tmp_path: Path) -> None:
    whole = (coco_folder / "densepose_cse.json").read_bytes()
    path = tmp_path / "file.json"
    for length in range(1, len(whole), 29):
        path.write_bytes(whole[:length])
        with pytest.raises(AnnotationError, match="ends too early"):
            read(path, coco_folder / "images", "skip")


def test_a_byte_order_mark_is_no_obstacle(coco_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_bytes(b"\xef\xbb\xbf" + (coco_folder / "instances.json").read_bytes())
    assert len(read(path, coco_folder / "images", "raise").instances) == 5


def test_a_grey_image_is_measured_too(toy: ModuleType, tmp_path: Path) -> None:
    Image.new("L", (toy.WIDTH, toy.HEIGHT)).save(tmp_path / "000000000037.png")
    path = tmp_path / "a.json"
    path.write_text(json.dumps(toy.densepose_iuv()))
    assert len(read(path, tmp_path, "raise").labels) == 1
