"""One recipe, one id: on every machine and in every process, until something in it changes."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import storage
from densecorr.errors import ArtifactError, SettingsError
from storage.recipe import Recipe, is_artifact_id

A, B = "0" * 20, "1" * 20
SOURCE = "sha256:" + "2" * 64


@dataclass(frozen=True)
class Inner:
    path: Path = Path("a/b")
    scale: float | int = 1.0


@dataclass(frozen=True)
class Settings:
    inner: Inner = Inner()
    names: tuple[str, ...] = ("é", "b")


BASE = Recipe("train", 1, Settings(), {"images": A, "labels": [A, B], "mesh": SOURCE})


def test_the_digest_is_an_id_and_does_not_change() -> None:
    assert is_artifact_id(BASE.digest())
    assert BASE.digest() == "533cb37ee1ad143206e8"  # a change here makes every stored artifact unfindable


def test_the_digest_is_the_same_in_another_process_and_key_order() -> None:
    code = (
        "from storage.recipe import Recipe\n"
        f"print(Recipe('train', 1, {{'names': ['é', 'b'], 'inner': {{'scale': 1, 'path': 'a/b'}}}},"
        f" {{'mesh': {SOURCE!r}, 'labels': [{A!r}, {B!r}], 'images': {A!r}}}).digest())"
    )
    root = str(Path(storage.__file__).parents[1])
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONPATH": root, "PYTHONHASHSEED": seed, "PYTHONUTF8": "1"}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
        assert done.stdout.strip() == BASE.digest(), done.stderr


@pytest.mark.parametrize(
    "other",
    [
        Recipe("predict", 1, Settings(), BASE.inputs),
        Recipe("train", 2, Settings(), BASE.inputs),
        Recipe("train", 1, Settings(Inner(scale=1.5)), BASE.inputs),
        Recipe("train", 1, Settings(names=("b", "é")), BASE.inputs),
        Recipe("train", 1, Settings(), {**BASE.inputs, "images": B}),
        Recipe("train", 1, Settings(), {**BASE.inputs, "labels": [B, A]}),
        Recipe("train", 1, Settings(), {"images": A, "labels": [A, B]}),
        Recipe("train", 1, Settings(), {"pictures": A, "labels": [A, B], "mesh": SOURCE}),
        Recipe("train", 1, Settings(), {**BASE.inputs, "images": [A]}),
    ],
)
def test_the_digest_changes_with_anything_in_the_recipe(other: Recipe) -> None:
    assert other.digest() != BASE.digest()


def test_true_and_one_differ_but_one_and_one_point_zero_do_not() -> None:
    digests = [Recipe("s", 1, {"x": value}).digest() for value in (True, 1, 1.0, "1", [1])]
    assert digests[1] == digests[2]
    assert len(set(digests)) == 4


@pytest.mark.parametrize("value", ["best", A[:8], "sha256:ab", "/data/cow.obj", ""])
def test_inputs_that_are_not_ids_are_refused(value: str) -> None:
    with pytest.raises(ArtifactError, match=r"input 'images' of train.*Store\.resolve"):
        Recipe("train", 1, None, {"images": value})
    with pytest.raises(ArtifactError):
        Recipe("train", 1, None, {"images": [A, value]})


def test_what_has_no_canonical_form_is_refused() -> None:
    with pytest.raises(SettingsError):
        Recipe("s", 1, {"x": float("nan")}).digest()
    with pytest.raises(SettingsError):
        Recipe("s", 1, {"x": object()}).digest()
    with pytest.raises(ArtifactError):
        Recipe("a stage", 1)


def test_input_ids_lists_every_input() -> None:
    assert BASE.input_ids() == [A, A, B, SOURCE]
