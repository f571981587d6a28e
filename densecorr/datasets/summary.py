"""What a data set holds, counted: by category, split, label source, licence, size, visibility and review."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from .query import number_in_extra, open_table, reviewed_ids

SMALL, LARGE = 32.0**2, 96.0**2  # COCO's sizes, in square pixels of area
_VISIBLE_EDGES = (0.25, 0.5, 0.75, 1.0)
_NONE = "(none)"


def summarise_dataset(folder: Path) -> dict[str, Any]:
    """Totals (`images`, `instances`, `label_sets`, `points`) and, under `by`, counts of each value of each property.

    Instances are counted by category, split, silhouette source, size (COCO's small, medium and large by area), visible
    share and number of keypoints where the data say them, and whether they were reviewed; images by split and licence;
    label sets by source; quarantined rows by kind.

    Raises:
        DatasetNotFoundError: the folder is not a data set.
    """
    images = open_table(folder, "images").to_table(columns=["image_id", "split", "licence"])
    columns = ["instance_id", "image_id", "category", "area", "silhouette_source", "extra"]
    instances = open_table(folder, "instances").to_table(columns=columns)
    labels = open_table(folder, "labels").to_table(columns=["instance_id", "source", "x"])
    place = pc.index_in(instances["image_id"], value_set=images["image_id"].combine_chunks())
    n_reviewed = _n_reviewed(folder, instances["instance_id"])
    by = {
        "category": _counts(instances["category"]),
        "split (images)": _counts(images["split"]),
        "split (instances)": _counts(images["split"].take(place)),
        "licence (images)": _counts(images["licence"]),
        "label source (label sets)": _counts(labels["source"]),
        "silhouette source": _counts(instances["silhouette_source"]),
        "size": _sizes(instances["area"]),
        "visible share": _visible(number_in_extra(instances["extra"], "visible_share")),
        "keypoints": _keypoints(number_in_extra(instances["extra"], "num_keypoints")),
        "reviewed": {"yes": n_reviewed, "no": len(instances) - n_reviewed},
    }
    quarantine = folder / "quarantine.parquet"
    if quarantine.exists():
        by["quarantine"] = _counts(pq.read_table(quarantine, columns=["kind"])["kind"])
    return {
        "images": len(images),
        "images_without_instances": len(images) - pc.count_distinct(instances["image_id"]).as_py(),
        "instances": len(instances),
        "instances_with_labels": pc.count_distinct(labels["instance_id"]).as_py(),
        "label_sets": len(labels),
        "points": pc.sum(pc.list_value_length(labels["x"])).as_py() or 0,
        "by": {name: counts for name, counts in by.items() if counts},
    }


def format_summary(summary: dict[str, Any], most: int = 20) -> str:
    """The counts as a table of text; of a property with many values, only the `most` frequent."""
    lines = [f"{name.replace('_', ' '):<28}{value:>12,}" for name, value in summary.items() if name != "by"]
    for name, counts in summary["by"].items():
        total = max(1, sum(counts.values()))
        lines += ["", name]
        for value, count in list(counts.items())[:most]:
            lines.append(f"  {value:<26}{count:>12,}{100 * count / total:>8.1f}%")
        if len(counts) > most:
            rest = sum(list(counts.values())[most:])
            lines.append(f"  {f'{len(counts) - most} others':<26}{rest:>12,}{100 * rest / total:>8.1f}%")
    return "\n".join(lines)


def _counts(column: pa.ChunkedArray) -> dict[str, int]:
    """Value to count, the most frequent first."""
    rows = pc.value_counts(column).to_pylist()
    pairs = [(_NONE if row["values"] is None else str(row["values"]), row["counts"]) for row in rows]
    return dict(sorted(pairs, key=lambda pair: (-pair[1], pair[0])))


def _sizes(area: pa.ChunkedArray) -> dict[str, int]:
    small = pc.sum(pc.less(area, SMALL)).as_py() or 0
    large = pc.sum(pc.greater_equal(area, LARGE)).as_py() or 0
    return {"small (< 32 x 32)": small, "medium": len(area) - small - large, "large (>= 96 x 96)": large}


def _visible(shares: pa.Array | pa.ChunkedArray) -> dict[str, int]:
    """Counts in quarters; empty where no instance says its share."""
    if shares.null_count == len(shares):
        return {}
    counts, below = {}, 0
    for low, edge in zip((0.0, *_VISIBLE_EDGES), _VISIBLE_EDGES, strict=False):
        up_to = (pc.sum(pc.less_equal(shares, edge) if edge == 1 else pc.less(shares, edge)).as_py()) or 0
        counts[f"{low:g} to {edge:g}"], below = up_to - below, up_to
    return counts | ({_NONE: shares.null_count} if shares.null_count else {})


def _keypoints(numbers: pa.Array | pa.ChunkedArray) -> dict[str, int]:
    if numbers.null_count == len(numbers):
        return {}
    with_any = pc.sum(pc.greater(numbers, 0)).as_py() or 0
    return {"some": with_any, "none": len(numbers) - with_any}


def _n_reviewed(folder: Path, instance_ids: pa.ChunkedArray) -> int:
    return pc.sum(pc.is_in(instance_ids, value_set=reviewed_ids(folder))).as_py() or 0
