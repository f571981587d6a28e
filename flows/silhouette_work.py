"""The silhouettes stage's work on tables: images in, instances, overlays and a summary out."""

import json
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from densecorr.detection.find import DETECTED, FILLED, SilhouetteFinder, id_prefix
from densecorr.errors import EmptyInstanceError, ImageError
from densecorr.images import contact_sheet, crop_frame, crop_image, decode_silhouette, read_image, write_png
from densecorr.records import ImageRecord, InstanceRecord
from storage.datasets import image_path, moved_root, read_dataset_info
from storage.rows import records_to_table, table_to_records
from storage.shards import finished_shards, remove_shards
from storage.tables import read_table, write_table

from .session import say

if TYPE_CHECKING:
    from .silhouettes import Silhouettes

N_OVERLAYS = 24
COLUMNS, SIDE = 6, 192  # of the contact sheet


@dataclass(frozen=True)
class ImageWork:
    """One image with its instances of the category; new ones are numbered from `first`."""

    record: ImageRecord
    path: Path | str
    known: tuple[InstanceRecord, ...]
    first: int


def images_to_search(folder: Path, category: str, mode: str) -> list[ImageWork]:
    """The images of a data set to look at, in the tables' order; with "missing" those that lack a silhouette.

    Raises:
        EmptyInstanceError: no image, or with "missing" no instance of the category.
    """
    root = read_dataset_info(folder).get("image_root", "")
    images = table_to_records("images", read_table(folder / "images.parquet", "images"))
    instances = table_to_records("instances", read_table(folder / "instances.parquet", "instances"))
    known: dict[str, list[InstanceRecord]] = {}
    highest: dict[str, int] = {}  # number in use, by what stands before it in the id
    for item in instances:
        if item.category == category:
            known.setdefault(item.image_id, []).append(item)
        before, slash, number = item.instance_id.rpartition("/")
        if number.isdecimal():
            highest[before + slash] = max(highest.get(before + slash, -1), int(number))
    if not images:
        raise EmptyInstanceError(
            "a data set with images",
            "none",
            "Ingest without `settings.categories`, or with settings.empty_images = 'keep': images without "
            "annotations are then kept.",
        )
    if mode == "missing" and not known:
        raise EmptyInstanceError(
            f"instances of category '{category}'",
            f"none; categories {sorted({item.category for item in instances})}",
            "Correct the category, or look for it in the images: settings.mode = 'detect'.",
        )
    return [
        ImageWork(
            record,
            image_path(folder, root, record.uri),
            tuple(known.get(record.image_id, ())),
            highest.get(id_prefix(record.image_id), -1) + 1,
        )
        for record in images
        if mode == "detect"
        or any(item.silhouette is None and not item.iscrowd for item in known.get(record.image_id, ()))
    ]


def write_found(
    path: Path,
    batch: Sequence[ImageWork],
    finder: SilhouetteFinder,
    category: str,
    step: Callable[[int], object],
) -> None:
    """Search a batch of images into a folder: instances.parquet and facts.json; `step` hears of each image.

    Images that cannot be used are left out, with the reason in facts.json.

    Raises:
        FeatureError: a network's answer is not a number.
    """
    records: list[InstanceRecord] = []
    skipped: dict[str, str] = {}
    dropped: Counter[str] = Counter()
    best_score = 0.0
    for index, work in enumerate(batch):
        step(index)
        try:
            found = finder(read_image(work.path), work.record, work.known, category, work.first)
        except ImageError as error:
            expected, received, _ = error.args
            skipped[work.record.image_id] = f"expected {expected}; received {received}"
            continue
        records += found.records
        dropped += found.dropped
        best_score = max(best_score, found.best_score or 0.0)
    path.mkdir()
    write_table(path / "instances.parquet", "instances", records_to_table("instances", records))
    facts = {"skipped": skipped, "dropped": dropped, "best_score": best_score}
    (path / "facts.json").write_text(json.dumps(facts) + "\n", encoding="utf-8")


