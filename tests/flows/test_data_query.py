"""`densecorr data summary` and `query` on a small data set, by hand-counted answers."""

import json
from pathlib import Path
from typing import Any

import pytest
import tyro

from densecorr.datasets import CocoSettings
from densecorr.datasets.query import Filters, query_instances, run_sql
from densecorr.datasets.summary import format_summary, summarise_dataset
from densecorr.errors import DatasetNotFoundError, DependencyError, SettingsError
from densecorr.images import write_png
from flows.data_query import Query, format_rows
from flows.data_summary import Summary
from flows.ingest import STAGE, Ingest
from flows.progress import StageProgress
from flows.session import Session
from flows.stage import run_stage
from tests.flows.herds import herd_file, herd_images


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("herd")


@pytest.fixture(scope="module")
def session(root: Path) -> Session:
    return Session(str(root / "store"), "never")


@pytest.fixture(scope="module")
def dataset(root: Path, session: Session) -> Path:
    """Three images; a horse of each size and a cow; a label set on two; shares of 0.2, 0.6, 1 for the horses."""
    for name, image in herd_images().items():
        write_png(root / name, image)
    (root / "coco.json").write_text(json.dumps(herd_file()))
    command = Ingest(str(root / "coco.json"), str(root), "herd", CocoSettings())
    made = run_stage(STAGE, command, session.store, StageProgress("ingest"))
    return session.store.path(made)


def ids(folder: Path, **conditions: Any) -> list[str]:
    return query_instances(folder, Filters(**conditions))["instance_id"].to_pylist()


@pytest.mark.parametrize(
    ("conditions", "found"),
    [
        ({}, [1, 2, 3, 4]),
        ({"category": ("horse",)}, [1, 2, 3]),
        ({"min_area": 900.0}, [2, 3, 4]),
        ({"min_area": 900.0, "max_area": 10000.0}, [2, 4]),
        ({"split": ("val",)}, [3, 4]),
        ({"min_visible": 0.6}, [2, 3]),
        ({"label_source": ("human",)}, [1, 2]),
        ({"label_source": ("model",)}, []),
        ({"reviewed": "yes"}, []),
        ({"reviewed": "no", "category": ("cow",)}, [4]),
    ],
)
def test_filters_choose_what_was_counted_by_hand(dataset: Path, conditions: dict, found: list[int]) -> None:
    assert ids(dataset, **conditions) == [f"herd/{number}" for number in found]


def test_a_row_says_where_the_instance_is(dataset: Path) -> None:
    row = query_instances(dataset, Filters(category=("cow",))).to_pylist()[0]
    expected = {
        "image_id": "herd/2",
        "uri": "2.png",
        "split": "val",
        "x": 10.0,
        "y": 20.0,
        "w": 60.0,
        "h": 40.0,
    }
    assert {name: row[name] for name in expected} == expected


def test_bad_conditions_say_what_is_wrong(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="min_area below max_area"):
        ids(dataset, min_area=2.0, max_area=1.0)
    with pytest.raises(SettingsError, match="from 0 to 1"):
        ids(dataset, min_visible=60.0)
    with pytest.raises(SettingsError, match="none among 1"):
        ids(dataset, category=("cow",), min_visible=0.5)
    with pytest.raises(DatasetNotFoundError, match=r"instances\.parquet"):
        ids(tmp_path)


def test_sql_sees_the_tables_as_they_are(dataset: Path) -> None:
    pytest.importorskip("duckdb")
    sql = (
        "SELECT i.category, count(*) AS n FROM instances i JOIN images USING (image_id) GROUP BY 1 ORDER BY 1"
    )
    assert run_sql(dataset, sql).to_pylist() == [{"category": "cow", "n": 1}, {"category": "horse", "n": 3}]
    assert ids(dataset, where="w > h AND area >= 1024") == ["herd/4"]
    with pytest.raises(SettingsError, match="colour"):
        ids(dataset, where="colour = 'red'")
    with pytest.raises(SettingsError, match="SQL that DuckDB runs"):
        run_sql(dataset, "SELEKT 1")


def test_without_duckdb_sql_names_the_extra_and_filters_work(
    dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "duckdb", None)
    with pytest.raises(DependencyError, match=r"densecorr\[query\]"):
        ids(dataset, where="w > h")
    assert len(ids(dataset)) == 4


def test_the_summary_counts_everything_once(dataset: Path) -> None:
    summary = summarise_dataset(dataset)
    assert (summary["images"], summary["instances"], summary["label_sets"], summary["points"]) == (3, 4, 2, 3)
    assert summary["images_without_instances"] == 1
    by = summary["by"]
    assert by["category"] == {"horse": 3, "cow": 1}
    assert by["split (images)"] == {"train": 2, "val": 1}
    assert by["split (instances)"] == {"train": 2, "val": 2}
    assert list(by["size"].values()) == [1, 2, 1]
    assert by["visible share"] == {
        "0 to 0.25": 1,
        "0.25 to 0.5": 0,
        "0.5 to 0.75": 1,
        "0.75 to 1": 1,
        "(none)": 1,
    }
    assert by["reviewed"] == {"yes": 0, "no": 4}
    assert by["licence (images)"] == {"CC0": 2, "(none)": 1}
    for name in ("category", "split (instances)", "size", "silhouette source"):
        assert sum(by[name].values()) == 4
    assert "1 others" in format_summary(summary, most=1)


def test_every_format_holds_the_same_rows(dataset: Path) -> None:
    rows = query_instances(dataset, limit=3)
    assert format_rows(rows, "ids").split() == ["herd/1", "herd/2", "herd/3"]
    assert [row["instance_id"] for row in json.loads(format_rows(rows, "json"))] == rows[
        "instance_id"
    ].to_pylist()
    assert len(format_rows(rows, "csv").splitlines()) == 4
    assert "... and 1 more" in format_rows(rows, "table", 2)
    with pytest.raises(SettingsError, match="instance_id"):
        format_rows(rows.drop_columns("instance_id"), "ids")


def test_the_tools_read_their_options(
    dataset: Path, session: Session, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--category", "horse", "--min-area", "900", "--format", "ids", "--limit", "1"]
    tyro.cli(Query, args=[str(dataset), *options])(session)
    assert capsys.readouterr().out == "herd/2\n"
    tyro.cli(Query, args=[str(dataset), "--format", "csv", "--out", str(tmp_path / "a" / "out.csv")])(session)
    assert len((tmp_path / "a" / "out.csv").read_text().splitlines()) == 5
    tyro.cli(Summary, args=[str(dataset), "--json", str(tmp_path / "counts.json")])(session)
    assert json.loads((tmp_path / "counts.json").read_text()) == summarise_dataset(dataset)
    with pytest.raises(SettingsError, match="both"):
        tyro.cli(Query, args=[str(dataset), "--sql", "SELECT 1", "--split", "val"])(session)
