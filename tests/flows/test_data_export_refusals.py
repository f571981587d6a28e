"""`densecorr data export`: several label sets, images elsewhere, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from densecorr.datasets import CocoSettings
from densecorr.datasets.coco import read_coco
from densecorr.datasets.query import Filters
from densecorr.errors import (
    AnnotationError,
    DatasetNotFoundError,
    DensecorrError,
    EmptyInstanceError,
    SettingsError,
)
from flows.data_export import DataExport
from flows.progress import StageProgress
from flows.session import Session
from storage.tables import write_table
from tests.flows.exports import export, image_bytes, ingest_labelled, load_toy, samples_of, tables_of


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("toy")
    load_toy().write(folder)
    return folder


@pytest.fixture(scope="module")
def session(root: Path) -> Session:
    return Session(str(root / "store"), "never")


@pytest.fixture(scope="module")
def labelled(session: Session, root: Path) -> Path:
    return ingest_labelled(session, root)


def doubled_labels(labelled: Path, path: Path) -> Path:
    """The label sets twice: by people, and moved a pixel by a model."""
    human = tables_of(labelled).labels
    moved = [
        {**row, "label_id": f"m{n}", "source": "model", "x": [x + 1 for x in row["x"]], "extra": None}
        for n, row in enumerate(human.to_pylist())
    ]
    write_table(path, "labels", pa.concat_tables([human, pa.Table.from_pylist(moved, schema=human.schema)]))
    return path


def test_of_several_label_sets_a_source_chooses(session: Session, labelled: Path, tmp_path: Path) -> None:
    path = doubled_labels(labelled, tmp_path / "both.parquet")
    with pytest.raises(AnnotationError, match="by source or producer"):
        export(session, labelled, tmp_path / "two", "densepose", labels=(str(path),))
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["both.parquet"]
    chosen = Filters(label_source=("model",))
    out = export(session, labelled, tmp_path / "dp", "densepose", labels=(str(path),), filters=chosen)
    after = read_coco(out / "annotations.json", out / "images", "toy", CocoSettings())
    before = tables_of(labelled).labels
    assert set(after.labels["source"].to_pylist()) == {"model"}
    for new, old in zip(after.labels.to_pylist(), before.to_pylist(), strict=True):
        assert new["x"] == pytest.approx([x + 1 for x in old["x"]], abs=1e-4)
        assert new["vertex"] == old["vertex"]
    out = export(session, labelled, tmp_path / "wds", "webdataset", labels=(str(path),))
    samples = {key: sample for tar in out.iterdir() for key, sample in samples_of(tar).items()}
    (one,) = json.loads(samples["toy%2F785"]["json"])["annotations"][:1]
    assert [label["source"] for label in one["labels"]] == ["human", "model"]


def test_what_cannot_be_written_leaves_nothing(
    session: Session, labelled: Path, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(
        error: type[BaseException], match: str | None, form: str = "webdataset", **options: Any
    ) -> None:
        with pytest.raises(error, match=match):
            export(session, labelled, tmp_path / "out", form, **options)
        assert list(tmp_path.iterdir()) == []

    fails(EmptyInstanceError, "none that has", filters=Filters(category=("horse",)))
    fails(SettingsError, "min_area below", filters=Filters(min_area=2.0, max_area=1.0))
    fails(DensecorrError, "no-such", labels=("no-such",))
    image = root / "images" / "000000000785.png"
    image.rename(root / "away.png")
    try:
        for form in ("coco", "densepose", "huggingface", "webdataset"):
            fails(DatasetNotFoundError, r"000000000785\.png", form)
    finally:
        (root / "away.png").rename(image)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(StageProgress, "__call__", stop)
    for form in ("coco", "huggingface", "webdataset"):
        fails(KeyboardInterrupt, None, form)


def test_nothing_of_others_is_overwritten(session: Session, labelled: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    export(session, labelled, tmp_path / "empty", "webdataset", images=False)
    with pytest.raises(SettingsError, match="a new or an empty folder"):
        export(session, labelled, tmp_path / "empty", "webdataset")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(SettingsError, match="a new or an empty folder"):
        export(session, labelled, tmp_path / "file", "webdataset")
    (tmp_path / "new.part").mkdir()
    with pytest.raises(SettingsError, match="was killed"):
        DataExport(str(labelled), tmp_path / "new", "coco")(session)
    assert (tmp_path / "new.part").is_dir()


def test_images_at_addresses_are_fetched_and_keep_their_suffix(
    session: Session, labelled: Path, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    for path in (root / "images").glob("*.png"):
        memory.pipe(f"/bucket/{path.name}", path.read_bytes())
    monkeypatch.setenv("DENSECORR_IMAGE_CACHE", str(tmp_path / "cache"))
    copy = tmp_path / "dataset"
    copy.mkdir()
    for file in labelled.iterdir():
        if file.is_file():
            (copy / file.name).write_bytes(file.read_bytes())
    info = json.loads((copy / "dataset.json").read_text())
    (copy / "dataset.json").write_text(json.dumps({**info, "image_root": "memory://bucket"}))
    out = export(session, copy, tmp_path / "wds", "webdataset")
    keys = {key: sample for tar in out.iterdir() for key, sample in samples_of(tar).items()}
    assert keys["toy%2F37"]["png"] == image_bytes(root, "000000000037.png")
    memory.rm("/bucket/000000000785.png")
    for cached in (tmp_path / "cache").rglob("*"):
        if cached.is_file():
            cached.unlink()
    with pytest.raises(DensecorrError, match=r"000000000785\.png"):
        export(session, copy, tmp_path / "gone", "huggingface")
    assert not (tmp_path / "gone").exists()
