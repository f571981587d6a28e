"""Digests of sources: by content and relative names only, and read again only when something changed."""

import os
import threading
import time
from pathlib import Path

import pytest

from densecorr.errors import DatasetNotFoundError
from storage import sources
from storage.artifacts import Store
from storage.recipe import is_source_digest
from storage.sources import digest_source


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of files whose content is read."""
    names: list[str] = []
    plain = sources.hash_local

    def hash_and_note(path: Path) -> str:
        names.append(path.name)
        return plain(path)

    monkeypatch.setattr(sources, "hash_local", hash_and_note)
    return names


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if every file had been written long ago."""
    monkeypatch.setattr(sources, "_SETTLED_S", -1e9)


def make_folder(folder: Path, b: str = "b") -> Path:
    (folder / "inner").mkdir(parents=True)
    (folder / "a.txt").write_text("a")
    (folder / "inner" / "b.txt").write_text(b)
    return folder


def test_the_digest_of_a_file_is_its_sha256(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    digest = digest_source(tmp_path / "empty")
    assert digest == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert is_source_digest(digest)


def test_equal_content_gives_equal_digests_wherever_it_lies(tmp_path: Path) -> None:
    one = make_folder(tmp_path / "one")
    two = make_folder(tmp_path / "two" / "deep")
    os.utime(two / "a.txt", (0, 0))
    (two / "hollow").mkdir()
    assert digest_source(one) == digest_source(two) == digest_source(str(one) + "/")
    (tmp_path / "link").symlink_to(one)
    assert digest_source(tmp_path / "link") == digest_source(one)


def test_names_contents_and_places_in_a_folder_count(tmp_path: Path) -> None:
    digests = {digest_source(make_folder(tmp_path / "0")), digest_source(make_folder(tmp_path / "1", b="c"))}
    renamed = make_folder(tmp_path / "2")
    (renamed / "a.txt").rename(renamed / "c.txt")
    moved = make_folder(tmp_path / "3")
    (moved / "inner" / "b.txt").rename(moved / "b.txt")
    digests |= {digest_source(renamed), digest_source(moved), digest_source(moved / "a.txt")}
    assert len(digests) == 5


def test_linked_folders_are_followed_and_circles_end(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "data")
    plain = digest_source(folder)
    outside = make_folder(tmp_path / "outside", b="x")
    (folder / "images").symlink_to(outside)
    with_images = digest_source(folder)
    assert with_images != plain
    (outside / "inner" / "b.txt").write_text("y")
    assert digest_source(folder) != with_images
    (outside / "back").symlink_to(folder)
    assert is_source_digest(digest_source(folder))


@pytest.mark.usefixtures("settled")
def test_only_changed_files_are_read_again(tmp_path: Path, reads: list[str]) -> None:
    folder, cache = make_folder(tmp_path / "data"), tmp_path / "cache"
    first = digest_source(folder, cache)
    assert sorted(reads) == ["a.txt", "b.txt"]
    reads.clear()
    assert digest_source(folder, cache) == first
    assert reads == []
    (folder / "inner" / "b.txt").write_text("longer")
    assert digest_source(folder, cache) != first
    assert reads == ["b.txt"]
    reads.clear()
    (folder / "c.txt").write_text("c")
    (folder / "a.txt").unlink()
    assert digest_source(folder, cache) == digest_source(folder)
    assert reads.count("a.txt") == 0


@pytest.mark.usefixtures("settled")
def test_what_a_stopped_reading_had_read_is_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reads: list[str]
) -> None:
    folder, cache = tmp_path / "data", tmp_path / "cache"
    folder.mkdir()
    for index in range(20):
        (folder / f"{index:02d}.txt").write_text(str(index))
    plain = sources.hash_local

    def stop_at_the_twelfth(path: Path) -> str:
        if path.name == "11.txt":
            raise OSError("the disk went away")
        return plain(path)

    monkeypatch.setattr(sources, "_REMEMBER_S", -1.0)
    monkeypatch.setattr(
        sources, "_files_below", lambda folder, _: {p.name: p for p in sorted(folder.iterdir())}
    )
    with monkeypatch.context() as patch:
        patch.setattr(sources, "hash_local", stop_at_the_twelfth)
        with pytest.raises(OSError, match="went away"):
            digest_source(folder, cache)
    reads.clear()
    assert digest_source(folder, cache) == digest_source(folder)
    assert sorted(reads[:9]) == [f"{index:02d}.txt" for index in range(11, 20)]
    assert len(reads) == 9 + 20


@pytest.mark.usefixtures("settled")
def test_a_change_that_keeps_size_and_mtime_is_seen(tmp_path: Path) -> None:
    file, cache = tmp_path / "a.txt", tmp_path / "cache"
    file.write_text("one")
    first = digest_source(file, cache)
    status = file.stat()
    time.sleep(0.02)  # longer than the clock tick of file times
    file.write_text("two")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert digest_source(file, cache) != first


def test_fresh_files_are_not_trusted_later(tmp_path: Path, reads: list[str]) -> None:
    file, cache = tmp_path / "a.txt", tmp_path / "cache"
    for content in ("one", "two", "six"):  # equal sizes, perhaps equal times
        file.write_text(content)
        assert digest_source(file, cache) == digest_source(file)
    assert len(reads) == 6


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize(
    "content", ["", "{", '{"format": 0, "files": {}}', '{"format": 1, "files": {"": 3}}', "[]"]
)
def test_a_damaged_memory_is_forgotten(tmp_path: Path, content: str, reads: list[str]) -> None:
    file, cache = tmp_path / "a.txt", tmp_path / "cache"
    file.write_text("one")
    first = digest_source(file, cache)
    (memory,) = cache.iterdir()
    memory.write_text(content)
    assert digest_source(file, cache) == first
    assert len(reads) == 2
    assert digest_source(file, cache) == first
    assert len(reads) == 2


@pytest.mark.usefixtures("settled")
def test_many_at_once_agree(tmp_path: Path) -> None:
    folder, cache = make_folder(tmp_path / "data"), tmp_path / "cache"
    for index in range(50):
        (folder / f"{index}.txt").write_text(str(index))
    expected, received = digest_source(folder), []
    threads = [
        threading.Thread(target=lambda: received.append(digest_source(folder, cache))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert received == [expected] * 8
    assert len(list(cache.iterdir())) == 1


def test_a_memory_that_cannot_be_written_costs_only_time(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one")
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert digest_source(tmp_path / "a.txt", tmp_path / "cache") == digest_source(tmp_path / "a.txt")


def test_the_store_inside_a_source_does_not_count(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "data")
    before = digest_source(folder)
    store = Store(folder / "runs" / "store")
    assert store.digest_source(folder) == before == store.digest_source(folder)


def test_nothing_there_is_an_error_that_names_the_path(tmp_path: Path) -> None:
    with pytest.raises(DatasetNotFoundError, match="nothing-here"):
        digest_source(tmp_path / "nothing-here")