def finish_silhouettes(
    out: Path, shards: Path, folder: Path, artifact_id: str, command: "Silhouettes"
) -> None:
    """Join the shards with the old tables; write overlays.png and summary.json; remove the shards.

    Raises:
        EmptyInstanceError: the data set still has no instance of the category.
    """
    files = list(finished_shards(shards).values())
    facts = [json.loads((path / "facts.json").read_text(encoding="utf-8")) for path in files]
    found = [
        record
        for path in files
        for record in table_to_records("instances", read_table(path / "instances.parquet", "instances"))
    ]
    old = table_to_records("instances", read_table(folder / "instances.parquet", "instances"))
    changed = {record.instance_id: record for record in found if record.silhouette_source == FILLED}
    new = [record for record in found if record.silhouette_source == DETECTED]
    instances = [changed.get(record.instance_id, record) for record in old] + new
    summary = _summarise(facts, changed, new, command)
    if not any(record.category == command.category for record in instances):
        raise _nothing_found(summary, command)
    for name in ("images", "labels", "cameras", "quarantine", "duplicates"):
        if (folder / f"{name}.parquet").exists():
            shutil.copyfile(folder / f"{name}.parquet", out / f"{name}.parquet")
    write_table(out / "instances.parquet", "instances", records_to_table("instances", instances))
    info = read_dataset_info(folder)
    info["image_root"] = moved_root(info.get("image_root", ""), artifact_id)
    (out / "dataset.json").write_text(json.dumps(info, indent=1) + "\n", encoding="utf-8")
    (out / "summary.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    _write_overlays(out / "overlays.png", [*changed.values(), *new], folder)
    remove_shards(shards)
    say(
        f"{command.category}: {len(new)} objects found, {len(changed)} silhouettes filled in, "
        f"{summary['images_skipped']} images skipped"
    )


def _summarise(
    facts: list[dict[str, Any]],
    changed: dict[str, InstanceRecord],
    new: list[InstanceRecord],
    command: "Silhouettes",
) -> dict[str, Any]:
    dropped: Counter[str] = Counter()
    skipped: dict[str, str] = {}
    for one in facts:
        dropped.update(one["dropped"])
        skipped |= one["skipped"]
    scores = [record.score for record in new if record.score is not None]
    return {
        "category": command.category,
        "prompt": command.settings.prompt(command.category),
        "found": len(new),
        "images_with_new": len({record.image_id for record in new}),
        "filled": len(changed),
        "mean_score": round(float(np.mean(scores)), 5) if scores else None,
        "best_score": round(max((one["best_score"] for one in facts), default=0.0), 5),
        "dropped": {reason: n for reason, n in sorted(dropped.items()) if n},
        "images_skipped": len(skipped),
        "skipped": skipped,
    }


def _nothing_found(summary: dict[str, Any], command: "Silhouettes") -> EmptyInstanceError:
    reasons = [f"{n} x {reason}" for reason, n in summary["dropped"].items()]
    if summary["skipped"]:
        first = next(iter(summary["skipped"].values()))
        reasons.append(f"{summary['images_skipped']} images skipped, the first: {first}")
    return EmptyInstanceError(
        f"'{command.category}' in some image, with a score above box_threshold {command.settings.box_threshold:g}",
        f"nothing; the best score was {summary['best_score']:.2f}" + "".join(f"; {text}" for text in reasons),
        "Lower settings.box_threshold, or name the object in other words: settings.prompts.",
    )


def _write_overlays(path: Path, records: list[InstanceRecord], folder: Path) -> None:
    """A contact sheet of some of the instances, evenly spread: what is not the object is darkened."""
    root = read_dataset_info(folder).get("image_root", "")
    table = read_table(folder / "images.parquet", "images", columns=["image_id", "uri"])
    uris = dict(zip(table["image_id"].to_pylist(), table["uri"].to_pylist(), strict=True))
    pictures = []
    for record in records[:: max(1, -(-len(records) // N_OVERLAYS))]:
        image = read_image(image_path(folder, root, uris[record.image_id]))
        if record.silhouette is None:
            continue
        inside = decode_silhouette(record.silhouette, *image.shape[:2])
        shown = np.where(inside[..., None], image, image // 4)
        pictures.append(crop_image(shown, crop_frame(record.xywh, SIDE)))
    if pictures:
        write_png(path, contact_sheet(pictures, min(COLUMNS, len(pictures)), SIDE))
