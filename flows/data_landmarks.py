"""`densecorr data landmarks`: labels against keypoints, by a small table of where keypoints are on a template."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tyro.conf import Positional

from .session import say

if TYPE_CHECKING:
    from densecorr.datasets.keypoints import KeypointSet
    from storage.datasets import DatasetInstance

    from .session import Session


@dataclass(frozen=True)
class Landmarks:
    """How far vertex labels lie from keypoints, and how often left is taken for right.

    Keypoints of COCO, AP-10K, Animal-Pose or Zebra; see docs/keypoints.md.
    """

    dataset: Positional[str]
    """The data set with keypoints: an id, a unique prefix or a tag."""
    template: str
    """The template whose vertices the labels name."""
    labels: str | None = None
    """A label artifact (`pseudo-label`, `charts`); the data set's own labels if left out."""
    table: Path | None = None
    """Landmark table (.csv: landmark, vertex); templates of shipped shapes have their own."""
    keypoint_table: Path | None = None
    """What keypoints stand for (.csv: keypoint_set, keypoint, landmark), instead of the shipped table."""
    keypoint_set: str | None = None
    """coco, ap10k, animalpose or zebra, for data sets whose file names no keypoints."""
    category: str | None = None
    """Only this category."""
    split: str | None = None
    """Only this split."""
    reach: float = 8.0
    """A keypoint is compared with the nearest labelled point up to so many pixels away."""
    hidden: bool = False
    """Also compare keypoints that are annotated as hidden."""
    json: Path | None = None
    """Write the figures to this file."""
    write_table: Path | None = None
    """Write the landmark table to this file, to be edited, and stop."""
    out: Path | None = None
    """Write the keypoints as label sets (labels.parquet) to this new folder, and stop."""

    def __call__(self, session: "Session") -> None:
        """Print a line a keypoint, or write what is asked for."""
        from densecorr.config import check_least
        from densecorr.datasets.landmarks import (
            default_landmarks,
            format_landmarks,
            keypoint_landmarks,
            keypoint_vertices,
            landmark_errors,
            read_landmarks,
            summarise_errors,
        )
        from densecorr.templates.template import read_template
        from storage.datasets import read_instances, read_labels

        check_least(self, {"reach": 0.0})
        store = session.store
        folder = store.path(store.resolve(self.dataset))
        template = read_template(store.path(store.resolve(self.template)))
        instances = read_instances(folder, self.category, self.split)
        keypoint_set = self._keypoint_set(folder, instances)
        landmarks = keypoint_landmarks(keypoint_set.name, self.keypoint_table)
        vertices = default_landmarks(template) or {} if self.table is None else read_landmarks(self.table)
        if self.write_table is not None:
            self.write_table.write_text(
                format_landmarks(list(dict.fromkeys(landmarks.values())), vertices), encoding="utf-8"
            )
            say(f"{self.write_table}: landmarks of {keypoint_set.name}; give it with --table")
            return
        targets = keypoint_vertices(keypoint_set, landmarks, vertices, template)
        if self.out is not None:
            n_labels = write_keypoint_labels(self.out, instances, keypoint_set, targets, template.template_id)
            say(f"{self.out / 'labels.parquet'}: {n_labels} label sets")
            return
        labels = read_labels(folder if self.labels is None else store.path(store.resolve(self.labels)))
        pairs = comparable(instances, labels, keypoint_set, template.template_id, self.hidden)
        rows = summarise_errors(
            landmark_errors(template, keypoint_set, targets, pairs, self.reach), keypoint_set.names, template
        )
        print(format_rows(rows))
        if self.json is not None:
            figures = {
                "keypoint_set": keypoint_set.name,
                "template": template.template_id,
                "instances": len(pairs),
                "reach": self.reach,
                "keypoints": rows,
            }
            self.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")

    def _keypoint_set(self, folder: Path, instances: "list[DatasetInstance]") -> "KeypointSet":
        from densecorr.datasets.keypoints import (
            KEYPOINT_SETS,
            find_keypoint_set,
            has_keypoints,
            keypoint_names,
        )
        from densecorr.errors import EmptyInstanceError, SettingsError
        from storage.datasets import read_dataset_info

        known = ", ".join(KEYPOINT_SETS)
        if self.keypoint_set is not None:
            if self.keypoint_set not in KEYPOINT_SETS:
                raise SettingsError(f"a keypoint set: {known}", f"'{self.keypoint_set}'", "Name one of them.")
            return KEYPOINT_SETS[self.keypoint_set]
        info = read_dataset_info(folder)
        categories = {item.instance.category for item in instances if has_keypoints(item.instance)}
        if not categories:
            raise EmptyInstanceError(
                "instances with keypoints",
                f"none of {len(instances)}",
                "Ingest the data set's keypoint file.",
            )
        found = {find_keypoint_set(keypoint_names(info, category)) for category in categories}
        only = found.pop()
        if found or only is None:
            raise SettingsError(
                f"categories that name the keypoints of one set: {known}",
                f"{', '.join(sorted(categories))} with others",
                "Name the set (--keypoint-set) if the order is one of them, or one --category.",
            )
        return only


