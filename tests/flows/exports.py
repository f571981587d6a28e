"""Toy data sets to export, and reading what was written."""

import importlib.util
import json
import tarfile
from pathlib import Path
from types import ModuleType
from typing import Any

from densecorr.datasets import CocoSettings
from densecorr.datasets.arrow import DatasetTables
from flows.data_export import DataExport
from flows.ingest import STAGE, Ingest
from flows.progress import StageProgress
from flows.session import Session
from flows.stage import run_stage
from storage.tables import read_table


def load_toy() -> ModuleType:
    """tests/data/coco/make.py"""
    path = Path(__file__).parents[1] / "data" / "coco" / "make.py"
    spec = importlib.util.spec_from_file_location("make_coco", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def ingest(session: Session, annotations: Path, images: Path, **options: Any) -> Path:
    command = Ingest(str(annotations), str(images), "toy", CocoSettings(**options))
    return session.store.path(run_stage(STAGE, command, session.store, StageProgress("ingest")))


def ingest_labelled(session: Session, root: Path) -> Path:
    """Instances with labels and without, three images, in one set without splits but those of two images."""
    toy = load_toy()
    merged = toy.densepose_cse()
    ids = {image["id"] for image in merged["images"]}
    merged["images"] += [image for image in toy.instances()["images"] if image["id"] not in ids]
    merged["annotations"] += [{**row, "id": row["id"] + 100} for row in toy.instances()["annotations"]]
    (root / "merged.json").write_text(json.dumps(merged))
    return ingest(session, root / "merged.json", root / "images")


def tables_of(folder: Path) -> DatasetTables:
    images, instances, labels = (
        read_table(folder / f"{name}.parquet", name) for name in ("images", "instances", "labels")
    )
    return DatasetTables(images, instances, labels)


def export(session: Session, dataset: Path, out: Path, form: Any, **options: Any) -> Path:
    DataExport(str(dataset), out, form, **options)(session)
    assert not out.with_name(f"{out.name}.part").exists()
    return out


def image_bytes(root: Path, uri: str) -> bytes:
    return (root / "images" / uri).read_bytes()


def samples_of(tar: Path) -> dict[str, dict[str, bytes]]:
    """Members by key and suffix, as `webdataset` groups them: up to the first dot, neighbours only."""
    samples: dict[str, dict[str, bytes]] = {}
    last = None
    with tarfile.open(tar) as file:
        for member in file:
            assert (member.mtime, member.uid, member.gid, member.uname) == (0, 0, 0, "")
            key, suffix = member.name.split(".", 1)
            assert key == last or key not in samples
            last = key
            samples.setdefault(key, {})[suffix] = file.extractfile(member).read()
    return samples
