"""Pair files: the real lists, hand-made rows, and every way in which one can be wrong."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from densecorr.datasets.pairs import VOC_CLASSES, find_pair_image, read_pairs
from densecorr.errors import AnnotationError, DatasetNotFoundError

SHARED = Path(os.environ.get("DENSECORR_SHARED_DATA", Path(__file__).parents[4] / "shared" / "data"))
PFPASCAL = SHARED / "pfpascal"
HEADER = "source_image,target_image,class,XA,YA,XB,YB"
GOOD = "a/1.jpg,a/2.jpg,13,1.5;20,3;4,5;6,7;8.25"
SPAIR: dict[str, Any] = {
    "src_imname": "2008_000008.jpg",
    "trg_imname": "2008_000141.jpg",
    "src_kps": [[10, 20], [30, 40]],
    "trg_kps": [[50, 60], [70, 80]],
    "category": "horse",
    "src_bndbox": [5, 6, 105, 86],
    "trg_bndbox": [1, 2, 31, 202],
    "mirror": 0,
}


def csv_of(folder: Path, *rows: str, header: str = HEADER) -> Path:
    path = folder / "pairs.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


@pytest.mark.skipif(not PFPASCAL.is_dir(), reason="no shared data: set DENSECORR_SHARED_DATA")
def test_the_real_list_of_pf_pascal() -> None:
    pairs = read_pairs(PFPASCAL / "ncnet" / "test_pairs.csv")
    assert len(pairs) == 299
    counts = [len(pair.xy_a) for pair in pairs]
    assert (min(counts), max(counts)) == (4, 17)
    assert [len(pair.xy_b) for pair in pairs] == counts
    x_a = np.concatenate([pair.xy_a[:, 0] for pair in pairs])
    assert_allclose([x_a.min(), x_a.max()], [1.9, 299.2], atol=0.05)
    values = np.concatenate([np.concatenate([pair.xy_a, pair.xy_b]) for pair in pairs])
    assert_allclose([values.min(), values.max()], [0.9, 299.8], atol=0.05)
    assert {pair.category for pair in pairs} == set(VOC_CLASSES)
    first = pairs[0]
    assert first.image_a == "PF-dataset-PASCAL/JPEGImages/2011_001407.jpg"
    assert first.category == "aeroplane"
    assert_allclose(first.xy_a[0], [253.631662, 58.181333], atol=1e-6)
    assert_allclose(first.xy_b[0], [272.801888, 65.275543], atol=1e-6)
    assert first.xywh_a is None


@pytest.mark.skipif(not PFPASCAL.is_dir(), reason="no shared data: set DENSECORR_SHARED_DATA")
def test_the_real_list_without_keypoints_is_refused() -> None:
    with pytest.raises(AnnotationError, match="no keypoints"):
        read_pairs(PFPASCAL / "weakalign" / "pf-pascal-flip_test_pairs.csv")


def test_a_row_by_hand(tmp_path: Path) -> None:
    (pair,) = read_pairs(csv_of(tmp_path, GOOD))
    assert (pair.category, pair.image_a, pair.image_b) == ("horse", "a/1.jpg", "a/2.jpg")
    assert_array_equal(pair.xy_a, [[1.5, 3], [20, 4]])
    assert_array_equal(pair.xy_b, [[5, 7], [6, 8.25]])


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("a,b,13,1;2,3;4,5;6,7", "2 XA, 2 YA, 2 XB, 1 YB"),
        ("a,b,21,1,2,3,4", "'21'"),
        ("a,b,horse,1,2,3,4", "'horse'"),
        ("a,b,13,1;x,3;4,5;6,7;8", "XA"),
        ("a,b,13,1;nan,3;4,5;6,7;8", "XA"),
        ("a,b,13,,,,", "XA"),
        ("a,b,13,1,2,3", "another number of values"),
        ("a,b,13,1,2,3,4,5", "another number of values"),
    ],
)
def test_a_bad_row_is_named_by_its_number(tmp_path: Path, row: str, said: str) -> None:
    with pytest.raises(AnnotationError, match=r"row 3 of .*pairs\.csv") as caught:
        read_pairs(csv_of(tmp_path, GOOD, row))
    assert said in str(caught.value)


@pytest.mark.parametrize("header", ["", "image,class", "source_image,target_image"])
def test_absent_columns_are_named(tmp_path: Path, header: str) -> None:
    with pytest.raises(AnnotationError, match="source_image, target_image, class"):
        read_pairs(csv_of(tmp_path, GOOD, header=header))


def test_no_pairs_at_all(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent.csv", csv_of(tmp_path)):
        with pytest.raises(DatasetNotFoundError):
            read_pairs(path)


def test_spair_files(tmp_path: Path) -> None:
    (tmp_path / "000001-one.json").write_text(json.dumps(SPAIR))
    (tmp_path / "000002-two.json").write_text(json.dumps(SPAIR | {"category": "cow"}))
    one, two = read_pairs(tmp_path)
    assert (one.pair_id, one.category, two.category) == ("000001-one", "horse", "cow")
    assert (one.image_a, two.image_b) == ("horse/2008_000008.jpg", "cow/2008_000141.jpg")
    assert_array_equal(one.xy_b, [[50, 60], [70, 80]])
    assert one.xywh_a == (5, 6, 100, 80)
    assert one.xywh_b is not None
    assert max(one.xywh_b[2:]) == 200  # max(x2 - x1, y2 - y1)
    assert read_pairs(tmp_path / "000001-one.json")[0].pair_id == one.pair_id


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"trg_kps": [[1, 2]]}, "2 src_kps, 1 trg_kps"),
        ({"src_kps": [], "trg_kps": []}, "0 src_kps"),
        ({"src_kps": [[1, 2, 3]]}, r"src_kps as a list of \[x, y\]"),
        ({"src_kps": None}, "src_kps"),
        ({"trg_bndbox": [1, 2, 3]}, r"trg_bndbox as \[x1"),
        ({"trg_bndbox": [30, 2, 1, 202]}, "x1 < x2"),
        ({"trg_bndbox": [1, 2, "x", 202]}, "trg_bndbox"),
    ],
)
def test_a_bad_spair_file_is_named(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    (tmp_path / "1-bad.json").write_text(json.dumps(SPAIR | change))
    with pytest.raises(AnnotationError, match=said) as caught:
        read_pairs(tmp_path)
    assert "1-bad.json" in str(caught.value)


@pytest.mark.parametrize("text", ["[1]", "{", '{"category": "cow"}'])
def test_a_json_that_is_no_pair(tmp_path: Path, text: str) -> None:
    (tmp_path / "1.json").write_text(text)
    with pytest.raises(AnnotationError, match=r"1\.json"):
        read_pairs(tmp_path)


def test_images_are_found_below_their_folder_with_or_without_its_parents(tmp_path: Path) -> None:
    (tmp_path / "JPEGImages").mkdir()
    for path in (tmp_path / "1.jpg", tmp_path / "JPEGImages" / "2.jpg"):
        path.touch()
    assert (
        find_pair_image(tmp_path, "PF-dataset-PASCAL/JPEGImages/2.jpg") == tmp_path / "JPEGImages" / "2.jpg"
    )
    assert find_pair_image(tmp_path / "JPEGImages", "PF-dataset-PASCAL/JPEGImages/2.jpg").name == "2.jpg"
    assert find_pair_image(tmp_path, "horse/1.jpg") == tmp_path / "1.jpg"
    with pytest.raises(DatasetNotFoundError, match=r"3\.jpg"):
        find_pair_image(tmp_path, "horse/3.jpg")
