"""Tables to FiftyOne: a sample an image, its boxes with silhouettes, a field of coloured points a label set.

FiftyOne is a view of the tables that can be rebuilt at any time: exporting again under the same name updates
the samples in place by `image_id`, removes those that are gone, and keeps what a user added (tags, saved
views, other fields).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from densecorr.errors import SettingsError
from storage.datasets import read_dataset_info
from storage.tables import read_table, table_to_records

from .app import import_fiftyone
from .appearance import set_appearance
from .conversion import image_path
from .digests import content_digest, digest_of_look
from .fields import BOXES, Overlay, declare_boxes, image_fields
from .label_sets import TRUTH, correct_masks, group, read_label_sets, rows_by, take
from .points import declare_points
from .stored_samples import hidden_fields, known_digests, list_fields, open_dataset, write_batch


@dataclass(frozen=True)
class ExportSummary:
    """What an export left in FiftyOne: totals, and what it did to reach them."""

    name: str
    n_images: int
    n_instances: int
    n_points: dict[str, int]  # by label-set field
    n_added: int
    n_updated: int
    n_removed: int
    n_missing_files: int
    n_strange_labels: int  # of instances that the data set does not have
    uncolored_templates: tuple[str, ...]

    def __str__(self) -> str:
        """A few readable lines."""
        points = ", ".join(f"{field} {n}" for field, n in self.n_points.items()) or "none"
        done = f"{self.n_added} added, {self.n_updated} updated, {self.n_removed} removed"
        lines = [
            f"FiftyOne data set '{self.name}': {self.n_images} images ({done}), "
            f"{self.n_instances} instances; points: {points}."
        ]
        if self.n_missing_files:
            lines.append(f"{self.n_missing_files} image files are missing: their tiles are empty.")
        if self.n_strange_labels:
            lines.append(f"{self.n_strange_labels} label sets are of instances that this data set lacks.")
        if self.uncolored_templates:
            lines.append(
                f"Grey, their template's colours being unknown: {', '.join(self.uncolored_templates)}."
            )
        return "\n".join(lines)


def export_dataset(
    dataset_folder: Path,
    label_folders: Sequence[Path],
    templates: Mapping[str, UInt8[np.ndarray, "V 3"]],
    name: str,
    *,
    overlays: Sequence[Overlay] = (),
    batch_size: int = 256,
    progress: Callable[[int, int], None] | None = None,
    blind: bool = False,
    with_truth: bool = True,
) -> ExportSummary:
    """Make, or bring up to date, the FiftyOne data set `name` from a data set artifact and label artifacts.

    Args:
        dataset_folder: a data set artifact; its own labels become the field `truth`.
        label_folders: label artifacts; the field of each is its labels' source (`zero_shot`, `model`, ...). A mask that
            reviewers corrected and a label set carries is shown in place of the data set's; the first folder's counts.
        templates: colours in [0, 255] of each template's vertices, by template id; others are grey.
        name: name of the FiftyOne data set.
        overlays: also paint each silhouette like its nearest labelled point: `colors` (`<field>_dense`), `iuv`
            (`<field>_iuv`), `error` (`<field>_error`).
        batch_size: images written at once.
        progress: called with (images done, images in all) after each batch.
        blind: make it one for reviewers, which never says what was decided (`review_views.sync_review`). It keeps
            the label sets that an earlier export showed: other reviewers may look at them now.
        with_truth: show `truth`; otherwise also remove the one that an earlier export showed. From one for reviewers
            it then stays away: one of them must not see it.

    Raises:
        DependencyError: no MongoDB.
        SettingsError: a FiftyOne data set of this name exists and did not come from here, or is not as `blind` says.
        AnnotationError: a label names a vertex its template does not have, or carries a mask that is none.
    """
    images = read_table(dataset_folder / "images.parquet", "images")
    instances = read_table(dataset_folder / "instances.parquet", "instances")
    rows = rows_by(instances, "image_id")
    root = image_root(dataset_folder)
    dataset = open_dataset(name, blind)
    hidden = hidden_fields(dataset) if with_truth else [TRUTH]
    sets = read_label_sets(dataset_folder, label_folders, TRUTH not in hidden)
    instances = correct_masks(instances, images, sets)
    known = dict(zip(*dataset.values(["image_id", "id"]), strict=True))
    declare_boxes(dataset)
    fields = [labels.field for labels in sets]
    for field in fields:
        declare_points(dataset, field)
    before = known_digests(dataset)
    look = digest_of_look(templates, overlays, fields)
    n_missing, n_shown, n_updated = 0, 0, 0
    for start in range(0, len(images), batch_size):
        batch = table_to_records("images", images.slice(start, batch_size))
        found = table_to_records("instances", take(instances, rows, [image.image_id for image in batch]))
        by_image = group(found, "image_id")
        labels_by_field = {labels.field: labels.of([one.instance_id for one in found]) for labels in sets}
        n_shown += sum(len(records) for labels in labels_by_field.values() for records in labels.values())
        content, digests = {}, {}
        for image in batch:
            ours = by_image.get(image.image_id, [])
            path = image_path(image.uri, root)
            n_missing += not Path(path).is_file()
            digest = content_digest(look, path, image, ours, labels_by_field)
            if before.get(image.image_id) == digest:
                continue
            n_updated += image.image_id in known
            values = image_fields(image, ours, labels_by_field, templates, overlays)
            content[image.image_id] = values | {"filepath": path}
            digests[image.image_id] = digest
        if content:
            write_batch(dataset, content, digests, known, fields)
        if progress is not None:
            progress(start + len(batch), len(images))
    image_ids = set(images["image_id"].to_pylist())
    stale = [known[image_id] for image_id in known.keys() - image_ids]
    dataset.delete_samples(stale)
    palettes = {field: set(dataset.distinct(f"{field}.keypoints.color")) for field in fields}
    shown = list_fields(dataset, fields, overlays, blind, hidden)
    kept = [field for field in shown if f"{field}_points" in shown and field not in palettes]
    others = {field: set(dataset.distinct(f"{field}.keypoints.color")) for field in kept}
    set_appearance(dataset, instances["category"].unique().to_pylist(), others | palettes)
    dataset.save()
    used = {one for labels in sets for one in labels.table["template_id"].unique().to_pylist()}
    return ExportSummary(
        name=name,
        n_images=len(dataset),
        n_instances=dataset.count(f"{BOXES}.detections"),
        n_points={field: int(dataset.sum(f"{field}_points")) for field in palettes},
        n_added=len(image_ids - known.keys()),
        n_updated=n_updated,
        n_removed=len(stale),
        n_missing_files=n_missing,
        n_strange_labels=sum(len(labels.table) for labels in sets) - n_shown,
        uncolored_templates=tuple(sorted(used - templates.keys())),
    )


def remove_dataset(name: str) -> None:
    """Delete an exported FiftyOne data set; the tables it shows are not touched.

    Raises:
        DependencyError: no MongoDB.
        SettingsError: there is none of this name, or it did not come from here.
    """
    fo = import_fiftyone()
    if not fo.dataset_exists(name):
        raise SettingsError(f"one of {fo.list_datasets()}", f"'{name}'", "Correct the name.")
    open_dataset(name).delete()


def image_root(dataset_folder: Path) -> Path:
    """The absolute folder that the data set's image names are relative to.

    Raises:
        DatasetNotFoundError: the folder is not a data set.
    """
    return (dataset_folder / read_dataset_info(dataset_folder).get("image_root", "")).absolute()
