"""Shards: whole or not there."""

import os
from pathlib import Path

import numpy as np
import pytest

from densecorr.errors import ArtifactError
from storage.shards import finished_shards, remove_shards, remove_unfinished, write_shard


def test_shards_are_found_in_order(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    assert finished_shards(folder) == {}
    for index in (10, 2, 100_000):
        path = write_shard(folder, index, lambda path: path.write_text(path.suffix), suffix=".txt")
        assert path.read_text() == ".txt"
    (folder / "notes.txt").touch()
    assert list(finished_shards(folder)) == [2, 10, 100_000]
    assert finished_shards(folder)[2] == folder / "shard-00002.txt"


def test_writers_that_add_endings_behave(tmp_path: Path) -> None:
    path = write_shard(tmp_path, 0, lambda path: np.savez(path, a=np.arange(3)), suffix=".npz")
    with np.load(path) as arrays:
        assert arrays["a"].tolist() == [0, 1, 2]


def test_a_writer_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail(path: Path) -> None:
        path.write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_shard(tmp_path, 0, fail)
    assert list(tmp_path.iterdir()) == []


def test_a_writer_that_writes_elsewhere_is_told(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="Write to the path as given"):
        write_shard(tmp_path, 0, lambda path: path.with_suffix(".other").write_text("x"))


def test_a_shard_can_be_a_folder_and_be_replaced(tmp_path: Path) -> None:
    def write(path: Path) -> None:
        (path / "inner").mkdir(parents=True)
        (path / "inner" / "a.txt").write_text("a")

    for _ in range(2):
        path = write_shard(tmp_path, 3, write, suffix="")
    assert (path / "inner" / "a.txt").read_text() == "a"
    assert finished_shards(tmp_path) == {3: path}


def test_negative_indices_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError):
        write_shard(tmp_path, -1, lambda path: path.touch())


def test_leftovers_do_not_show_and_can_be_removed(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / ".tmp-abc-shard-00000.parquet").touch()
    (tmp_path / ".tmp-abc-shard-00001").mkdir()
    assert finished_shards(tmp_path) == {}
    remove_unfinished(tmp_path)
    assert [path.name for path in tmp_path.rglob("*")] == ["inner"]


def test_a_kill_while_shards_are_removed_leaves_none_that_is_half_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(path: Path) -> None:
        path.mkdir()
        for name in ("a.txt", "b.txt"):
            (path / name).write_text(name)

    for index in range(2):
        write_shard(tmp_path / "shards", index, write, suffix="")
    unlink, removed = os.unlink, []

    def stop_at_second(name: str, **options: int | None) -> None:
        if removed:
            raise KeyboardInterrupt
        removed.append(name)
        unlink(name, **options)

    with monkeypatch.context() as patch:
        patch.setattr("os.unlink", stop_at_second)
        with pytest.raises(KeyboardInterrupt):
            remove_shards(tmp_path / "shards")
    assert removed
    assert finished_shards(tmp_path / "shards") == {}
    write_shard(tmp_path / "shards", 0, write, suffix="")
    remove_shards(tmp_path / "shards")
    remove_shards(tmp_path / "shards")  # gone already
    remove_unfinished(tmp_path)
    assert list(tmp_path.iterdir()) == []
