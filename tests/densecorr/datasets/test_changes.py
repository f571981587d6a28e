"""Two tables compared by content: exact counts and ids, whatever the order, batches or types of columns."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from densecorr.datasets import changes
from densecorr.datasets.arrow import INSTANCES
from densecorr.datasets.changes import Changes, compare_tables, row_bytes


def instance(number: int, **fields: object) -> dict[str, object]:
    """An instance with a polygon, its other columns as given."""
    polygons = {"size": [12, 16], "counts": None, "polygons": [[1.0, 1.0, 9.0, 1.0, 9.0, float(number)]]}
    whole = {
        "instance_id": f"cows/{number}",
        "image_id": "cows/1",
        "category": "cow",
        "xywh": [0.0, 1.0, 2.0, 3.0],
    }
    return {"silhouette": polygons, "area": 6.0, "iscrowd": False, "ignore": False, **whole, **fields}


def write(path: Path, rows: list[dict[str, object]], row_group_size: int = 1000) -> Path:
    pq.write_table(pa.Table.from_pylist(rows, schema=INSTANCES), path, row_group_size=row_group_size)
    return path


def test_every_kind_is_counted_and_named(tmp_path: Path) -> None:
    before = write(tmp_path / "a", [instance(n) for n in range(1, 6)])
    after = write(tmp_path / "b", [instance(n, area=7.0 if n == 4 else 6.0) for n in (9, 5, 4, 3, 1)])
    assert compare_tables(before, after, "instance_id") == Changes(
        1, 1, 1, 3, ("cows/9",), ("cows/4",), ("cows/2",)
    )
    assert compare_tables(after, after, "instance_id") == Changes(0, 0, 0, 5)


@pytest.mark.parametrize(
    "other",
    [
        {"xywh": [0.0, 1.0, 2.0, 3.5]},
        {"silhouette": None},
        {"silhouette": {"size": [12, 16], "counts": "abc", "polygons": None}},
        {"silhouette": {"size": [12, 16], "counts": None, "polygons": [[1.0, 1.0], [9.0, 1.0, 9.0, 1.0]]}},
        {"category": "cow "},
        {"template_id": ""},  # and not null
        {"score": 0.0},
        {"iscrowd": True},
        {"extra": '{"a":1}'},
    ],
)
def test_any_column_counts(tmp_path: Path, other: dict[str, object]) -> None:
    before = write(tmp_path / "a", [instance(1), instance(2)])
    after = write(tmp_path / "b", [instance(1, **other), instance(2)])
    assert compare_tables(before, after, "instance_id") == Changes(0, 1, 0, 1, (), ("cows/1",))


def test_batches_and_row_groups_do_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "BATCH", 3)
    rows = [instance(n, silhouette=None) if n % 3 == 0 else instance(n) for n in range(20)]
    before = write(tmp_path / "a", rows, 7)
    assert compare_tables(before, write(tmp_path / "b", rows[::-1], 4), "instance_id") == Changes(0, 0, 0, 20)
    assert compare_tables(before, write(tmp_path / "c", []), "instance_id").removed == 20
    assert (
        len(compare_tables(before, write(tmp_path / "c", []), "instance_id").first_removed) == changes.N_NAMED
    )
    assert compare_tables(tmp_path / "c", before, "instance_id").added == 20


def test_a_slice_has_the_bytes_of_its_rows() -> None:
    batch = pa.RecordBatch.from_pylist(
        [instance(n, score=None if n % 2 else 0.5) for n in range(9)], INSTANCES
    )
    assert list(row_bytes(batch.slice(4, 3))) == list(row_bytes(batch))[4:7]


def test_a_column_that_only_one_table_has_is_left_out(tmp_path: Path) -> None:
    path = write(tmp_path / "a", [instance(1)])
    pq.write_table(pq.read_table(path).drop_columns(["score"]), tmp_path / "b")
    assert compare_tables(path, tmp_path / "b", "instance_id") == Changes(0, 0, 0, 1)
