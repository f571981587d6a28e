"""The commands say what to type next, in names; a stage's --tag; the loop as a pipeline."""

from pathlib import Path

import pytest

from densecorr.errors import ArtifactError
from flows.cli import main
from flows.pipeline import read_pipeline
from flows.review_export import ReviewExport
from flows.review_gain import read_spent
from flows.review_next import export_command, train_command
from flows.session import Session
from storage.artifacts import Recipe, Store
from storage.datasets import read_labels
from storage.tables import records_to_table, write_tables
from tests.annotation_ui.review_world import make_world, put_template

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Two of the four label sets were selected."""
    monkeypatch.setenv("DENSECORR_STATE", str(tmp_path / "state"))
    store = make_world(tmp_path / "store", n=4, points=6)[0]
    few = records_to_table("labels", list(read_labels(store.path("zero")).values())[:2])
    recipe = Recipe("select", 1, {}, {"labels": store.resolve("zero")})
    store.tag("few", store.ensure(recipe, lambda out: write_tables(out, {"labels": few})))
    return store


def test_a_review_is_followed_by_its_export_and_that_by_training(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = [store.resolve(name) for name in ("data", "few", "zero")]
    told = export_command(store, ids[0], ids[1])
    assert told == "densecorr review export data --labels few --others zero --tag corrected"
    assert (
        export_command(store, ids[0], ids[2]) == "densecorr review export data --labels zero --tag corrected"
    )
    ReviewExport("data", labels="few", others="zero", tag="corrected")(Session(store.place.uri, "never"))
    out, err = capsys.readouterr()
    assert store.resolve("corrected") == out.strip()
    assert len(read_labels(store.path("corrected"))) == 4
    template = store.manifest("corrected").recipe.inputs["template"]
    told = train_command(store, ids[0], out.strip(), str(template))
    assert told in err
    assert told.startswith("densecorr train --dataset data ")
    assert told.endswith(" --labels corrected --category ball")
    assert read_spent(store.path("corrected"))["minutes"] == 0
    with pytest.raises(ArtifactError, match="--collected"):
        read_spent(store.path("few"))


def test_training_is_told_the_split_and_the_synthetic_images_of_the_labels(store: Store) -> None:
    labels = list(read_labels(store.path("zero")).values())

    def put(stage: str, split: str | None, **inputs: str) -> str:
        table = records_to_table("labels", labels)
        settings = {"category": "ball", "split": split}
        return store.ensure(
            Recipe(stage, 1, settings, inputs), lambda out: write_tables(out, {"labels": table})
        )

    data, template = store.resolve("data"), store.resolve(put_template(store))
    pseudo = put("pseudo-label", "train")
    chosen = put("select", None, labels=pseudo)
    corrected = put("correct", None, labels=chosen, others=pseudo)
    told = train_command(store, data, corrected, template)
    assert told.endswith(" --category ball --split train")
    both = put("correct", None, labels=put("select", "val", labels=pseudo), others=pseudo)
    assert train_command(store, data, both, template).endswith(" --split SPLIT")

    made = [put("synthesise", str(n)) for n in range(2)]
    put(
        "train", "train", dataset=data, template=template, labels=put("pseudo-label", None), synthetic=made[1]
    )
    assert train_command(store, data, corrected, template) == told  # a training on other labels
    put("train", "train", dataset=data, template=template, labels=pseudo, synthetic=made[0])
    assert train_command(store, data, corrected, template) == f"{told} --synthetic {made[0][:12]}"
    put("train", "train", dataset=data, template=template, labels=pseudo)
    assert train_command(store, data, corrected, template) == told  # some without: not certain


def test_a_stage_takes_a_tag(
    store: Store,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = tmp_path / "text.txt"
    text.write_text("one two")
    for tag in (["--tag", "mine"], ["--tag=ours"]):
        assert (
            main(["toys:WORDS", "--text", str(text), *tag, "--store", store.place.uri, "--track", "never"])
            == 0
        )
    assert store.resolve("mine") == store.resolve("ours") == capsys.readouterr().out.split()[0]


def test_the_loop_is_a_pipeline() -> None:
    names = [node.key for node in read_pipeline(ROOT / "examples/review_loop.toml").nodes]
    assert names[0] in ("select[person]", "before[person]")
    assert names[-1] == "gain"
