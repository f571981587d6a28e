"""The synthesise stage's work on tables: generated images in; a data set, pictures and a summary out."""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from densecorr.config import to_jsonable
from densecorr.errors import SettingsError
from densecorr.evaluation.overlays import figure_row, overlay_points, stack_figures
from densecorr.images import box_of_silhouette, encode_silhouette, read_image, write_png
from densecorr.records import ImageRecord, InstanceRecord, LabelRecord
from densecorr.synthesis import ControlNetGenerator
from densecorr.synthesis.generated import GeneratedImage, sample_points
from densecorr.synthesis.viewpoints import view_word
from densecorr.templates.colors import template_colors
from densecorr.templates.template import Template
from storage.datasets import read_instances, read_labels
from storage.rows import cameras_to_table, records_to_table
from storage.shards import finished_shards, remove_shards
from storage.tables import read_table, write_tables

from .session import say

if TYPE_CHECKING:
    from .synthesise import Synthesise  # the stage imports this file when it runs

N_SAMPLES = 12
SAMPLE_SIDE = 320
TABLES = ("images", "instances", "labels", "cameras")
ATTEMPTS = pa.schema(
    [
        ("index", pa.int64()),
        ("seed", pa.int64()),
        ("view", pa.string()),
        ("azimuth", pa.float64()),
        ("elevation", pa.float64()),
        ("prompt", pa.string()),
        ("background", pa.string()),
        ("kept", pa.bool_()),
        ("reason", pa.string()),
        ("depth_agreement", pa.float64()),
        ("silhouette_iou", pa.float64()),
    ]
)


def facts(generated: GeneratedImage) -> dict[str, Any]:
    """What is kept of how an image was made, as plain data."""
    return {
        "index": generated.index,
        "seed": generated.seed,
        "view": view_word(generated.view.azimuth),
        "azimuth": round(generated.view.azimuth, 4),
        "elevation": round(generated.view.elevation, 4),
        "prompt": generated.prompt,
        "background": generated.background,
    }


def write_images(
    folder: Path, made: Sequence[GeneratedImage], command: "Synthesise", template_id: str, producer: str
) -> None:
    """One shard: PNG files of all images (dropped ones apart), the tables of those kept, attempts.parquet of all."""
    for name in ("images", "dropped"):
        (folder / name).mkdir(parents=True)
    images, instances, labels, cameras = [], [], [], {}
    for one in made:
        file = folder / ("images" if one.verdict.kept else "dropped") / f"{one.index:06d}.png"
        write_png(file, one.image)
        if not one.verdict.kept:
            continue
        image_id = f"synthetic/{command.category}-{one.index:06d}"
        height, width = one.silhouette.shape
        images.append(
            ImageRecord(
                image_id,
                f"images/{file.name}",
                width,
                height,
                hashlib.sha256(file.read_bytes()).hexdigest(),
                split="train",
                source="synthetic",
                camera_id=image_id,
                extra=facts(one) | asdict(one.verdict),
            )
        )
        instances.append(
            InstanceRecord(
                image_id,
                image_id,
                command.category,
                box_of_silhouette(one.silhouette),
                encode_silhouette(one.silhouette),
                "projection",
                template_id,
                area=float(one.silhouette.sum()),
            )
        )
        xy, vertex = sample_points(one, command.points, command.seed)
        labels.append(
            LabelRecord(
                f"{producer}/{image_id}",
                image_id,
                template_id,
                "synthetic",
                producer,
                xy[:, 0],
                xy[:, 1],
                vertex,
                np.arange(len(vertex)),
            )
        )
        cameras[image_id] = one.view.camera
    tables = {
        "images": records_to_table("images", images),
        "instances": records_to_table("instances", instances),
        "labels": records_to_table("labels", labels),
        "cameras": cameras_to_table(cameras),
    }
    write_tables(folder, tables)
    rows = [facts(one) | asdict(one.verdict) | {"kept": one.verdict.kept} for one in made]
    pq.write_table(pa.Table.from_pylist(rows, ATTEMPTS), folder / "attempts.parquet", compression="zstd")


def read_attempts(shards: Path) -> pa.Table:
    """All attempts of the finished shards."""
    return pa.concat_tables(
        pq.read_table(folder / "attempts.parquet") for folder in finished_shards(shards).values()
    )


def check_some_kept(shards: Path) -> None:
    """Raise a SettingsError if not one image so far can be used."""
    attempts = read_attempts(shards)
    if any(attempts["kept"].to_pylist()):
        return
    best = {
        name: max((value for value in attempts[name].to_pylist() if value is not None), default=None)
        for name in ("depth_agreement", "silhouette_iou")
    }
    figures = ", ".join(f"best {name} {value:.2f}" for name, value in best.items() if value is not None)
    reasons = ", ".join(f"{count} x {reason}" for reason, count in count_reasons(attempts).items())
    raise SettingsError(
        "at least one image that the gate keeps",
        f"none of {len(attempts)} ({reasons}{'; ' if figures else ''}{figures})",
        "Change prompt, viewpoints or control_scale, or lower the thresholds in generator.gate.",
    )


