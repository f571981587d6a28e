"""Damage of every kind is seen and named; on a local folder and on an object store."""

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from densecorr.errors import ArtifactError
from storage.artifacts import Recipe, Store
from storage.catalog import artifact_folder
from storage.copies import data_folder


def write_toy(directory: Path) -> None:
    (directory / "inner").mkdir()
    (directory / "inner" / "b.txt").write_text("b" * 100)
    (directory / "a.json.gz").write_bytes(b"not really gzip")  # a name that streams would unpack
    (directory / "empty.bin").touch()


def must_not_run(directory: Path) -> None:
    raise AssertionError("made twice")


def change_file(store: Store, artifact_id: str, name: str, change: Callable[[bytes], bytes]) -> str:
    """Change a stored file behind the store's back; its path in the store."""
    folder = artifact_folder(store.place, artifact_id)
    if name != "manifest.json":
        folder = data_folder(store.place, store.manifest(artifact_id))
    with store.place.filesystem.open_input_stream(f"{folder}/{name}", compression=None) as stream:
        content = stream.read()
    with store.place.filesystem.open_output_stream(f"{folder}/{name}", compression=None) as stream:
        stream.write(change(content))
    return f"{folder}/{name}"


def flip(content: bytes, at: int = 7) -> bytes:
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


@pytest.mark.parametrize("name", ["inner/b.txt", "manifest.json"])
def test_a_flipped_byte_is_named_by_verify(store: Store, name: str) -> None:
    good = store.ensure(Recipe("toy", 1), write_toy)
    bad = store.ensure(Recipe("toy", 2), write_toy)
    path = change_file(store, bad, name, flip)
    (problem,) = store.verify()
    assert (problem.artifact_id, problem.file) == (bad, path)
    assert "damaged" in str(problem)
    assert store.verify(good) == []


def test_any_flipped_byte_of_a_manifest_is_seen(tmp_path: Path) -> None:
    store = Store(tmp_path)
    artifact_id = store.ensure(Recipe("toy", 1), lambda directory: (directory / "a").write_text("a"))
    path = tmp_path / "artifacts" / artifact_id / "manifest.json"
    content = path.read_bytes()
    for at in range(len(content)):
        path.write_bytes(flip(content, at))
        assert len(store.verify()) == 1, at
    path.write_bytes(content[: len(content) // 2])
    assert len(store.verify()) == 1
    path.write_bytes(content)
    assert store.verify() == []


@pytest.mark.parametrize(
    ("change", "message"),
    [(lambda content: content[:-1], "99 bytes in place of 100"), (None, "no such file|missing")],
)
def test_a_cut_or_missing_file_is_named(
    make_store: Callable[[], Store], change: Callable | None, message: str
) -> None:
    store = make_store()
    artifact_id = store.ensure(Recipe("toy", 1), write_toy)
    if change is not None:
        change_file(store, artifact_id, "inner/b.txt", change)
    else:
        folder = data_folder(store.place, store.manifest(artifact_id))
        store.place.filesystem.delete_file(f"{folder}/inner/b.txt")
    with pytest.raises(ArtifactError, match=rf"inner/b\.txt.*({message})"):
        make_store().path(artifact_id)
    (problem,) = store.verify(artifact_id)
    assert problem.file.endswith("inner/b.txt")


def test_an_added_file_is_named_by_verify(store: Store) -> None:
    artifact_id = store.ensure(Recipe("toy", 1), write_toy)
    folder = data_folder(store.place, store.manifest(artifact_id))
    with store.place.filesystem.open_output_stream(f"{folder}/inner/new.txt") as stream:
        stream.write(b"new")
    (problem,) = store.verify()
    assert problem.file.endswith("inner/new.txt")
    assert problem.what == "not part of the artifact"


def test_a_damaged_manifest_is_an_error_not_a_missing_artifact(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    recipe = Recipe("toy", 1)
    artifact_id = store.ensure(recipe, write_toy)
    change_file(store, artifact_id, "manifest.json", flip)
    with pytest.raises(ArtifactError, match=r"manifest\.json as it was published"):
        store.ensure(recipe, must_not_run)
    with caplog.at_level(logging.WARNING):
        assert store.list() == []
    assert artifact_id in caplog.text


def test_a_manifest_in_the_wrong_folder_is_refused(tmp_path: Path) -> None:
    store = Store(tmp_path)
    one = store.ensure(Recipe("toy", 1), write_toy)
    two = store.ensure(Recipe("toy", 2), write_toy)
    manifests = [tmp_path / "artifacts" / artifact_id / "manifest.json" for artifact_id in (one, two)]
    manifests[0].write_bytes(manifests[1].read_bytes())
    with pytest.raises(ArtifactError, match=f"the manifest of {two}"):
        store.lookup(Recipe("toy", 1))


def test_a_damaged_local_copy_is_fetched_again(tmp_path: Path) -> None:
    pytest.importorskip("fsspec")
    store = Store("fsspec+memory://copies/store", cache=tmp_path)
    artifact_id = store.ensure(Recipe("toy", 1), write_toy)
    copy = store.path(artifact_id)
    assert copy.is_relative_to(tmp_path)
    (copy / "inner" / "b.txt").write_text("cut")
    assert (store.path(artifact_id) / "inner" / "b.txt").read_text() == "b" * 100
    change_file(store, artifact_id, "inner/b.txt", flip)
    (copy / "inner" / "b.txt").unlink()
    with pytest.raises(ArtifactError, match=r"inner/b\.txt as it was published"):
        store.path(artifact_id)


def test_a_damaged_or_dangling_tag_is_named(store: Store) -> None:
    artifact_id = store.ensure(Recipe("toy", 1), write_toy)
    store.tag("best", artifact_id)
    store.place.filesystem.delete_dir(artifact_folder(store.place, artifact_id))
    (problem,) = store.verify()
    assert problem.file.endswith("refs/best.json")
    with store.place.filesystem.open_output_stream(store.place.join("refs", "best.json")) as stream:
        stream.write(b"{")
    with pytest.raises(ArtifactError, match=r"refs/best\.json"):
        store.resolve("best")
