"""A full disk: a readable error, nothing visible, and finished shards still there."""

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import storage
from densecorr.errors import ArtifactError
from storage.artifacts import Recipe, Store
from storage.filesystem import is_disk_full
from storage.shards import finished_shards, write_shard

RECIPE = Recipe("toy", 1)


def fill(directory: Path) -> None:
    """What writing to a full disk raises, from the system itself."""
    (directory / "a.bin").write_bytes(b"a")
    with open("/dev/full", "wb") as file:
        file.write(b"x" * 100_000)


def write_toy(directory: Path) -> None:
    (directory / "a.bin").write_bytes(b"a" * 1000)
    (directory / "b.bin").write_bytes(b"b" * 1000)


def assert_nothing_visible(store: Store) -> None:
    assert store.lookup(RECIPE) is None
    assert store.list() == []
    assert store.verify() == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the system has no /dev/full")
def test_a_full_disk_in_the_writer_is_explained(store: Store) -> None:
    with pytest.raises(ArtifactError, match=r"room in .* to write toy .*No space left.*store gc") as caught:
        store.ensure(RECIPE, fill)
    assert isinstance(caught.value.__cause__, OSError)
    assert_nothing_visible(store)
    assert list((store.place.workspace / "drafts").glob("*")) == []  # the draft's room is given back
    store.ensure(RECIPE, write_toy)
    assert store.verify() == []


def test_finished_shards_stay_in_place(store: Store) -> None:
    def write(directory: Path) -> None:
        for index in range(4):
            if index in finished_shards(directory):
                continue
            if room == index:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            write_shard(directory, index, lambda path, index=index: path.write_text(str(index)))
            written.append(index)

    written: list[int] = []
    room = 2
    with pytest.raises(ArtifactError, match="finished shards are kept"):
        store.ensure(RECIPE, write, shards=True)
    assert_nothing_visible(store)
    room = 99
    path = store.path(store.ensure(RECIPE, write, shards=True))
    assert written == [0, 1, 2, 3]
    assert list(finished_shards(path)) == [0, 1, 2, 3]


@pytest.mark.parametrize("function", ["fsync", "replace", "rename", "mkdir"])
def test_a_disk_that_fills_while_publishing_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    store = Store(tmp_path / "store")
    plain, n_calls, fail_at = getattr(os, function), 0, 0

    def sometimes(*args: object, **kwargs: object) -> object:
        nonlocal n_calls
        n_calls += 1
        if n_calls == fail_at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return plain(*args, **kwargs)

    monkeypatch.setattr(os, function, sometimes)
    messages = []
    for fail_at in range(1, 20):  # noqa: B007  the function above reads it
        n_calls = 0
        try:
            store.ensure(RECIPE, write_toy)
            break
        except ArtifactError as error:
            messages.append(str(error))
        if store.lookup(RECIPE) is not None:  # the artifact's name is flushed after the rename: it is whole
            assert function == "fsync"
            assert store.verify() == []
            shutil.rmtree(tmp_path / "store")
        assert_nothing_visible(store)
    assert messages
    assert all("No space left" in message for message in messages)
    assert store.verify(store.ensure(RECIPE, write_toy)) == []


def test_an_upload_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("fsspec")
    store = Store("fsspec+memory://full/store", cache=tmp_path)

    def fail(*args: object, **kwargs: object) -> None:
        raise OSError("[Errno 28] Error writing bytes to file. Detail: No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("storage.publish.fs.copy_files", fail)
        with pytest.raises(ArtifactError, match="No space left"):
            store.ensure(RECIPE, write_toy)
    assert_nothing_visible(store)
    assert store.verify(store.ensure(RECIPE, write_toy)) == []


IN_A_SMALL_DISK = """
import json, sys
from pathlib import Path
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.numpy import save_file
from densecorr.errors import ArtifactError
from storage.artifacts import Recipe, Store

store = Store(sys.argv[1])
big = np.random.default_rng(0).random(1_000_000)
writers = {
    "bytes": lambda path: path.write_bytes(big.tobytes()),
    "npz": lambda path: np.savez(path.with_suffix(".npz"), big=big),
    "parquet": lambda path: pq.write_table(pa.table({"big": big}), path),
    "safetensors": lambda path: save_file({"big": big}, path),
}
report = {}
for name, write in writers.items():
    try:
        store.ensure(Recipe(name, 1), lambda directory: write(directory / "big"))
        report[name] = "made"
    except ArtifactError as error:
        report[name] = str(error)
small = store.ensure(Recipe("small", 1), lambda directory: (directory / "a").write_text("a"))
report["left"] = [manifest.artifact_id for manifest in store.list()] == [small] and store.verify() == []
print(json.dumps(report))
"""


def test_every_kind_of_file_on_a_disk_that_is_really_full(tmp_path: Path) -> None:
    if shutil.which("unshare") is None:
        pytest.skip("no unshare, so no small disk to fill")
    mount = f'mount -t tmpfs -o size=1m tmpfs "{tmp_path}" && exec "$0" "$@"'
    probe = subprocess.run(["unshare", "-rm", "sh", "-c", mount, "true"], capture_output=True)
    if probe.returncode != 0:
        pytest.skip("this system does not let users mount a small disk")
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", mount, sys.executable, "-c", IN_A_SMALL_DISK, str(tmp_path / "store")],
        env={**os.environ, "PYTHONPATH": str(Path(storage.__file__).parents[1])},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report.pop("left") is True
    assert len(report) == 4
    for name, message in report.items():
        assert f"to write {name}" in message
        assert "MiB free after cleaning up" in message


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (OSError(errno.ENOSPC, "x"), True),
        (OSError(errno.EDQUOT, "x"), True),
        (OSError(errno.EACCES, "x"), False),
        (RuntimeError("I/O error: No space left on device (os error 28)"), True),
        (ValueError("no space in this name"), False),
    ],
)
def test_what_counts_as_full(error: Exception, full: bool) -> None:
    assert is_disk_full(error) is full

    def wrap() -> None:
        try:
            raise error
        except Exception as inner:
            raise KeyError("outer") from inner

    with pytest.raises(KeyError) as caught:
        wrap()
    assert is_disk_full(caught.value) is full


def test_other_errors_pass_as_they_are(store: Store) -> None:
    error = OSError(errno.EACCES, "no")

    def fail(directory: Path) -> None:
        raise error

    with pytest.raises(OSError, match="no") as caught:
        store.ensure(RECIPE, fail)
    assert caught.value is error


def test_a_tag_on_a_full_disk_keeps_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    ids = [store.ensure(Recipe("toy", version), write_toy) for version in range(2)]
    store.tag("best", ids[0])

    def fail(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    write: Callable[[], str] = lambda: store.tag("best", ids[1])  # noqa: E731
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(ArtifactError, match="the tag best"):
            write()
    assert store.resolve("best") == ids[0]
    assert [path.name for path in (tmp_path / "refs").iterdir()] == ["best.json"]
