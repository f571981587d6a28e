"""gc frees what nobody needs and nothing else."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from storage.artifacts import Recipe, Store
from storage.catalog import artifact_folder
from storage.drafts import open_draft
from storage.shards import write_shard


def write_toy(directory: Path) -> None:
    (directory / "a.bin").write_bytes(b"a" * 1000)


def make(store: Store, stage: str, *inputs: str) -> str:
    return store.ensure(Recipe(stage, 1, None, {"parts": list(inputs)} if inputs else {}), write_toy)


def left(store: Store) -> set[str]:
    return {manifest.artifact_id for manifest in store.list()}


def test_only_tagged_artifacts_and_what_they_were_made_from_stay(make_store: Callable[[], Store]) -> None:
    store = make_store()
    data, mesh, lost = make(store, "data"), make(store, "mesh"), make(store, "lost")
    labels = make(store, "labels", data, mesh)
    model = make(store, "model", labels)
    unused = make(store, "unused", labels)
    store.tag("best", model)
    for artifact_id in (model, unused):
        store.path(artifact_id)  # a store that is not local keeps copies
    report = store.gc(min_age_s=0)
    assert not report.deleted
    assert {Path(item.path).name for item in report.items if item.kind == "artifact"} == {unused, lost}
    assert left(store) == {data, mesh, lost, labels, model, unused}  # said, not done
    report = make_store().gc(delete=True, min_age_s=0)
    assert report.deleted
    assert report.freed_bytes >= 2000
    assert left(store) == {data, mesh, labels, model}
    assert store.verify() == []
    copies = [path.name for path in (store.place.workspace / "artifacts").iterdir()]
    assert unused not in copies
    assert model in copies
    assert make_store().gc(min_age_s=0).items == []
    assert make(store, "lost") == lost  # can be made again


def test_what_was_used_a_moment_ago_is_spared_with_its_inputs(store: Store) -> None:
    data = make(store, "data")
    make(store, "model", data)
    report = store.gc(delete=True)
    assert [item.free for item in report.items] == [False, False]
    assert len(left(store)) == 2


def test_finding_an_artifact_counts_as_use(tmp_path: Path) -> None:
    store = Store(tmp_path)
    ids = [make(store, "old"), make(store, "found")]
    for artifact_id in ids:
        long_ago = time.time() - 1e6
        os.utime(tmp_path / "artifacts" / artifact_id / "manifest.json", (long_ago, long_ago))
    assert make(store, "found") == ids[1]
    store.gc(delete=True)
    assert left(store) == {ids[1]}


@pytest.mark.parametrize("shards", [False, True])
def test_a_draft_in_use_and_its_inputs_survive(make_store: Callable[[], Store], shards: bool) -> None:
    store = make_store()
    data = make(store, "data")
    grandchild = Recipe("labels", 1, None, {"images": make(store, "images", data)})
    kept = set()

    def write(directory: Path) -> None:
        write_toy(directory)
        report = make_store().gc(delete=True, min_age_s=0)
        kept.update(left(store))
        (item,) = [item for item in report.items if item.kind == "draft"]
        assert not item.free
        assert f"process {os.getpid()}" in item.why
        assert (directory / "a.bin").exists()

    unrelated = make(store, "unrelated")
    labels = store.ensure(grandchild, write, shards=shards)
    assert data in kept
    assert unrelated not in kept
    assert len(kept) == 2
    assert store.verify(labels) == []


def test_a_run_that_is_only_starting_protects_everything(store: Store) -> None:
    data = make(store, "data")
    with open_draft(store.place, Recipe("labels", 1), resume=False) as draft:
        (draft.folder / "draft.json").unlink()  # as in the moment before it is written
        store.gc(delete=True, min_age_s=0)
        assert left(store) == {data}
        assert draft.files.is_dir()
    store.gc(delete=True, min_age_s=0)
    assert left(store) == set()


def fail_after_a_shard(directory: Path) -> None:
    write_shard(directory, 0, lambda path: path.write_text("0"))
    raise ValueError("mine")


def test_an_interrupted_draft_can_be_resumed_until_it_is_old(make_store: Callable[[], Store]) -> None:
    store = make_store()
    data = make(store, "data")
    recipe = Recipe("labels", 1, None, {"images": data})
    with pytest.raises(ValueError, match="mine"):
        store.ensure(recipe, fail_after_a_shard, shards=True)
    (item,) = [item for item in store.gc(delete=True).items if item.kind == "draft"]
    assert not item.free
    assert left(store) == {data}
    make_store().gc(delete=True, min_age_s=0)
    assert list((store.place.workspace / "drafts").iterdir()) == []
    assert left(store) == set()


def test_the_draft_of_a_dead_process_goes_at_once_with_its_lock(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for name in ("0" * 20 + "-abcd", "foreign"):
        (tmp_path / "drafts" / name / "files").mkdir(parents=True)
        (tmp_path / "drafts" / f"{name}.lock").touch()
    (tmp_path / "drafts" / "stray.lock").touch()
    report = store.gc(delete=True)
    assert [item.free for item in report.items] == [True, True]
    assert list((tmp_path / "drafts").iterdir()) == []


def test_leftovers_without_a_manifest_go(store: Store) -> None:
    data = make(store, "data")
    store.tag("best", data)
    filesystem = store.place.filesystem
    for folder in (artifact_folder(store.place, "0" * 20), artifact_folder(store.place, "foreign")):
        filesystem.create_dir(folder, recursive=True)
        with filesystem.open_output_stream(f"{folder}/x.bin") as stream:
            stream.write(b"x" * 10)
    report = store.gc(delete=True, min_age_s=0)
    assert [(item.kind, item.n_bytes, item.free) for item in report.items] == [("leftover", 10, True)] * 2
    assert [info.base_name for info in filesystem.get_file_info(_all(store))] == [data]


def _all(store: Store) -> object:
    from pyarrow.fs import FileSelector

    return FileSelector(store.place.join("artifacts"))


def test_an_upload_that_may_be_going_on_is_spared(tmp_path: Path) -> None:
    pytest.importorskip("fsspec")
    store = Store("fsspec+memory://uploads/store", cache=tmp_path)
    data = make(store, "data")
    store.tag("best", data)
    for folder in (f"{artifact_folder(store.place, data)}/0123", artifact_folder(store.place, "0" * 20)):
        store.place.filesystem.create_dir(folder, recursive=True)
        with store.place.filesystem.open_output_stream(f"{folder}/x.bin") as stream:
            stream.write(b"x" * 10)
    assert [item.free for item in store.gc(delete=True).items] == [False, False]
    assert [item.free for item in store.gc(delete=True, min_age_s=0).items] == [True, True]
    assert store.gc().items == []
    assert store.verify() == []


def test_half_written_tags_go(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.tag("best", make(store, "data"))
    (tmp_path / "refs" / ".tmp-123-best.json").write_text("{")
    assert store.tags().keys() == {"best"}
    store.gc(delete=True, min_age_s=0)
    assert [path.name for path in (tmp_path / "refs").iterdir()] == ["best.json"]


def test_a_damaged_artifact_is_left_to_its_owner(tmp_path: Path) -> None:
    store = Store(tmp_path)
    artifact_id = make(store, "data")
    (tmp_path / "artifacts" / artifact_id / "manifest.json").write_text("{}")
    store.gc(delete=True, min_age_s=0)
    assert (tmp_path / "artifacts" / artifact_id / "a.bin").exists()


def test_an_artifact_found_while_gc_runs_is_spared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    found, lost = make(store, "found"), make(store, "lost")
    plain = store.place.filesystem  # the scan is over once the leftovers are looked for
    monkeypatch.setattr(
        "storage.collect._leftover_items",
        lambda place, scan: [make(store, "found")] and [],
    )
    store.gc(delete=True, min_age_s=0)
    assert plain is store.place.filesystem
    assert left(store) == {found}
    assert lost not in left(store)
