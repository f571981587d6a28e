"""The pseudo-label stage's work on tables: instances in, label rows, overlays and a summary out."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from densecorr.evaluation.overlays import figure_row, overlay_points, stack_figures
from densecorr.images import read_image, write_png
from densecorr.pseudolabels.orientation import probably_mirrored
from densecorr.records import LabelRecord
from densecorr.templates.colors import template_colors
from densecorr.templates.template import Template
from storage.datasets import DatasetInstance
from storage.rows import records_to_table, table_to_records
from storage.shards import finished_shards, remove_shards
from storage.tables import read_table, write_table

N_OVERLAYS = 8


def finish_labels(
    out: Path, shards: Path, instances: list[DatasetInstance], template: Template, chosen: dict[str, Any]
) -> None:
    """Join the shards into labels.parquet; write overlays.png and summary.json; remove the shards."""
    import pyarrow as pa

    files = finished_shards(shards)
    table = pa.concat_tables([read_table(path, "labels") for path in files.values()])
    found = flag_mirrored(table_to_records("labels", table))
    write_table(out / "labels.parquet", "labels", records_to_table("labels", found))
    records = {record.instance_id: record for record in found}
    (out / "summary.json").write_text(
        json.dumps(summarise(records, len(instances)) | chosen, indent=1) + "\n"
    )
    pictures = label_pictures(instances, records, template)
    if pictures:
        write_png(out / "overlays.png", stack_figures(pictures))
    remove_shards(shards)


def flag_mirrored(records: list[LabelRecord]) -> list[LabelRecord]:
    """The label sets; `extra` says which are probably left for right, to be reviewed and left out of training."""
    signs = [[record.extra.get(key) for record in records] for key in ("orientation", "view_lead")]
    return [
        replace(record, extra={**record.extra, "probably_mirrored": bool(flag)})
        for record, flag in zip(records, probably_mirrored(*signs), strict=True)
    ]


def summarise(records: dict[str, LabelRecord], n_instances: int) -> dict[str, float | int]:
    """Counts and mean quality figures; none of them knows the truth."""
    joined = {
        name: np.concatenate([getattr(record, name) for record in records.values()])
        if records
        else np.empty(0)
        for name in ("score", "margin", "cycle_px", "expected_error")
        if all(getattr(record, name) is not None for record in records.values())
    }
    means = {f"mean_{name}": round(float(values.mean()), 5) for name, values in joined.items() if values.size}
    return {
        "instances": n_instances,
        "labelled": len(records),
        "without_silhouette": n_instances - len(records),
        "points": int(joined["score"].size),
        "probably_mirrored": sum(bool(record.extra.get("probably_mirrored")) for record in records.values()),
    } | means


def label_pictures(
    instances: list[DatasetInstance], records: dict[str, LabelRecord], template: Template
) -> list[np.ndarray]:
    """Rows of image and labelled points in template colours, of the first labelled instances."""
    colors, rows = template_colors(template.V), []
    for item in [item for item in instances if item.instance.instance_id in records][:N_OVERLAYS]:
        record, image = records[item.instance.instance_id], read_image(item.path)
        x, y, w, h = item.instance.xywh
        pad = 0.1 * max(w, h)
        x0, y0 = max(0, int(x - pad)), max(0, int(y - pad))
        x1, y1 = int(min(image.shape[1], x + w + pad)), int(min(image.shape[0], y + h + pad))
        points = np.stack([record.x, record.y], axis=1).astype(np.float64)
        painted = overlay_points(image, points, colors[record.vertex], radius=max(2.0, max(w, h) / 60))
        rows.append(
            figure_row([image[y0:y1, x0:x1], painted[y0:y1, x0:x1]], [item.instance.category, "zero-shot"])
        )
    return rows
