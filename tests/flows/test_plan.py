"""The dry run knows every artifact's id before anything runs."""

from pathlib import Path

import pytest

from densecorr.errors import DatasetNotFoundError
from flows.pipeline import Pipeline, read_pipeline
from flows.plan import format_plan, free_bytes, plan_pipeline
from flows.run_command import run_file
from flows.session import Session
from storage.artifacts import Store

TEXT = """
[stages.words]
command = "toys:WORDS"
text = "text.txt"

[stages.again]
command = "toys:WORDS"
text = "@words/words.txt"

[stages.slow]
command = "toys:SLOW"
seconds = 0.1
after = ["@again"]
"""


@pytest.fixture
def pipeline_file(text_file: Path) -> Path:
    path = text_file.with_name("pipeline.toml")
    path.write_text(TEXT)
    return path


@pytest.fixture
def pipeline(pipeline_file: Path) -> Pipeline:
    return read_pipeline(pipeline_file)


def test_the_planned_ids_are_those_that_running_gives(
    pipeline_file: Path, pipeline: Pipeline, tmp_path: Path
) -> None:
    store = Store(tmp_path / "store")
    planned = plan_pipeline(pipeline, store)
    assert not any(step.stored for step in planned)
    assert store.list() == []
    results = run_file(pipeline_file, Session(str(tmp_path / "store"), "never"))
    assert {key: result.artifact_id for key, result in results.items()} == {
        step.node.key: step.artifact_id for step in planned
    }
    assert all(step.stored for step in plan_pipeline(pipeline, store))


def test_a_changed_setting_leaves_what_does_not_depend_on_it(pipeline_file: Path, tmp_path: Path) -> None:
    run_file(pipeline_file, Session(str(tmp_path / "store"), "never"))
    pipeline_file.write_text(TEXT.replace('words.txt"', 'words.txt"\nupper = true'))
    steps = plan_pipeline(read_pipeline(pipeline_file), Store(tmp_path / "store"))
    assert {step.node.key: step.stored for step in steps} == {"words": True, "again": False, "slow": False}


def test_disk_is_summed_over_what_is_to_run_and_the_unknown_is_counted(
    pipeline: Pipeline, tmp_path: Path, text_file: Path
) -> None:
    store = Store(tmp_path / "store")
    steps = {step.node.key: step for step in plan_pipeline(pipeline, store)}
    assert steps["words"].n_bytes == text_file.stat().st_size
    assert steps["again"].n_bytes is None  # depends on an artifact that is not made
    text = format_plan(list(steps.values()), store)
    assert "3 stages: 0 in the store, 3 to run. Disk: about 14 B and 2 of unknown size" in text
    assert free_bytes(store) is not None


def test_a_missing_source_is_found_before_anything_runs(
    pipeline: Pipeline, tmp_path: Path, text_file: Path
) -> None:
    text_file.unlink()
    with pytest.raises(DatasetNotFoundError, match=r"text\.txt"):
        plan_pipeline(pipeline, Store(tmp_path / "store"))
