import json
from pathlib import Path
from types import ModuleType

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from densecorr.datasets.coco import read_coco
from densecorr.datasets.coco_types import CocoSettings
from densecorr.datasets.densepose import EVALUATION_SIDE, VERTEX_COUNTS, dp_to_xy, xy_to_dp


def test_the_frame_is_the_box() -> None:
    corners = np.array([[0.0, 0.0], [256.0, 256.0], [128.0, 128.0]])
    xy = dp_to_xy(corners, (10.0, 8.0, 20.0, 16.0))
    assert_allclose(xy, [[9.5, 7.5], [29.5, 23.5], [19.5, 15.5]])  # edges lie half a pixel off the centres


@given(st.tuples(*[st.floats(1.0, 500.0)] * 4), st.sampled_from([256.0, EVALUATION_SIDE]))
def test_frames_are_inverses(xywh: tuple[float, float, float, float], side: float) -> None:
    dp = np.random.default_rng(0).uniform(0, 256, (5, 2))
    assert_allclose(xy_to_dp(dp_to_xy(dp, xywh, side), xywh, side), dp, atol=1e-6)


def test_vertex_counts_agree_with_their_names() -> None:
    assert len(VERTEX_COUNTS) == 11
    assert all(name.endswith(f"_{count}") for name, count in VERTEX_COUNTS.items())


def test_cse_points_become_a_label(toy: ModuleType, coco_folder: Path) -> None:
    tables = read_coco(coco_folder / "densepose_cse.json", coco_folder / "images", "dp")
    person, cow = tables.labels.to_pylist()
    assert (person["instance_id"], person["template_id"], person["source"]) == ("dp/1", "smpl_27554", "human")
    assert person["vertex"] == [0, 27553]
    assert person["point_ids"] == [0, 1]
    assert person["part"] is None
    assert_allclose(person["x"], [10 + 12.5 * 20 / 256 - 0.5, 10 + 200 * 20 / 256 - 0.5], rtol=1e-6)
    assert_allclose((cow["x"], cow["y"]), [[19.5], [15.5]])
    assert json.loads(cow["extra"])["dp_vertex"] == [5001]
    assert tables.instances["template_id"].to_pylist() == ["smpl_27554", "cow_5002"]
    assert not any("dp_" in text for text in tables.instances["extra"].to_pylist())


def test_iuv_points_become_a_label(toy: ModuleType, coco_folder: Path) -> None:
    tables = read_coco(coco_folder / "densepose_iuv.json", coco_folder / "images", "dp")
    (label,) = tables.labels.to_pylist()
    assert label["part"] == [1, 24, 2]
    assert label["u"] == [0.25, 0.5, 1.0]
    assert label["v"] == [0.0, 0.125, 0.75]
    assert label["vertex"] == [-1, -1, -1]
    assert label["template_id"] == ""
    assert json.loads(label["extra"])["dp_masks"] == toy.densepose_iuv()["annotations"][0]["dp_masks"]


def test_charts_and_vertices_may_come_together_or_mixed_over_rows(
    toy: ModuleType, coco_folder: Path, tmp_path: Path
) -> None:
    data = toy.densepose_cse()
    data["annotations"][0] |= {"dp_I": [1, 2], "dp_U": [0.5, 0.25], "dp_V": [0.0, 1.0]}
    data["annotations"].append(toy.annotation_row(3, 37, dp_x=[], dp_y=[], dp_vertex=[], ref_model="own-v1"))
    path = tmp_path / "a.json"
    path.write_text(json.dumps(data))
    labels = read_coco(path, coco_folder / "images", "dp").labels.to_pylist()
    assert [label["part"] for label in labels] == [[1, 2], None, None]
    assert labels[0]["vertex"] == [0, 27553]
    assert labels[2]["x"] == []


def test_the_file_says_who_made_its_points(toy: ModuleType, coco_folder: Path, tmp_path: Path) -> None:
    data = toy.densepose_cse() | {"info": {"densecorr": {"label_source": "synthetic"}}}
    path = tmp_path / "a.json"
    path.write_text(json.dumps(data))
    root = coco_folder / "images"
    assert set(read_coco(path, root, "dp").labels["source"].to_pylist()) == {"synthetic"}
    settings = CocoSettings(label_source="synthetic")
    plain = read_coco(coco_folder / "densepose_cse.json", root, "dp", settings)
    assert plain.labels["label_id"].to_pylist() == ["dp/1/synthetic", "dp/2/synthetic"]
