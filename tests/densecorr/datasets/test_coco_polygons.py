"""Polygons from JSON text at once: bit by bit what Python's json reads; and whole made-up files there and back."""

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from densecorr.datasets.arrow import DatasetTables
from densecorr.datasets.coco import CocoReader
from densecorr.datasets.coco_polygons import read_polygons
from densecorr.datasets.coco_types import CocoSettings
from densecorr.datasets.export import write_coco
from tests.benchmarks.lvis_files import Shape, write_lvis

_split = msgspec.json.Decoder(list[list[msgspec.Raw]])
FINITE = st.floats(allow_nan=False, allow_infinity=False)
NUMBERS = FINITE | st.integers(-(10**30), 10**30) | FINITE.map(lambda value: round(value, 2))


def read(text: str) -> Any:
    return read_polygons(_split.decode(text.encode())).to_pylist()


@settings(deadline=None)
@given(rows=st.lists(st.lists(st.lists(NUMBERS, max_size=4), min_size=1, max_size=3), max_size=4))
def test_the_same_doubles_as_pythons_json(rows: list[Any]) -> None:
    found = read(json.dumps(rows))
    assert [[len(polygon) for polygon in row] for row in found] == [[len(p) for p in row] for row in rows]
    flat = [float(number) for row in json.loads(json.dumps(rows)) for polygon in row for number in polygon]
    np.testing.assert_array_equal(
        np.array([number for row in found for polygon in row for number in polygon]).view(np.int64),
        np.array(flat).view(np.int64),
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[]", []),
        ("[[ [ 1 , 2.5\n] ,[-3E1]],\t[[4]]]", [[[1.0, 2.5], [-30.0]], [[4.0]]]),
        ("[[[-0, 0]], [[-0.0]]]", [[[0.0, 0.0]], [[-0.0]]]),
        ("[[[]], [[1], []]]", [[[]], [[1.0], []]]),
        ("[[[1]], []]", [[[1.0]], None]),  # without polygons
        *(
            (f"[[[1]], [{wrong}]]", [[[1.0]], None])
            for wrong in ("5", "null", '["1"]', "[true]", "{}", "[[1]]")
        ),
        ("[[5, [[1]]], [[1]]]", [None, [[1.0]]]),  # as many lists as polygons
    ],
)
def test_rows_that_are_no_lists_of_numbers_are_null(text: str, expected: Any) -> None:
    assert repr(read(text)) == repr(expected)  # -0.0 is not 0.0


@pytest.mark.parametrize("shape", ["lvis", "coco"])
def test_a_made_up_file_comes_back_equal_but_for_panoptic_rows(shape: Shape, tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    written = write_lvis(file, 0.002, shape=shape, panoptic=shape == "coco")
    reader = CocoReader(file, tmp_path, "made", CocoSettings(check_images=False))
    instances, labels = reader.read()
    assert (len(reader.images), len(instances), len(labels)) == (written.images, written.annotations, 0)
    assert reader.n_panoptic == written.panoptic == (25 if shape == "coco" else 0)
    assert sum(instances["iscrowd"].to_pylist()) == (25 if shape == "coco" else 0)
    before = json.loads(file.read_text())
    before["annotations"] = [row for row in before["annotations"] if "segments_info" not in row]
    tables = DatasetTables(reader.images, instances, labels, reader.quarantine, info=reader.info)
    write_coco(tmp_path / "b.json", tables)
    assert json.loads((tmp_path / "b.json").read_text()) == before