def count_reasons(attempts: pa.Table) -> dict[str, int]:
    """How many images were dropped for each reason."""
    reasons = Counter(reason for reason in attempts["reason"].to_pylist() if reason)
    return dict(sorted(reasons.items()))


def finish_dataset(out: Path, shards: Path, template: Template, command: "Synthesise") -> None:
    """Join the shards into one data set; a run killed in here starts it again with what is there."""
    folders = finished_shards(shards).values()
    (out / "images").mkdir(exist_ok=True)
    for folder in folders:
        for file in sorted((folder / "images").iterdir()):
            os.replace(file, out / "images" / file.name)
    tables = {
        name: pa.concat_tables([read_table(folder / f"{name}.parquet", name) for folder in folders])
        for name in TABLES
    }
    write_tables(out, tables)
    attempts = read_attempts(shards)
    pq.write_table(attempts, out / "attempts.parquet", compression="zstd")
    info = {
        "image_root": "",
        "source": "synthetic",
        "split": "train",
        "label_source": "synthetic",
        "categories": [{"id": 1, "name": command.category}],
        "generator": to_jsonable(command.generator),
    }
    (out / "dataset.json").write_text(json.dumps(info, indent=1) + "\n", encoding="utf-8")
    summary = summarise(attempts, tables["labels"], command)
    (out / "summary.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    write_png(out / "samples.png", stack(sample_rows(out, template)))
    dropped = dropped_rows([folder / "dropped" for folder in folders], attempts)
    if dropped:
        write_png(out / "dropped.png", stack(dropped))
    say(f"{command.category}: {summary['kept']} of {summary['asked']} images kept")
    remove_shards(shards)


def summarise(attempts: pa.Table, labels: pa.Table, command: "Synthesise") -> dict[str, Any]:
    """Counts, and the gate's median figures where it measured any."""
    kept = sum(attempts["kept"].to_pylist())
    summary: dict[str, Any] = {
        "asked": len(attempts),
        "kept": kept,
        "dropped": len(attempts) - kept,
        "reasons": count_reasons(attempts),
        "points": int(sum(len(vertex) for vertex in labels["vertex"].to_pylist())),
        "generator": command.generator.kind,
    }
    if isinstance(command.generator, ControlNetGenerator):
        summary["safety_checker"] = command.generator.safety_checker
    for name in ("depth_agreement", "silhouette_iou"):
        known = [value for value in attempts[name].to_pylist() if value is not None]
        if known:
            summary[f"median_{name}"] = round(float(np.median(known)), 4)
    return summary


def sample_rows(out: Path, template: Template) -> list[np.ndarray]:
    """Image and labels in template colours, of the first images."""
    import cv2

    colors, labels, rows = template_colors(template.V), read_labels(out), []
    for item in read_instances(out)[:N_SAMPLES]:
        image, label = read_image(item.path), labels[item.instance.instance_id]
        larger = max(1, round(SAMPLE_SIDE / len(image)))  # dots and their rims would hide a small picture
        image = cv2.resize(image, None, fx=larger, fy=larger, interpolation=cv2.INTER_CUBIC)
        points = (np.stack([label.x, label.y], axis=1).astype(np.float64) + 0.5) * larger - 0.5
        painted = overlay_points(image, points, colors[label.vertex], len(image) / 130)
        title = f"{item.image.extra['index']}: {item.image.extra['view']}"
        rows.append(figure_row([image, painted], [title, "labels"], SAMPLE_SIDE))
    return rows


def dropped_rows(folders: Sequence[Path], attempts: pa.Table) -> list[np.ndarray]:
    """The first images that were dropped, each under its reason."""
    reasons = dict(zip(attempts["index"].to_pylist(), attempts["reason"].to_pylist(), strict=True))
    files = [file for folder in folders for file in sorted(folder.iterdir())][:N_SAMPLES]
    return [
        figure_row([read_image(file)], [f"{int(file.stem)}: {reasons[int(file.stem)]}"]) for file in files
    ]


def stack(rows: list[np.ndarray]) -> np.ndarray:
    """Rows of pictures, all of one height, below each other, two columns of them, on white."""
    columns = [stack_figures(rows[i::2]) for i in range(min(2, len(rows)))]
    return np.swapaxes(stack_figures([np.swapaxes(column, 0, 1) for column in columns]), 0, 1)
