"""The store: made once, found by recipe, read back whole; on a local folder and on an object store."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from densecorr.errors import ArtifactError, SettingsError
from storage.artifacts import Recipe, Store, open_store
from storage.catalog import artifact_folder


def write_toy(directory: Path) -> None:
    (directory / "inner").mkdir()
    (directory / "inner" / "b.txt").write_text("b" * 100)
    (directory / "a.json.gz").write_bytes(b"not really gzip")  # a name that streams would unpack
    (directory / "empty.bin").touch()


def must_not_run(directory: Path) -> None:
    raise AssertionError("made twice")


def test_an_artifact_is_made_once_and_read_back(make_store: Callable[[], Store]) -> None:
    store, recipe = make_store(), Recipe("toy", 1, {"n": 1})
    assert store.lookup(recipe) is None
    artifact_id = store.ensure(recipe, write_toy)
    assert artifact_id == recipe.digest()
    again = make_store()
    assert again.ensure(recipe, must_not_run) == artifact_id == again.lookup(recipe)
    path = again.path(artifact_id)
    assert (path / "inner" / "b.txt").read_text() == "b" * 100
    assert (path / "a.json.gz").read_bytes() == b"not really gzip"
    assert (path / "empty.bin").read_bytes() == b""
    assert again.verify() == []
    assert list((store.place.workspace / "drafts").glob("*")) == []


def test_opening_and_asking_creates_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    assert store.lookup(Recipe("toy", 1)) is None
    assert (store.list(), store.tags(), store.verify(), store.gc().items) == ([], {}, [], [])
    assert not (tmp_path / "store").exists()


def test_the_manifest_says_how_it_was_made(store: Store, tmp_path: Path) -> None:
    source = tmp_path / "cow.obj"
    source.write_text("v 0 0 0")
    digest = store.digest_source(source)
    first = store.ensure(Recipe("first", 2, {"path": Path("x"), "b": 1.0}, {"mesh": digest}), write_toy)
    manifest = store.manifest(store.ensure(Recipe("second", 1, None, {"parts": [first]}), write_toy))
    assert manifest.recipe.inputs == {"parts": [first]}
    assert [entry.path for entry in manifest.files] == ["a.json.gz", "empty.bin", "inner/b.txt"]
    assert manifest.size == 115
    assert manifest.versions.keys() >= {"python", "numpy", "pyarrow", "densecorr"}
    assert manifest.threads >= 1
    assert manifest.machine
    assert manifest.device.startswith(("cpu", "cuda"))
    assert store.manifest(first).sources == {digest: str(source)}
    assert store.manifest(first).recipe.settings == {"path": "x", "b": 1.0}
    assert [m.artifact_id for m in store.list()] == [first, manifest.artifact_id]


def test_the_manifest_is_flat_json_for_scripts(tmp_path: Path) -> None:
    store = Store(tmp_path)
    path = store.path(store.ensure(Recipe("toy", 3, {"n": 1}), write_toy))
    data = json.loads((path / "manifest.json").read_text())
    assert data["recipe"] == {"stage": "toy", "version": 3, "settings": {"n": 1}, "inputs": {}}
    assert data["files"][1] == {
        "path": "empty.bin",
        "size": 0,
        "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    }


@pytest.mark.parametrize("shards", [False, True])
def test_an_error_in_the_writer_leaves_no_artifact(store: Store, shards: bool) -> None:
    def fail(directory: Path) -> None:
        (directory / "half.bin").write_bytes(b"half")
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        store.ensure(Recipe("toy", 1), fail, shards=shards)
    assert store.lookup(Recipe("toy", 1)) is None
    assert store.list() == []
    kept = [path.name for path in (store.place.workspace / "drafts").glob("*/files/*")]
    assert kept == (["half.bin"] if shards else [])


def write_link(directory: Path) -> None:
    (directory / "a").write_text("a")
    (directory / "link").symlink_to(directory / "a")


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda directory: None, "at least one file"),
        (lambda directory: (directory / "manifest.json").write_text("{}"), "no 'manifest.json'"),
        (write_link, "link or special file at link"),
    ],
)
def test_outputs_that_cannot_be_artifacts_are_refused(store: Store, write: Callable, message: str) -> None:
    with pytest.raises(ArtifactError, match=message):
        store.ensure(Recipe("toy", 1), write)
    assert store.lookup(Recipe("toy", 1)) is None


def test_a_folder_without_a_manifest_gives_way(tmp_path: Path) -> None:
    store, recipe = Store(tmp_path), Recipe("toy", 1)
    foreign = tmp_path / "artifacts" / recipe.digest()
    foreign.mkdir(parents=True)
    (foreign / "a.json.gz").write_bytes(b"left by somebody")
    assert store.lookup(recipe) is None
    artifact_id = store.ensure(recipe, write_toy)
    assert store.verify(artifact_id) == []
    assert list((tmp_path / "drafts").glob("*")) == []


def test_ids_prefixes_and_tags_resolve(make_store: Callable[[], Store]) -> None:
    store = make_store()
    ids = [store.ensure(Recipe("toy", version), write_toy) for version in range(40)]
    assert store.tag("best", ids[3][:8]) == ids[3]
    assert store.tag("face", ids[5]) == ids[5]  # a tag before a prefix
    again = make_store()
    assert again.tags() == {"best": ids[3], "face": ids[5]}
    assert again.resolve("best") == again.resolve(ids[3]) == again.resolve(ids[3][:10]) == ids[3]
    assert again.resolve("face") == ids[5]
    assert again.manifest("best").artifact_id == ids[3]
    assert again.tag("best", "face") == ids[5] == again.resolve("best")  # a tag moves
    ambiguous = next(i[:2] for i in ids if sum(other.startswith(i[:2]) for other in ids) > 1)
    with pytest.raises(ArtifactError, match=f"'{ambiguous}', which . artifacts start with: {ambiguous}"):
        again.resolve(ambiguous)


@pytest.mark.parametrize("text", ["nothing", "0" * 20, "00", "", "../../etc", "best.json"])
def test_what_does_not_exist_is_refused_with_candidates(tmp_path: Path, text: str) -> None:
    store = Store(tmp_path)
    artifact_id = store.ensure(Recipe("toy", 1), write_toy)
    store.tag("best", artifact_id)
    with pytest.raises(ArtifactError, match=rf"best \({artifact_id[:8]}\).*{artifact_id} \(toy\)"):
        store.path(text)


@pytest.mark.parametrize("name", ["", "a/b", "../x", ".hidden", "a b", "f" * 20, "x" * 101])
def test_names_that_cannot_be_tags_are_refused(tmp_path: Path, name: str) -> None:
    store = Store(tmp_path)
    artifact_id = store.ensure(Recipe("toy", 1), write_toy)
    with pytest.raises(ArtifactError, match="a tag of letters"):
        store.tag(name, artifact_id)
    assert store.tags() == {}


def test_lineage_reaches_the_sources(store: Store, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "x.json").write_text("{}")
    source = store.digest_source(tmp_path / "data")
    images = store.ensure(Recipe("ingest", 1, {"split": "val"}, {"source": source}), write_toy)
    label_ids = [
        store.ensure(Recipe("pseudo-label", 1, {"k": k}, {"images": images}), write_toy) for k in range(2)
    ]
    model = store.ensure(Recipe("train", 1, None, {"labels": label_ids, "images": images}), write_toy)
    tree = store.lineage(model)
    assert (tree.stage, [node.role for node in tree.inputs]) == ("train", ["images", "labels", "labels"])
    first = tree.inputs[1].inputs[0]
    assert (first.key, first.stage, first.settings) == (images, "ingest", {"split": "val"})
    assert (first.inputs[0].key, first.inputs[0].source) == (source, str(tmp_path / "data"))
    assert first.inputs[0].is_source
    store.place.filesystem.delete_dir(artifact_folder(store.place, images))
    assert store.lineage(model).inputs[0].missing


def test_a_store_travels_to_another_process(store: Store) -> None:
    artifact_id = store.ensure(Recipe("toy", 1), write_toy)
    assert pickle.loads(pickle.dumps(store)).path(artifact_id) == store.path(artifact_id)


def test_the_environment_names_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DENSECORR_STORE", raising=False)
    assert open_store().place.root == str(tmp_path / "runs" / "store")
    monkeypatch.setenv("DENSECORR_STORE", str(tmp_path / "other"))
    assert open_store().place.root == str(tmp_path / "other")
    assert open_store("mine").place.root == str(tmp_path / "mine")


def test_an_unknown_address_is_refused() -> None:
    with pytest.raises(SettingsError, match="s3://bucket/prefix"):
        Store("nowhere://bucket/store")


def test_a_store_out_of_reach_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("fsspec")
    store = Store("fsspec+memory://reach/store", cache=tmp_path)

    def refuse(*args: object, **kwargs: object) -> None:
        raise OSError("When reading: AWS Error ACCESS_DENIED")

    with monkeypatch.context() as patch:
        patch.setattr("pyarrow.fs.FSSpecHandler.open_input_stream", refuse)
        with pytest.raises(ArtifactError, match=r"ACCESS_DENIED.*credentials"):
            store.lookup(Recipe("toy", 1))
    with monkeypatch.context() as patch:
        patch.setattr("storage.publish.fs.copy_files", refuse)
        with pytest.raises(ArtifactError, match=r"ACCESS_DENIED.*credentials"):
            store.ensure(Recipe("toy", 1), write_toy)
    assert store.lookup(Recipe("toy", 1)) is None


def test_a_local_store_that_cannot_be_made_is_explained(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file where the store should be")
    store = Store(tmp_path / "store")
    assert store.lookup(Recipe("toy", 1)) is None
    with pytest.raises(ArtifactError, match="permissions"):
        store.ensure(Recipe("toy", 1), write_toy)
