"""What to type next in the review's loop: the commands say it, so that nobody copies ids."""

from typing import TYPE_CHECKING

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
    """The `train` on reviewed labels; CATEGORY stands there where the labels are of several."""
    from storage.tables import read_table

    labelled = read_table(store.path(labels_id) / "labels.parquet", "labels", ["instance_id"])
    known = read_table(store.path(dataset_id) / "instances.parquet", "instances", ["instance_id", "category"])
    wanted = set(labelled["instance_id"].to_pylist())
    pairs = zip(known["instance_id"].to_pylist(), known["category"].to_pylist(), strict=True)
    categories = {category for key, category in pairs if key in wanted}
    category = categories.pop() if len(categories) == 1 else "CATEGORY"
    quoted = f'"{category}"' if " " in category else category
    return (
        f"densecorr train --dataset {name_of(store, dataset_id)} --template {name_of(store, template_id)} "
        f"--labels {name_of(store, labels_id)} --category {quoted}"
    )
