"""`densecorr review`: look at a data set and its labels in FiftyOne."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import OmitSubcommandPrefixes, Positional, subcommand

from .session import Session, say

if TYPE_CHECKING:
    import numpy as np

    from storage.artifacts import Store
    from storage.lineage import LineageNode
    from storage.manifest import Manifest


@dataclass(frozen=True)
class ReviewOpen:
    """Browse a data set with its labels in FiftyOne, on this machine, until Ctrl-C."""

    dataset: Positional[str]
    """The data set: an id, its first digits, or a tag."""
    labels: tuple[str, ...] = ()
    """Label artifacts to show beside the data set's own labels."""
    templates: tuple[str, ...] = ()
    """Template artifacts to colour the points with; by default those the labels were made with."""
    name: str | None = None
    """Name of the FiftyOne data set; by default densecorr-<first digits of the data set's id>."""
    port: int = 5151
    """Port of the App on 127.0.0.1."""
    overlays: tuple[Literal["colors", "iuv", "error"], ...] = ()
    """Also paint each silhouette like its nearest labelled point: its colour, chart position or expected error."""
    browser: bool = False
    """Open your browser as well."""
    export_only: bool = False
    """Bring the FiftyOne data set up to date and stop there."""

    def __call__(self, session: Session) -> None:
        """Export, then serve the App."""
        main(self, session.open_store())


@dataclass(frozen=True)
class ReviewRemove:
    """Remove an exported data set from FiftyOne; the artifacts stay."""

    name: Positional[str]
    """Name of the FiftyOne data set."""

    def __call__(self, session: Session) -> None:
        """Remove it."""
        from annotation_ui.samples import remove_dataset

        remove_dataset(self.name)
        say(f"removed '{self.name}' from FiftyOne")


Review = OmitSubcommandPrefixes[
    Annotated[ReviewOpen, subcommand("open")] | Annotated[ReviewRemove, subcommand("remove")]
]


def main(command: ReviewOpen, store: "Store") -> None:
    """Bring FiftyOne's copy up to date and, unless `export_only`, serve the App until Ctrl-C.

    Raises:
        ArtifactError: the store holds no such data set, labels or template.
        DependencyError: no MongoDB for FiftyOne.
        SettingsError: the port is in use, or the name belongs to another FiftyOne data set.
    """
    from annotation_ui.app import check_address, import_fiftyone, open_app
    from annotation_ui.samples import export_dataset

    from .progress import StageProgress

    dataset_id = store.resolve(command.dataset)
    label_ids = [store.resolve(text) for text in command.labels]
    if not command.export_only:
        check_address("127.0.0.1", command.port)
    colors = find_colors(store, [dataset_id, *label_ids], command.templates)
    say("starting FiftyOne")
    import_fiftyone()
    name = command.name or f"densecorr-{dataset_id[:8]}"
    with StageProgress("review") as progress:
        folders = [store.path(label_id) for label_id in label_ids]
        summary = export_dataset(
            store.path(dataset_id), folders, colors, name, overlays=command.overlays, progress=progress
        )
    say(str(summary))
    if not command.export_only:
        open_app(name, command.port, browser=command.browser)


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
    for folder in _template_folders(store, artifacts, templates):
        if wanted <= colors.keys():
            break
        template_id = json.loads((folder / "template.json").read_text(encoding="utf-8"))["template_id"]
        if template_id in wanted and template_id not in colors:
            colors[template_id] = template_colors(read_template(folder).V)
    return colors


def _template_folders(store: "Store", artifacts: Sequence[str], templates: Sequence[str]) -> Iterator[Path]:
    for text in templates:
        yield store.path(store.resolve(text))
    for artifact in artifacts:
        for node in _nodes(store.lineage(artifact)):
            if node.stage is not None and not node.missing and _is_template(store.manifest(node.key)):
                yield store.path(node.key)
    for manifest in sorted(store.list(), key=lambda one: one.created, reverse=True):
        if _is_template(manifest):
            yield store.path(manifest.artifact_id)


def _is_template(manifest: "Manifest") -> bool:
    """Whether an artifact is a template, whatever stage of whoever's made it."""
    return any(file.path == "template.json" for file in manifest.files)


def _nodes(node: "LineageNode") -> Iterator["LineageNode"]:
    yield node
    for below in node.inputs:
        yield from _nodes(below)
