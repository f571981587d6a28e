"""What `densecorr store ...` says."""

from collections.abc import Callable
from pathlib import Path

import pytest

from densecorr.errors import ArtifactError
from densecorr.hub_licences import ModelRecord
from storage import commands
from storage.artifacts import Recipe, Store
from storage.models import write_models
from storage.reports import (
    format_artifacts,
    format_bytes,
    format_details,
    format_gc,
    format_lineage,
    format_rows,
    format_settings,
    format_verify,
)


def write_toy(directory: Path) -> None:
    (directory / "a.bin").write_bytes(b"a" * 1500)


@pytest.fixture
def made(tmp_path: Path) -> tuple[Store, dict[str, str]]:
    """A source, images from it, two label sets of the images, and a tagged model of all three."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "1.txt").write_text("x")
    store = Store(tmp_path / "store")
    source = store.digest_source(tmp_path / "photos")
    images = store.ensure(Recipe("ingest", 1, {"split": "val"}, {"source": source}), write_toy)
    labels = [store.ensure(Recipe("label", 1, {"k": k}, {"images": images}), write_toy) for k in range(2)]
    settings = {"loss": {"kind": "cse", "weight": 1.0}, "steps": 10}
    model = store.ensure(Recipe("train", 3, settings, {"labels": labels, "images": images}), write_toy)
    commands.tag(store, "best", model)
    return store, {
        "images": images,
        "label": labels[0],
        "label1": labels[1],
        "model": model,
        "source": source,
    }


def test_columns_line_up() -> None:
    text = format_rows(("name", "n", "x"), [["a", "10", ""], ["long name", "5", "y"]], right=(1,))
    assert text.splitlines() == ["name        n  x", "a          10", "long name   5  y"]


@pytest.mark.parametrize(
    ("n_bytes", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_999, "1.0 MB"),
        (1_450_000_000, "1.4 GB"),
        (3 * 10**15, "3000.0 TB"),
    ],
)
def test_sizes_are_readable(n_bytes: int, text: str) -> None:
    assert format_bytes(n_bytes) == text


def test_settings_fit_on_a_line() -> None:
    assert format_settings({"a": {"b": 1, "c": {}}, "d": [1, 2]}) == "a.b=1, a.c={}, d=[1, 2]"
    assert format_settings(None) == ""
    assert format_settings({"a": "x" * 200}, width=10) == "a=xxxxx..."


def test_ls(made: tuple[Store, dict[str, str]], tmp_path: Path) -> None:
    store, ids = made
    lines = format_artifacts(commands.list_artifacts(store)).splitlines()
    assert lines[0].split() == ["id", "stage", "created", "(UTC)", "files", "size", "took", "tags"]
    assert [line.split()[1] for line in lines[1:]] == ["ingest", "label", "label", "train"]
    assert lines[4].startswith(ids["model"][:12])
    assert lines[4].endswith("1  1.5 kB  0.0 s  best")
    (row,) = commands.list_artifacts(store, stage="ingest")
    assert (row.artifact_id, row.n_files, row.size, row.tags) == (ids["images"], 1, 1500, ())
    assert format_artifacts(commands.list_artifacts(Store(tmp_path / "none"))) == "No artifacts."


def test_show(made: tuple[Store, dict[str, str]], tmp_path: Path) -> None:
    store, ids = made
    text = format_details(commands.show(store, "best"))
    for line in (
        f"id        {ids['model']}",
        "stage     train, version 3",
        "tags      best",
        f"location  {store.path('best')}",
        f"input     labels: {ids['label']}, {ids['label1']}",
        "setting   loss.kind = cse",
        "1 file, 1.5 kB",
    ):
        assert line in text.splitlines()
    assert f"source    {tmp_path / 'photos'}" in format_details(commands.show(store, ids["images"]))
    with pytest.raises(ArtifactError):
        commands.show(store, "other")


def test_lineage_draws_a_tree_and_shared_inputs_once(
    made: tuple[Store, dict[str, str]], tmp_path: Path
) -> None:
    store, ids = made
    lines = format_lineage(commands.lineage(store, "best")).splitlines()
    when = store.manifest("best").created[:16].replace("T", " ")
    images = f"ingest {ids['images'][:12]}"
    assert lines[0] == f"train {ids['model'][:12]}  {when}  [loss.kind=cse, loss.weight=1.0, steps=10]"
    assert lines[1].startswith(f"├── images: {images}")
    assert lines[2] == f"│   └── source: {tmp_path / 'photos'} ({ids['source'][:15]}...)"
    assert lines[3].startswith(f"├── labels: label {ids['label'][:12]}")
    assert lines[4].startswith(f"│   └── images: {images}")
    assert lines[4].endswith("(inputs above)")
    assert lines[5].startswith(f"└── labels: label {ids['label1'][:12]}")
    assert lines[6].startswith(f"    └── images: {images}")
    assert len(lines) == 7


FREE = ModelRecord("a/free", "main", "c0ffee" + "0" * 34, None, "Apache-2.0", "https://a.org", "yes")
RAIL = ModelRecord("b/rail", "v1", "d" * 40, None, "OpenRAIL-M", "https://b.org", "restricted")
BOUND = ModelRecord(
    "c/bound", "main", None, None, "CC-BY-NC-4.0", "https://c.org", "no", True, "2026-11-25T10:00:00+00:00"
)
OWN = ModelRecord("/models/own", "", None, "sha256:" + "ab" * 32, "of a local folder", "", "unknown")


@pytest.fixture
def licensed(make_store: Callable[[], Store]) -> tuple[Store, dict[str, str]]:
    """Features by two models, labels of these by a third, a checkpoint of the labels by none."""

    def writing(*models: ModelRecord) -> Callable[[Path], None]:
        def write(directory: Path) -> None:
            write_toy(directory)
            if models:
                write_models(directory, list(models))

        return write

    store = make_store()
    features = store.ensure(Recipe("features", 1), writing(FREE, BOUND))
    labels = store.ensure(Recipe("label", 1, None, {"features": features}), writing(RAIL, OWN))
    train = store.ensure(Recipe("train", 1, None, {"features": features, "labels": labels}), writing())
    return store, {"features": features, "labels": labels, "train": train}


def test_lineage_names_the_models_and_ends_with_what_binds(licensed: tuple[Store, dict[str, str]]) -> None:
    store, ids = licensed
    lines = format_lineage(commands.lineage(store, ids["train"])).splitlines()
    assert lines[1].startswith(f"├── features: features {ids['features'][:12]}")
    assert lines[2:4] == [
        "│       with a/free c0ffee000000  Apache-2.0 (commercial use allowed)",
        "│       with c/bound main  CC-BY-NC-4.0 (no commercial use), accepted 2026-11-25",
    ]
    assert lines[5:7] == [
        "    │   with b/rail dddddddddddd  OpenRAIL-M (commercial use with restrictions)",
        "    │   with /models/own abababababab  of a local folder (commercial use unknown)",
    ]
    assert lines[-1] == (
        "licences that bind this artifact: "
        "CC-BY-NC-4.0 (no commercial use) through c/bound, accepted 2026-11-25; "
        "of a local folder (commercial use unknown) through /models/own; "
        "OpenRAIL-M (commercial use with restrictions) through b/rail; "
        "Apache-2.0 (commercial use allowed) through a/free"
    )


def test_show_names_the_models_of_an_artifact_and_of_its_inputs(
    licensed: tuple[Store, dict[str, str]],
) -> None:
    store, ids = licensed
    own = [
        line for line in format_details(commands.show(store, ids["labels"])).splitlines() if "model " in line
    ]
    assert own[0].split(maxsplit=1)[1].startswith("b/rail dddddddddddd  OpenRAIL-M")
    assert own[0].endswith("(commercial use with restrictions)")
    assert own[3].endswith(
        f"c/bound main  CC-BY-NC-4.0 (no commercial use), accepted 2026-11-25; by features {ids['features'][:12]}"
    )
    assert len(own) == 4


def test_a_missing_input_and_a_damaged_record_are_said(make_store: Callable[[], Store]) -> None:
    def write(directory: Path) -> None:
        write_models(directory, [FREE])

    store = make_store()
    made = store.ensure(Recipe("label", 1, None, {"images": "0" * 20}), write)
    text = format_lineage(commands.lineage(store, made))
    assert text.endswith("through a/free; those of the inputs that are not in this store are not known")
    damaged = store.ensure(Recipe("x", 1), lambda folder: (folder / "models.json").write_text("[{}]"))
    with pytest.raises(ArtifactError, match=r"models\.json"):
        commands.lineage(store, damaged)
    assert "model     not known" in format_details(commands.show(store, damaged))


def test_verify(made: tuple[Store, dict[str, str]]) -> None:
    store, ids = made
    assert format_verify(commands.verify(store)) == "4 artifacts checked, all whole."
    assert format_verify(commands.verify(store, "best")) == "1 artifact checked, all whole."
    damaged = store.path(ids["images"]) / "a.bin"
    damaged.write_bytes(b"a" * 1499 + b"b")
    (store.path("best") / "manifest.json").write_text("{}")
    result = commands.verify(store)
    assert result.n_artifacts == 4
    text = format_verify(result)
    assert str(damaged) in text
    assert text.endswith("4 artifacts checked, 2 problems.")


def test_gc(made: tuple[Store, dict[str, str]]) -> None:
    store, ids = made
    assert "Nothing to free" in format_gc(commands.gc(store, min_age_s=0))
    extra = store.ensure(Recipe("extra", 1), write_toy)
    text = format_gc(commands.gc(store))
    assert "kept" in text
    assert text.endswith("Would free 0 B in 0 places; nothing was deleted.")
    assert f"would free  artifact  1.5 kB  {store.path(extra)}" in format_gc(commands.gc(store, min_age_s=0))
    assert format_gc(commands.gc(store, min_age_s=0, delete=True)).endswith("Freed 1.5 kB in 1 place.")
    assert {row.artifact_id for row in commands.list_artifacts(store)} == set(ids.values()) - {ids["source"]}


def test_a_finished_pipeline_is_recognised_at_once(tmp_path: Path) -> None:
    """Eight stages of 300 files each over a source folder of 2,000: well under the 3 s a re-run may take."""
    source = tmp_path / "source"
    source.mkdir()
    for index in range(2000):
        (source / f"{index}.txt").write_text(str(index))

    def write(directory: Path) -> None:
        for index in range(300):
            (directory / f"{index}.bin").write_bytes(b"x")

    def run() -> tuple[str, int]:
        store, calls = Store(tmp_path / "store"), 0

        def count(directory: Path) -> None:
            nonlocal calls
            calls += 1
            write(directory)

        inputs: dict[str, str | list[str]] = {"source": store.digest_source(source)}
        for stage in range(8):
            last = store.ensure(Recipe(f"stage-{stage}", 1, {"n": stage}, inputs), count)
            store.path(last)
            inputs = {"previous": last}
        return last, calls

    first, calls = run()
    assert calls == 8
    assert run() == (first, 0)
