"""What made what: the tree from an artifact up to the source files."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from densecorr.hub_licences import ModelRecord

from .catalog import find_manifest, read_manifest
from .filesystem import Place
from .manifest import Manifest
from .models import read_models
from .recipe import ArtifactId, is_source_digest


@dataclass(frozen=True)
class LineageNode:
    """One artifact or source and, below it, its inputs.

    `role` is the name under which the node above takes it ("" for the root). A source has a `digest`
    "sha256:..." in `key`, no `stage`, and the local path it was read from if that is known. `missing` says
    that an input artifact is no longer in the store. `models` are the pretrained models that the artifact itself
    was made with.
    """

    role: str
    key: str
    stage: str | None = None
    version: int | None = None
    settings: Any = None
    created: str | None = None
    source: str | None = None
    missing: bool = False
    models: tuple[ModelRecord, ...] = ()
    inputs: list["LineageNode"] = field(default_factory=list)

    @property
    def is_source(self) -> bool:
        """Whether this is a source file or folder, not an artifact."""
        return is_source_digest(self.key)

    def walk(self) -> Iterator["LineageNode"]:
        """This node and every one below it, each artifact and source once."""
        seen: set[str] = set()
        waiting: list[LineageNode] = [self]
        while waiting:
            node = waiting.pop(0)
            if node.key not in seen:
                seen.add(node.key)
                yield node
                waiting.extend(node.inputs)


def lineage_of(place: Place, artifact_id: ArtifactId) -> LineageNode:
    """The tree up to the sources; a shared input appears under each that uses it, as the same subtree.

    Raises:
        ArtifactError: there is no such artifact.
    """
    return _node(place, "", read_manifest(place, artifact_id), {})


def _node(place: Place, role: str, manifest: Manifest, known: dict[str, list[LineageNode]]) -> LineageNode:
    if manifest.artifact_id not in known:
        below = []
        for name in sorted(manifest.recipe.inputs):
            values = manifest.recipe.inputs[name]
            below.extend(
                _input(place, name, key, manifest, known)
                for key in ([values] if isinstance(values, str) else values)
            )
        known[manifest.artifact_id] = below
    return LineageNode(
        role=role,
        key=manifest.artifact_id,
        stage=manifest.stage,
        version=manifest.recipe.version,
        settings=manifest.recipe.settings,
        created=manifest.created,
        models=read_models(place, manifest),
        inputs=known[manifest.artifact_id],
    )


def _input(
    place: Place, role: str, key: str, above: Manifest, known: dict[str, list[LineageNode]]
) -> LineageNode:
    if is_source_digest(key):
        return LineageNode(role, key, source=above.sources.get(key))
    manifest = find_manifest(place, key)
    if manifest is None:
        return LineageNode(role, key, missing=True)
    return _node(place, role, manifest, known)


def ancestors(manifests: dict[ArtifactId, Manifest], roots: set[ArtifactId]) -> set[ArtifactId]:
    """The roots that exist, and every artifact they were made from, however indirectly."""
    reached: set[ArtifactId] = set()
    waiting = [root for root in roots if root in manifests]
    while waiting:
        artifact_id = waiting.pop()
        if artifact_id not in reached:
            reached.add(artifact_id)
            waiting.extend(key for key in manifests[artifact_id].recipe.input_ids() if key in manifests)
    return reached
