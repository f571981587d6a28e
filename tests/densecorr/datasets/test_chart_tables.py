"""Chart tables: a known two-part chart there and back, DensePose's own file layouts, and what is refused."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.io import savemat

from densecorr.datasets.charts import ChartTable, read_charts
from densecorr.errors import AnnotationError, DatasetNotFoundError

SIDE = 5


def two_parts() -> dict[str, np.ndarray]:
    """A 5 x 5 grid on each of two charts; the last row of the first is the first row of the second (a seam)."""
    v, u = np.divmod(np.arange(SIDE**2), SIDE)
    vertex = np.concatenate([np.arange(25), np.arange(20, 45)])
    return {
        "vertex": vertex,
        "part": np.repeat([1, 7], 25),
        "u": np.tile(u / 4, 2),
        "v": np.tile(v / 4, 2),
    }


def table() -> ChartTable:
    return ChartTable(**two_parts())


def test_every_vertex_comes_back_from_its_chart() -> None:
    vertex = np.arange(45)
    part, u, v = table().vertex_to_iuv(vertex)
    assert_array_equal(part, np.repeat([1, 7], [25, 20]))
    assert_array_equal(table().iuv_to_vertex(part, u, v), vertex)


def test_a_vertex_on_a_seam_lies_on_both_charts() -> None:
    assert table().charts_of(22) == [(1, 0.5, 1.0), (7, 0.5, 0.0)]
    assert_array_equal(
        table().iuv_to_vertex(np.array([1, 7]), np.array([0.5, 0.5]), np.array([1.0, 0.0])), [22, 22]
    )


def test_the_nearest_on_the_same_chart_wins_and_of_equal_ones_the_lowest() -> None:
    part, u, v = (
        np.array([1, 1, 7, 0]),
        np.array([0.26, 0.125, 0.375, 0.5]),
        np.array([0.02, 0.125, 0.875, 0.5]),
    )
    vertex, distance = table().locate(part, u, v)
    assert_array_equal(vertex, [1, 0, 36, -1])
    assert_allclose(distance, [np.hypot(0.01, 0.02), np.hypot(0.125, 0.125), np.hypot(0.125, 0.125), 0])


def test_two_vertices_at_one_place_give_the_lower() -> None:
    charts = ChartTable(np.array([9, 4, 6]), np.array([2, 2, 2]), np.zeros(3), np.zeros(3))
    assert charts.iuv_to_vertex(np.array([2]), np.array([0.3]), np.array([0.1])).tolist() == [4]


def test_a_vertex_on_no_chart_is_background() -> None:
    part, u, v = table().vertex_to_iuv(np.array([-1, 99, 3]))
    assert_array_equal(part, [0, 0, 1])
    assert_allclose([*u, *v], [0, 0, 0.75, 0, 0, 0])


def test_pictures_keep_their_shape() -> None:
    part = np.ones((4, 6), dtype=np.int64)
    assert table().iuv_to_vertex(part, np.zeros((4, 6)), np.ones((4, 6))).tolist() == [[20] * 6] * 4


@pytest.mark.parametrize("suffix", ["csv", "parquet", "npz"])
def test_each_form_reads_the_same(tmp_path: Path, suffix: str) -> None:
    path, rows = tmp_path / f"charts.{suffix}", two_parts()
    if suffix == "npz":
        np.savez(path, allow_pickle=False, **rows)
    elif suffix == "csv":
        pyarrow.csv.write_csv(pa.table(rows), path)
    else:
        pq.write_table(pa.table(rows), path)
    charts = read_charts(path)
    assert_array_equal(charts.vertex, rows["vertex"])
    assert_array_equal(charts.part, rows["part"])
    assert_allclose(charts.uv, np.stack([rows["u"], rows["v"]], axis=1))


def test_the_layout_of_uv_processed(tmp_path: Path) -> None:
    """Chart vertices name mesh vertices from 1; faces name chart vertices from 1 and have the part."""
    path = tmp_path / "UV_Processed.mat"
    savemat(
        path,
        {
            "All_vertices": np.array([[1, 2, 3, 3, 4, 2, 8]]),
            "All_Faces": np.array([[1, 2, 3], [4, 5, 6]]),
            "All_FaceIndices": np.array([[1], [2]]),
            "All_U_norm": np.linspace(0, 0.6, 7)[:, None],
            "All_V_norm": np.linspace(1, 0.4, 7)[:, None],
        },
    )
    charts = read_charts(path)
    assert_array_equal(charts.vertex, [0, 1, 2, 2, 3, 1])  # the last is in no face
    assert_array_equal(charts.part, [1, 1, 1, 2, 2, 2])
    assert charts.charts_of(2) == [(1, pytest.approx(0.2), pytest.approx(0.8)), (2, 0.3, pytest.approx(0.7))]


def test_the_layout_of_smpl_subdiv(tmp_path: Path) -> None:
    path = tmp_path / "SMPL_subdiv.mat"
    rows = {"U_subdiv": np.array([[0.1], [0.9], [0.5]]), "V_subdiv": np.array([[0.2], [0.8], [0.5]])}
    savemat(path, {**rows, "Part_ID_subdiv": np.array([[1], [1], [24]])})
    with pytest.raises(DatasetNotFoundError, match=r"SMPL_SUBDIV_TRANSFORM\.mat beside SMPL_subdiv\.mat"):
        read_charts(path)
    savemat(tmp_path / "SMPL_SUBDIV_TRANSFORM.mat", {"index": np.array([[5], [7], [5]])})
    charts = read_charts(path)
    assert_array_equal(charts.vertex, [4, 6, 4])
    assert charts.charts_of(4) == [(1, 0.1, 0.2), (24, 0.5, 0.5)]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ({"part": np.repeat([0, 7], 25)}, r"parts in 1\.\.24; received 0\.\.7"),
        ({"part": np.repeat([1.5, 7], 25)}, "whole numbers in part"),
        ({"u": np.full(50, 7.0)}, r"u and v in 0\.\.1; received 0\.\.7"),
        ({"v": np.full(50, np.nan)}, r"u and v in 0\.\.1"),
        ({"vertex": np.arange(-1, 49)}, "vertices of at least 0; received -1"),
        ({"u": np.zeros(3)}, "columns of one length; received vertex of 50, part of 50, u of 3"),
        ({"u": np.array(["a"] * 50)}, "numbers in u"),
    ],
)
def test_bad_rows_are_refused(tmp_path: Path, rows: dict[str, np.ndarray], said: str) -> None:
    np.savez(tmp_path / "charts.npz", allow_pickle=False, **{**two_parts(), **rows})
    with pytest.raises(AnnotationError, match=said):
        read_charts(tmp_path / "charts.npz")


def test_bad_files_are_refused(tmp_path: Path) -> None:
    for name, text, said in (
        ("a.txt", "x", "a chart table as .npz"),
        ("a.npz", "x", "a .npz file of arrays"),
        ("a.parquet", "x", "a Parquet file"),
        ("a.mat", "x", "a MATLAB file"),
        ("a.csv", "vertex,part\n1,2\n", "without u, v"),
        ("b.csv", "vertex,part,u,v\n1,2\n", r"a \.csv file with a header"),
        ("c.csv", "vertex,part,u,v\n", "numbers in vertex|with rows"),
    ):
        (tmp_path / name).write_text(text)
        with pytest.raises(AnnotationError, match=said):
            read_charts(tmp_path / name)
    savemat(tmp_path / "other.mat", {"x": np.zeros(2)})
    with pytest.raises(AnnotationError, match=r"other\.mat with x"):
        read_charts(tmp_path / "other.mat")
    with pytest.raises(DatasetNotFoundError, match="no file"):
        read_charts(tmp_path / "none.csv")


def test_points_off_the_table_are_refused() -> None:
    with pytest.raises(AnnotationError, match="parts of the chart table: 1, 7; received 3"):
        table().iuv_to_vertex(np.array([3]), np.zeros(1), np.zeros(1))
    with pytest.raises(AnnotationError, match="finite u and v"):
        table().iuv_to_vertex(np.array([1]), np.full(1, np.nan), np.zeros(1))
