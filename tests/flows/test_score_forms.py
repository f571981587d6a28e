"""`densecorr score` on the other forms of results: IUV pictures, label tables, results on another mesh."""

import json
from pathlib import Path

import numpy as np
import pytest

from densecorr.images import write_png
from densecorr.records import LabelRecord
from flows.cli import main
from storage.rows import records_to_table
from storage.tables import write_table
from tests.densepose_worlds import N_VERTICES, make_geodesics

BOX = [10, 20, 48, 40]
CELLS = np.arange(N_VERTICES).reshape(6, 10)[:5, :6].repeat(8, 0).repeat(8, 1)  # the vertex of each pixel


def write_truth(folder: Path, *, charted: bool = False) -> None:
    """An object of a 60-vertex mesh with a point at the middle of every cell."""
    y, x = (grid.ravel() for grid in np.mgrid[4:40:8, 4:48:8])
    vertex = CELLS[y, x]
    points: dict[str, object] = {"dp_vertex": vertex.tolist(), "ref_model": "ball"}
    if charted:
        part, u, v = charts_of(vertex)
        points = {"dp_I": part.tolist(), "dp_U": u.tolist(), "dp_V": v.tolist()}
    points |= {"dp_x": (x / 48 * 256).tolist(), "dp_y": (y / 40 * 256).tolist()}
    outline = [10, 20, 58, 20, 58, 60, 10, 60]
    row = {"id": 7, "image_id": 1, "category_id": 902, "bbox": BOX, "area": 1920, "iscrowd": 0}
    data = {
        "images": [{"id": 1, "width": 100, "height": 90}],
        "annotations": [row | points | {"segmentation": [outline]}],
        "categories": [{"id": 902, "name": "thing"}],
    }
    (folder / "gt.json").write_text(json.dumps(data))
    np.save(folder / "geo.npy", make_geodesics(0))


def charts_of(vertex: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Part, u and v of each vertex: twelve parts of five vertices, all of which 8 bits tell apart."""
    return 1 + vertex // 5, (vertex % 5) * 50 / 255, np.full(vertex.shape, 100 / 255)


def score(folder: Path, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, str, dict]:
    """Exit code, message and figures of the file's `pred.json`."""
    files = ["--gt", str(folder / "gt.json"), "--pred", str(folder / "pred.json")]
    words = [*files, "--geodesics", str(folder / "geo.npy"), "--json", str(folder / "out.json")]
    code = main(["score", *words, "--resamples", "0", *options])
    said = capsys.readouterr().err
    return code, said, json.loads((folder / "out.json").read_text()) if code == 0 else {}


def write_results(folder: Path, **fields: object) -> None:
    row = {"image_id": 1, "category_id": 902, "score": 0.5, "bbox": BOX}
    (folder / "pred.json").write_text(json.dumps([row | fields]))


def test_an_iuv_picture_scores_as_its_vertices_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    part, u, v = charts_of(np.arange(N_VERTICES))
    rows = [f"{k},{part[k]},{u[k]},{v[k]}" for k in range(N_VERTICES)]
    (tmp_path / "charts.csv").write_text("\n".join(["vertex,part,u,v", *rows]) + "\n")
    write_truth(tmp_path, charted=True)
    vertices = np.where(np.arange(48) < 16, -1, CELLS)  # a third of the object is missed
    write_results(tmp_path, vertices=vertices.tolist())
    charts = ("--charts", str(tmp_path / "charts.csv"))
    code, said, plain = score(tmp_path, capsys, "--metric", "gpsm", *charts)
    assert code == 0, said
    part, u, v = charts_of(CELLS)
    picture = np.stack([part, np.rint(u * 255), np.rint(v * 255)], axis=2) * (vertices >= 0)[..., None]
    (tmp_path / "maps").mkdir()
    write_png(tmp_path / "maps" / "7.png", picture.astype(np.uint8))
    write_results(tmp_path, iuv="maps/7.png")  # relative to pred.json
    code, said, pictured = score(tmp_path, capsys, "--metric", "gpsm", *charts)
    assert code == 0, said
    names = ["AP", "AP50", "AP75", "APm", "AR"]
    assert [pictured[name] for name in names] == [plain[name] for name in names]
    assert 0 < pictured["AP"] < 100
    write_truth(tmp_path)
    code, said, _ = score(tmp_path, capsys)
    assert (code, "an IUV picture without a chart table in result 0" in said) == (2, True)


def test_a_label_table_is_scored_from_its_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_truth(tmp_path)
    y, x = (grid.ravel() for grid in np.mgrid[4:40:8, 4:48:8])
    label = LabelRecord("mine/7/0", "mine/7", "ball", "human", "me", x + 10.0, y + 20.0, CELLS[y, x])
    write_table(tmp_path / "labels.parquet", "labels", records_to_table("labels", [label]))
    code, said, found = score(tmp_path, capsys, "--pred", str(tmp_path / "labels.parquet"), "--reach", "6")
    assert code == 0, said
    assert found["AP"] == pytest.approx(100)
    code, said, _ = score(tmp_path, capsys, "--pred", str(tmp_path / "none.parquet"))
    assert (code, "none.parquet" in said) == (2, True)


@pytest.mark.parametrize("ref_model", ["ball", "other"])
def test_a_vertex_that_the_named_mesh_lacks_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], ref_model: str
) -> None:
    write_truth(tmp_path)
    spoilt = CELLS.copy()
    spoilt[3, 3] = N_VERTICES
    write_results(tmp_path, vertices=spoilt.tolist(), ref_model=ref_model)
    np.save(tmp_path / "map.npy", np.arange(N_VERTICES))
    code, said, _ = score(tmp_path, capsys, "--vertex-map", f"other:ball={tmp_path / 'map.npy'}")
    assert (code, f"vertices in [0, {N_VERTICES})" in said) == (2, True)


@pytest.mark.parametrize("shift", [-5, 5])
def test_a_map_to_vertices_that_the_mesh_lacks_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], shift: int
) -> None:
    write_truth(tmp_path)
    write_results(tmp_path, vertices=CELLS.tolist(), ref_model="other")
    np.save(tmp_path / "map.npy", np.arange(N_VERTICES) + shift)
    code, said, _ = score(tmp_path, capsys, "--vertex-map", f"other:ball={tmp_path / 'map.npy'}")
    assert (code, f"a map to the {N_VERTICES} vertices of 'ball'" in said) == (2, True)


def test_distances_that_are_no_numbers_are_refused_and_infinite_ones_score_0(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_truth(tmp_path)
    write_results(tmp_path, vertices=np.roll(CELLS, 8, axis=1).tolist())
    D = make_geodesics(0)
    np.save(tmp_path / "geo.npy", np.where(np.eye(N_VERTICES, dtype=bool), D, np.float32(np.inf)))
    code, said, found = score(tmp_path, capsys)
    assert (code, found["AP"]) == (0, 0.0), said
    np.save(tmp_path / "geo.npy", np.where(np.eye(N_VERTICES, dtype=bool), D, np.float32(np.nan)))
    code, said, _ = score(tmp_path, capsys)
    assert (code, "NaN in those of 'ball'" in said) == (2, True)
