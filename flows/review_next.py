"""What to type next in the review's loop: the commands say it, so that nobody copies ids."""

import shlex
from typing import TYPE_CHECKING

from .review_included import label_origins

if TYPE_CHECKING:
    from storage.artifacts import Store


def name_of(store: "Store", artifact_id: str) -> str:
    """A tag that stands for the artifact, else its first digits."""
    names = sorted(name for name, tagged in store.tags().items() if tagged == artifact_id)
    return names[0] if names else artifact_id[:12]


def export_command(store: "Store", dataset_id: str, labels_id: str | None) -> str:
    """The `review export` that follows a review; what `select` chose from comes back as --others."""
    parts = ["densecorr review export", name_of(store, dataset_id)]
    if labels_id is not None:
        parts.append(f"--labels {name_of(store, labels_id)}")
        recipe = store.manifest(labels_id).recipe
        if recipe.stage == "select":
            parts.append(f"--others {name_of(store, str(recipe.inputs['labels']))}")
    return " ".join([*parts, "--tag corrected"])


def train_command(store: "Store", dataset_id: str, labels_id: str, template_id: str) -> str:
    """The `train` on reviewed labels, with the split that they are of and the synthetic images of earlier trainings.

    CATEGORY or SPLIT stands there where the labels are of several. Synthetic images are named if all trainings on the
    labels that were reviewed had the same ones.
    """
    origins = list(label_origins(store, labels_id, ("correct", "select")))
    category = _category_of(store, dataset_id, labels_id)
    splits = {
        str(one.recipe.settings["split"]) for one in origins if (one.recipe.settings or {}).get("split")
    }
    synthetic = _synthetic_of(store, dataset_id, template_id, category, {one.artifact_id for one in origins})
    parts = [
        f"densecorr train --dataset {name_of(store, dataset_id)} --template {name_of(store, template_id)}",
        f"--labels {name_of(store, labels_id)} --category {shlex.quote(category or 'CATEGORY')}",
    ]
    if splits:
        parts.append(f"--split {shlex.quote(splits.pop()) if len(splits) == 1 else 'SPLIT'}")
    if synthetic is not None:
        parts.append(f"--synthetic {name_of(store, synthetic)}")
    return " ".join(parts)


def _category_of(store: "Store", dataset_id: str, labels_id: str) -> str | None:
    """The category of the labelled instances, None if they are of several."""
    from storage.tables import read_table

    labelled = read_table(store.path(labels_id) / "labels.parquet", "labels", ["instance_id"])
    known = read_table(store.path(dataset_id) / "instances.parquet", "instances", ["instance_id", "category"])
    wanted = set(labelled["instance_id"].to_pylist())
    pairs = zip(known["instance_id"].to_pylist(), known["category"].to_pylist(), strict=True)
    categories = {category for key, category in pairs if key in wanted}
    return categories.pop() if len(categories) == 1 else None


def _synthetic_of(
    store: "Store", dataset_id: str, template_id: str, category: str | None, labels: set[str]
) -> str | None:
    """The synthetic images of all trainings on any of these labels; None without one, or where they differ."""
    found = set()
    for manifest in store.list():
        inputs = manifest.recipe.inputs
        if (
            manifest.stage == "train"
            and (inputs.get("dataset"), inputs.get("template")) == (dataset_id, template_id)
            and manifest.recipe.settings["category"] == category
            and inputs.get("labels") in labels
        ):
            found.add(inputs.get("synthetic"))
    return str(found.pop()) if len(found) == 1 and None not in found else None
