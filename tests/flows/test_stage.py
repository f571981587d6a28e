"""Inputs are found, recipes hold what decides the result and nothing else, and work is done once."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import toys

from densecorr.errors import ArtifactError, DatasetNotFoundError, LicenceError
from densecorr.hub import model_folder
from flows import model_use
from flows.progress import StageProgress
from flows.stage import Input, input_fields, resolve_inputs, run_stage, stage_recipe
from storage.artifacts import Store
from tests.fake_hub import COMMIT, FakeHub, serving


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


NON_COMMERCIAL = "depth-anything/Depth-Anything-V2-Large-hf"


def see(*models: str) -> toys.See:
    return toys.See(settings=toys.SeeSettings(models[0], models[1:]))


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[FakeHub]:
    with serving({}, tmp_path / "cache") as hub:
        yield hub


@pytest.mark.parametrize("model", [NON_COMMERCIAL, "someone/else"])
def test_a_model_that_forbids_commercial_use_needs_consent(
    store: Store, hub: FakeHub, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = see("facebook/dinov2-small", model)
    with pytest.raises(LicenceError, match=f"{model}.*--accept-licence"):
        run(toys.SEE, command, store)
    assert store.list() == []
    monkeypatch.setenv("DENSECORR_ACCEPT_LICENCE", "1")
    made = run(toys.SEE, command, store)
    free, bound = json.loads((store.path(made) / "models.json").read_text())
    assert (free["id"], free["accepted"], free["accepted_at"]) == ("facebook/dinov2-small", False, None)
    assert (bound["id"], bound["revision"], bound["accepted"]) == (model, "main", True)
    assert bound["accepted_at"][:2] == "20"
    monkeypatch.delenv("DENSECORR_ACCEPT_LICENCE")
    assert run(toys.SEE, command, store) == made  # what is made already needs no consent
    assert hub.requests == []


def test_the_record_holds_the_commit_that_main_stood_for(
    store: Store, hub: FakeHub, capsys: pytest.CaptureFixture[str]
) -> None:
    """And what restricts a model's use is said once."""
    model = "stable-diffusion-v1-5/stable-diffusion-v1-5"
    hub.models[model] = {"unet/config.json": b"{}"}

    def write(out: Path, *rest: object) -> None:
        model_folder(model)
        toys.write_see(out, *rest)  # type: ignore[arg-type]

    model_use._say_once.cache_clear()
    made = run(replace(toys.SEE, write=write), see(model), store)
    (record,) = json.loads((store.path(made) / "models.json").read_text())
    assert (record["revision"], record["commit"], record["content"]) == ("main", COMMIT, None)
    assert record["commercial"] == "restricted"
    assert record["accepted"] is False
    run(toys.SEE, see(model, "facebook/dinov2-small"), store)
    said = capsys.readouterr().err
    assert said.count("CreativeML OpenRAIL-M, commercial use with restrictions (https://") == 1


def test_a_local_model_enters_the_recipe_by_its_content(store: Store, tmp_path: Path) -> None:
    weights = tmp_path / "model" / "model.safetensors"
    weights.parent.mkdir()
    weights.write_bytes(b"one")
    command = see(str(weights.parent))
    first = run(toys.SEE, command, store)
    (record,) = json.loads((store.path(first) / "models.json").read_text())
    assert store.manifest(first).recipe.settings["models"] == {str(weights.parent): record["content"]}
    assert (record["revision"], record["commit"], record["accepted"]) == ("", None, False)
    weights.write_bytes(b"two")
    second = run(toys.SEE, command, store)
    assert second != first
    weights.write_bytes(b"one")
    assert run(toys.SEE, command, store) == first


def test_an_artifact_without_models_has_no_record(store: Store, text_file: Path) -> None:
    words = run(toys.WORDS, toys.Words(str(text_file)), store)
    assert [entry.path for entry in store.manifest(words).files] == ["words.txt"]
    assert "models" not in store.manifest(words).recipe.settings
