"""The template that labels were made with, found in the store."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from densecorr.errors import ArtifactError, SettingsError

if TYPE_CHECKING:
    import numpy as np

    from storage.artifacts import Store
    from storage.lineage import LineageNode
    from storage.manifest import Manifest


def find_template(store: "Store", labelled: str, artifacts: Sequence[str], templates: Sequence[str]) -> str:
    """The template artifact for an artifact's labels: a named one, one it was made with, else the newest.

    Raises:
        ArtifactError: the store has none.
        SettingsError: the labels are of several templates.
    """
    from storage.tables import read_table

    path = store.path(labelled) / "labels.parquet"
    wanted = read_table(path, "labels", columns=["template_id"])["template_id"].unique().to_pylist()
    if len(wanted) > 1:
        remedy = "Review one category at a time: filter the labels first."
        raise SettingsError("labels of one template", ", ".join(sorted(wanted)), remedy)
    for artifact_id, folder in template_folders(store, artifacts, templates):
        facts = json.loads((folder / "template.json").read_text(encoding="utf-8"))
        if facts["template_id"] in wanted:
            return artifact_id
    raise ArtifactError(
        f"a template {', '.join(wanted) or 'for the labels, which are none'}",
        "none in the store",
        "Build it with densecorr template, or name it with --templates.",
    )


def find_colors(
    store: "Store", artifacts: Sequence[str], templates: Sequence[str]
) -> dict[str, "np.ndarray"]:
    """Vertex colours of the templates that these artifacts' labels name, by template id.

    Looked for among the named templates, then those the artifacts were made from, then the store's, newest
    first.
    """
    from densecorr.templates import read_template, template_colors
    from storage.tables import read_table

    wanted: set[str] = set()
    for artifact in artifacts:
        table = read_table(store.path(artifact) / "labels.parquet", "labels", columns=["template_id"])
        wanted.update(table["template_id"].unique().to_pylist())
    colors = {}
    for _, folder in template_folders(store, artifacts, templates):
        if wanted <= colors.keys():
            break
        template_id = json.loads((folder / "template.json").read_text(encoding="utf-8"))["template_id"]
        if template_id in wanted and template_id not in colors:
            colors[template_id] = template_colors(read_template(folder).V)
    return colors


def foreign_labels(store: "Store", dataset_id: str, labels: str) -> str | None:
    """What to say of labels that were made from other data sets only, whose instances may go by the same ids."""
    nodes = [node for node in _nodes(store.lineage(labels)) if node.stage is not None and not node.missing]
    sources = {node.key for node in nodes if _has_file(store.manifest(node.key), "instances.parquet")}
    if not sources or dataset_id in sources:
        return None
    return (
        f"WARNING: the labels {labels[:12]} were not made from the data set {dataset_id[:12]}. "
        "Where an instance id means another object there, its points lie on the wrong one here."
    )


def template_folders(
    store: "Store", artifacts: Sequence[str], templates: Sequence[str]
) -> Iterator[tuple[str, Path]]:
    """Templates' ids and folders: the named ones, those the artifacts were made from, the store's newest first."""
    for text in templates:
        artifact_id = store.resolve(text)
        yield artifact_id, store.path(artifact_id)
    for artifact in artifacts:
        for node in _nodes(store.lineage(artifact)):
            if (
                node.stage is not None
                and not node.missing
                and _has_file(store.manifest(node.key), "template.json")
            ):
                yield node.key, store.path(node.key)
    for manifest in sorted(store.list(), key=lambda one: one.created, reverse=True):
        if _has_file(manifest, "template.json"):
            yield manifest.artifact_id, store.path(manifest.artifact_id)


def _has_file(manifest: "Manifest", name: str) -> bool:
    """Whether an artifact holds such a file: what it is, whatever stage of whoever's made it."""
    return any(file.path == name for file in manifest.files)


def _nodes(node: "LineageNode") -> Iterator["LineageNode"]:
    yield node
    for below in node.inputs:
        yield from _nodes(below)