def comparable(
    instances: "list[DatasetInstance]",
    labels: dict[str, Any],
    keypoint_set: "KeypointSet",
    template_id: str,
    hidden: bool,
) -> list[tuple[Any, Any, Any, Any]]:
    """Of instances with keypoints and labels: keypoints' xy and which count, labels' xy and vertices.

    Raises:
        EmptyInstanceError: there is none.
        AnnotationError: labels for another template, or keypoints that are not the set's.
    """
    import numpy as np

    from densecorr.datasets.keypoints import VISIBLE, has_keypoints, instance_keypoints
    from densecorr.errors import AnnotationError, EmptyInstanceError

    pairs = []
    for item in instances:
        label = labels.get(item.instance.instance_id)
        if label is None or not has_keypoints(item.instance):
            continue
        if label.template_id != template_id:
            raise AnnotationError(
                f"labels for the template {template_id}",
                f"labels for {label.template_id or 'none'} ({item.instance.instance_id})",
                "Name the labels' template; chart labels become vertices by `densecorr charts`.",
            )
        xy, visibility = instance_keypoints(item.instance, keypoint_set.names)
        places = np.stack([label.x, label.y], axis=1).astype(np.float64).reshape(-1, 2)
        pairs.append((xy, visibility >= (1 if hidden else VISIBLE), places, np.asarray(label.vertex)))
    if not pairs:
        raise EmptyInstanceError(
            "instances with keypoints and labels", f"none of {len(instances)}", "Name their label artifact."
        )
    return pairs


def write_keypoint_labels(
    out: Path,
    instances: "list[DatasetInstance]",
    keypoint_set: "KeypointSet",
    vertices: Any,
    template_id: str,
) -> int:
    """Write labelled keypoints that have a landmark as label sets, source "human"; how many."""
    import numpy as np

    from densecorr.datasets.keypoints import has_keypoints, instance_keypoints
    from densecorr.records import LabelRecord
    from storage.rows import records_to_table
    from storage.tables import write_table

    records = []
    for item in instances:
        if not has_keypoints(item.instance):
            continue
        xy, visibility = instance_keypoints(item.instance, keypoint_set.names)
        use = np.flatnonzero((visibility > 0) & (vertices >= 0))
        if not len(use):
            continue
        name = item.instance.instance_id
        records.append(
            LabelRecord(
                f"{name}/landmarks",
                name,
                template_id,
                "human",
                f"landmarks:{keypoint_set.name}",
                xy[use, 0],
                xy[use, 1],
                vertices[use],
                point_ids=use,
            )
        )
    out.mkdir(parents=True, exist_ok=True)
    write_table(out / "labels.parquet", "labels", records_to_table("labels", records))
    return len(records)


def format_rows(rows: list[dict[str, Any]]) -> str:
    """The rows as a table for people."""
    columns = list(rows[0]) if rows else ["keypoint"]
    digits = {"mean_m": 3, "median_m": 3, "mean_228": 2, "median_228": 2, "swapped_share": 3}
    lines = [columns]
    for row in rows:
        lines.append(
            [
                "-" if row[c] is None else f"{row[c]:.{digits[c]}f}" if c in digits else str(row[c])
                for c in columns
            ]
        )
    widths = [max(len(line[k]) for line in lines) for k in range(len(columns))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if k == 0 else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
