import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tyro
from numpy.testing import assert_array_equal

from densecorr.errors import ArtifactError, SettingsError
from densecorr.images import write_png
from densecorr.records import ImageRecord, InstanceRecord, LabelRecord
from densecorr.templates import Template, template_colors, write_template
from flows.review import Review, ReviewOpen, ReviewRemove, find_colors, main
from storage.artifacts import Recipe, Store
from storage.tables import records_to_table, write_tables

ROOT = Path(__file__).resolve().parents[2]


def make_template(folder: Path, template_id: str, seed: int) -> None:
    """A template folder with random vertices and nothing computed."""
    rng = np.random.default_rng(seed)
    V = rng.random((5, 3))
    template = Template(
        template_id=template_id,
        V=V,
        F=np.array([[0, 1, 2], [2, 3, 4]]),
        mass=np.ones(5),
        evals=np.zeros(1),
        evecs=np.ones((5, 1), dtype=np.float32),
        mirror=np.arange(5),
        mirror_plane=np.array([1.0, 0, 0, 0]),
        mirror_residual=0.0,
        unit="m",
        diameter=1.0,
        coarse=np.arange(5),
        to_coarse=np.arange(5),
        coarse_D=np.zeros((5, 5), dtype=np.float32),
    )
    write_template(folder, template)


def label(template_id: str, source: str) -> LabelRecord:
    points = np.arange(4, dtype=np.float32)
    return LabelRecord(
        f"a/0/{source}", "a/0", template_id, source, "test", points, points, np.array([0, 1, 4, -1])
    )


def make_dataset(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_png(folder / "a.png", np.zeros((8, 8, 3), dtype=np.uint8))
    tables = {
        "images": records_to_table("images", [ImageRecord("a", "a.png", 8, 8)]),
        "instances": records_to_table(
            "instances", [InstanceRecord("a/0", "a", "ball", (0.0, 0.0, 8.0, 8.0))]
        ),
        "labels": records_to_table("labels", [label("ball-v1", "human")]),
    }
    write_tables(folder, tables)
    (folder / "dataset.json").write_text(json.dumps({"image_root": "."}))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A data set `data`, two templates `ball-v1` (`old`, `new`), labels `zero` made with `old`."""
    store = Store(tmp_path / "store")
    store.tag("data", store.ensure(Recipe("ingest", 1, {}, {}), make_dataset))
    for seed, tag in enumerate(("old", "new")):
        recipe = Recipe("template", 1, {"seed": seed}, {})
        store.tag(tag, store.ensure(recipe, lambda out, seed=seed: make_template(out, "ball-v1", seed)))
    recipe = Recipe(
        "pseudo-label", 1, {}, {"template": store.resolve("old"), "dataset": store.resolve("data")}
    )
    table = records_to_table("labels", [label("ball-v1", "zero_shot")])
    store.tag("zero", store.ensure(recipe, lambda out: write_tables(out, {"labels": table})))
    return store


def colors_of(store: Store, tag: str) -> np.ndarray:
    from densecorr.templates import read_template

    return template_colors(read_template(store.path(tag)).V)


def test_colours_come_from_the_template_the_labels_were_made_with(store: Store) -> None:
    colors = find_colors(store, [store.resolve("data"), store.resolve("zero")], ())
    assert list(colors) == ["ball-v1"]
    assert_array_equal(colors["ball-v1"], colors_of(store, "old"))


def test_a_named_template_comes_first_and_the_store_last(store: Store) -> None:
    both = [store.resolve("data"), store.resolve("zero")]
    assert_array_equal(find_colors(store, both, ("new",))["ball-v1"], colors_of(store, "new"))
    found = find_colors(store, [store.resolve("data")], ())["ball-v1"]  # no lineage leads to a template
    assert any((found == colors_of(store, tag)).all() for tag in ("old", "new"))


@pytest.fixture
def no_fiftyone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Importing FiftyOne is a failure of the test."""

    def start() -> None:
        raise AssertionError("FiftyOne was started")

    monkeypatch.setattr("annotation_ui.app.import_fiftyone", start)


@pytest.mark.usefixtures("no_fiftyone")
def test_an_unknown_artifact_is_refused_before_fiftyone_starts(store: Store) -> None:
    with pytest.raises(ArtifactError, match="nothing"):
        main(ReviewOpen("nothing"), store)


@pytest.mark.usefixtures("no_fiftyone")
def test_a_port_in_use_is_refused_before_fiftyone_starts(store: Store) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.raises(SettingsError, match="in use"):
        main(ReviewOpen("data", port=server.getsockname()[1]), store)


def test_the_command_line_reads_its_settings() -> None:
    assert tyro.cli(
        Review, args=["open", "data", "--labels", "a", "b", "--port", "5200", "--overlays", "colors"]
    ) == ReviewOpen("data", labels=("a", "b"), port=5200, overlays=("colors",))
    assert tyro.cli(Review, args=["remove", "densecorr-1"]) == ReviewRemove("densecorr-1")


@pytest.mark.mongo
def test_the_command_exports_and_removes(store: Store, tmp_path: Path) -> None:
    if not os.environ.get("DENSECORR_MONGOD"):
        pytest.skip("no DENSECORR_MONGOD: `bash infra/get_mongod.sh FOLDER` gets one")
    environment = os.environ | {"DENSECORR_MONGO_DIR": str(tmp_path / "mongo"), "FIFTYONE_DATABASE_URI": ""}

    count = "'trial': 1 images ({}, 0 updated, 0 removed), 1 instances; points: truth 4, zero_shot 4."

    def run(*commands: str) -> tuple[str, str]:
        """The exit codes of some commands in one new process, which imports FiftyOne once, and what it said."""
        lines = [f"print(main(['--store', {store.place.uri!r}, 'review', {each}]))" for each in commands]
        command = [sys.executable, "-c", "\n".join(["from flows.cli import main", *lines])]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, check=True)
        return " ".join(done.stdout.split()), done.stderr

    export = "'open', 'data', '--labels', 'zero', '--name', 'trial', '--export-only'"
    codes, said = run(export)
    assert codes == "0", said
    assert count.format("1 added") in said
    codes, said = run(export, "'remove', 'trial'", "'remove', 'trial'")
    assert codes == "0 0 2", said
    assert count.format("0 added") in said
    assert "'trial'" in said.splitlines()[-2]
