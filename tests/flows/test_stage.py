"""Inputs are found, recipes hold what decides the result and nothing else, and work is done once."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import toys

from densecorr.errors import ArtifactError, DatasetNotFoundError
from flows.progress import StageProgress
from flows.stage import Input, input_fields, resolve_inputs, run_stage, stage_recipe
from storage.artifacts import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def run(stage: toys.Stage, command: object, store: Store) -> str:
    return run_stage(stage, command, store, StageProgress(stage.name))


def test_inputs_are_the_marked_fields_however_deep() -> None:
    assert input_fields(toys.Count) == {"words": Input("artifact"), "mesh": Input("mesh")}
    assert input_fields(toys.Total) == {"counts": Input("artifact")}


def test_a_second_run_writes_nothing(store: Store, text_file: Path) -> None:
    written = []

    def write(out: Path, *rest: object) -> None:
        written.append(out)
        toys.write_words(out, *rest)  # type: ignore[arg-type]

    stage = replace(toys.WORDS, write=write)
    first = run(stage, toys.Words(str(text_file)), store)
    assert run(stage, toys.Words(str(text_file)), store) == first
    assert len(written) == 1
    assert (store.path(first) / "words.txt").read_text().split() == ["a", "b", "c", "abba", "bob"]


def test_the_recipe_follows_content_settings_and_version(store: Store, text_file: Path) -> None:
    first = run(toys.WORDS, toys.Words(str(text_file)), store)
    moved = shutil.copy(text_file, text_file.with_name("elsewhere.txt"))
    assert run(toys.WORDS, toys.Words(str(moved)), store) == first  # where it lies does not matter
    others = [
        run(toys.WORDS, toys.Words(str(text_file), upper=True), store),
        run(replace(toys.WORDS, version=2), toys.Words(str(text_file)), store),
    ]
    text_file.write_text("other words")
    others.append(run(toys.WORDS, toys.Words(str(text_file)), store))
    assert len({first, *others}) == 4


def test_a_field_outside_the_recipe_does_not_change_the_id(store: Store, text_file: Path) -> None:
    words = run(toys.WORDS, toys.Words(str(text_file)), store)
    one = run(toys.COUNT, toys.Count("cow", words, n_threads=1), store)
    assert run(toys.COUNT, toys.Count("cow", words, n_threads=2), store) == one
    assert run(toys.COUNT, toys.Count("dog", words), store) != one


def test_artifacts_go_by_id_prefix_or_tag_and_the_recipe_holds_the_id(store: Store, text_file: Path) -> None:
    words = run(toys.WORDS, toys.Words(str(text_file)), store)
    store.tag("first", words)
    ids = {run(toys.COUNT, toys.Count("cow", name), store) for name in (words, words[:8], "first")}
    assert len(ids) == 1
    assert store.manifest(ids.pop()).recipe.inputs == {"words": words}


def test_several_inputs_keep_their_order(store: Store, text_file: Path) -> None:
    words = run(toys.WORDS, toys.Words(str(text_file)), store)
    counts = [run(toys.COUNT, toys.Count(name, words), store) for name in ("cow", "dog")]
    total = run(toys.TOTAL, toys.Total(tuple(counts)), store)
    assert (store.path(total) / "total.txt").read_text() == "6"  # three each
    assert store.manifest(total).recipe.inputs == {"counts": counts}
    assert run(toys.TOTAL, toys.Total(tuple(reversed(counts))), store) != total


def test_a_path_inside_an_artifact_is_a_source(store: Store, text_file: Path) -> None:
    words = run(toys.WORDS, toys.Words(str(text_file)), store)
    again = run(toys.WORDS, toys.Words(f"{words}/words.txt", upper=True), store)
    manifest = store.manifest(again)
    assert manifest.recipe.inputs == {"text": words}  # lineage leads to the artifact
    assert manifest.recipe.settings["inputs_inside"] == {"text": ["words.txt"]}
    with pytest.raises(DatasetNotFoundError, match=r"missing\.txt"):
        run(toys.WORDS, toys.Words(f"{words}/missing.txt"), store)


def test_what_is_not_there_is_named(store: Store, tmp_path: Path) -> None:
    with pytest.raises(DatasetNotFoundError, match="nowhere"):
        run(toys.WORDS, toys.Words(str(tmp_path / "nowhere.txt")), store)
    with pytest.raises(ArtifactError, match="nothing-so-called"):
        run(toys.COUNT, toys.Count("cow", "nothing-so-called"), store)


def test_an_input_that_is_not_set_is_absent_from_the_recipe(store: Store, text_file: Path) -> None:
    words = run(toys.WORDS, toys.Words(str(text_file)), store)
    command = toys.Count("cow", words)
    inputs = resolve_inputs(command, store)
    assert inputs.paths("mesh") == ()
    assert stage_recipe(toys.COUNT, command, inputs).inputs == {"words": words}
    with_mesh = toys.Count("cow", words, mesh=str(text_file))
    assert resolve_inputs(with_mesh, store).path("mesh") == text_file
