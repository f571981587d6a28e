"""Chart labels become vertices of a template and charts again; the recipe follows the chart table."""

import json
from pathlib import Path

import numpy as np
import pytest
import trimesh
from command_line import densecorr
from numpy.testing import assert_allclose, assert_array_equal

from densecorr.errors import AnnotationError, EmptyInstanceError
from densecorr.records import LabelRecord
from densecorr.templates import TemplateSettings, build_template, write_template
from flows.charts import STAGE, Charts
from flows.progress import StageProgress
from flows.stage import run_stage
from storage.artifacts import Store
from storage.recipe import Recipe
from storage.rows import records_to_table, table_to_records
from storage.tables import read_table, write_table

N = 42  # vertices of the ball


def keep(store: Store, stage: str, labels: list[LabelRecord]) -> str:
    def write(out: Path) -> None:
        write_table(out / "labels.parquet", "labels", records_to_table("labels", labels))

    return store.ensure(Recipe(stage, 1, {"n": len(labels), "first": labels[0].template_id}, {}), write)


def label(part: list[int] | None, template_id: str = "smpl_27554") -> LabelRecord:
    n = 3
    charts = (
        {} if part is None else {"part": np.array(part, np.uint8), "u": np.full(n, 0.5), "v": np.zeros(n)}
    )
    return LabelRecord(
        "people/1/human",
        "people/1",
        template_id,
        "human",
        "dataset:people",
        np.arange(3.0),
        np.arange(3.0),
        np.full(n, -1),
        extra={"dp_x": [1.0], "dp_I": [2.0], "dp_masks": []},
        **charts,
    )


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def template(store: Store) -> str:
    ball = trimesh.creation.icosphere(subdivisions=1)
    made = build_template(
        np.array(ball.vertices),
        np.array(ball.faces),
        "ball-v1",
        TemplateSettings(n_eigenpairs=4, n_coarse=20),
    )
    return store.ensure(Recipe("template", 1, {}, {}), lambda out: write_template(out, made))


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Each vertex on part 1 or 2 by turns, u running up, v = 0."""
    path = tmp_path / "charts.csv"
    rows = [f"{k},{1 + k % 2},{k / (N - 1)},0" for k in range(N)]
    path.write_text("\n".join(["vertex,part,u,v", *rows]) + "\n")
    return path


def run(store: Store, command: Charts) -> str:
    return run_stage(STAGE, command, store, StageProgress("charts"))


def labels_of(store: Store, artifact: str) -> list[LabelRecord]:
    return table_to_records("labels", read_table(store.path(artifact) / "labels.parquet", "labels"))


def test_there_and_back(store: Store, template: str, table: Path) -> None:
    dataset = keep(store, "ingest", [label([1, 2, 0])])
    made = run(store, Charts(dataset, template, str(table)))
    (found,) = labels_of(store, made)
    assert_array_equal(found.vertex, [20, 21, -1])
    assert (found.template_id, found.source, found.producer) == ("ball-v1", "human", made)
    assert found.extra == {"dp_masks": []}  # an export writes the vertices, not what was read
    summary = json.loads((store.path(made) / "summary.json").read_text())
    assert summary == {
        "labels": 1,
        "points": 3,
        "placed": 2,
        "mean_uv_distance": pytest.approx(0.5 / 41),
        "max_uv_distance": pytest.approx(0.5 / 41),
    }
    (again,) = labels_of(store, run(store, Charts(made, template, str(table), "to-iuv")))
    assert again.part is not None
    assert again.u is not None
    assert_array_equal(again.part, [1, 2, 0])
    assert_allclose(again.u, [20 / 41, 21 / 41, 0], atol=1e-6)
    assert_array_equal(again.vertex, found.vertex)
    assert_array_equal(again.x, found.x)


def test_another_chart_table_makes_another_artifact(store: Store, template: str, table: Path) -> None:
    command = Charts(keep(store, "ingest", [label([1, 2, 0])]), template, str(table))
    made = run(store, command)
    assert run(store, command) == made
    table.write_text(table.read_text().replace("\n0,1,0.0,0\n", "\n0,1,0.5,0\n"))
    other = run(store, command)
    assert other != made
    assert labels_of(store, other)[0].vertex.tolist() == [0, 21, -1]


def test_what_does_not_fit_is_refused(store: Store, template: str, table: Path) -> None:
    plain = keep(store, "ingest", [label(None)])
    with pytest.raises(
        EmptyInstanceError, match=r"label sets with charts \(part, u, v\); received none among 1"
    ):
        run(store, Charts(plain, template, str(table)))
    with pytest.raises(EmptyInstanceError, match="label sets with vertices"):
        run(store, Charts(plain, template, str(table), "to-iuv"))
    table.write_text(table.read_text() + "42,1,1,1\n")
    charted = keep(store, "other", [label([1, 2, 0])])
    with pytest.raises(AnnotationError, match="ball-v1, of vertices below 42; received vertex 42"):
        run(store, Charts(charted, template, str(table)))


def test_labels_of_another_template_have_no_charts_here(store: Store, template: str, table: Path) -> None:
    from dataclasses import replace

    one = replace(label(None, "cow-v1"), vertex=np.array([1, 2, -1]))
    with pytest.raises(AnnotationError, match="labels for the template ball-v1; received labels for cow-v1"):
        run(store, Charts(keep(store, "ingest", [one]), template, str(table), "to-iuv"))


def test_the_command_line_says_what_is_wrong(
    store: Store, template: str, table: Path, tmp_path: Path
) -> None:
    dataset = keep(store, "ingest", [label([1, 2, 9])])
    done = densecorr(
        *("--store", str(tmp_path / "store"), "flows.charts:STAGE", "--dataset", dataset),
        *("--template", template, "--charts", str(table)),
        cwd=tmp_path,
    )
    assert done.returncode == 2
    assert "Expected parts of the chart table: 1, 2; received 9" in done.stderr
