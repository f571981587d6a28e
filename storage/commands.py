"""What `densecorr store ls | show | lineage | verify | gc | tag` does; `reports.py` turns it into text.

Each takes a store and returns data. Wherever an artifact is named, an id, its first digits or a tag will do.
"""

from dataclasses import dataclass

from densecorr.errors import ArtifactError

from .artifacts import Store
from .collect import GcReport
from .lineage import LineageNode
from .manifest import Manifest
from .recipe import ArtifactId
from .verify import Problem


@dataclass(frozen=True)
class ArtifactRow:
    """One line of `store ls`; `size` in bytes of all files, `created` UTC in ISO 8601."""

    artifact_id: ArtifactId
    stage: str
    created: str
    n_files: int
    size: int
    wall_time_s: float
    tags: tuple[str, ...]


@dataclass(frozen=True)
class ArtifactDetails:
    """What `store show` prints: the manifest, the folder or address of the files, the tags, the lineage.

    The lineage is None where the manifest of an input is damaged, which `store verify` lists.
    """

    manifest: Manifest
    location: str
    tags: tuple[str, ...]
    lineage: LineageNode | None


@dataclass(frozen=True)
class VerifyResult:
    """What `store verify` found, over how many artifacts; the command fails if there are problems."""

    n_artifacts: int
    problems: list[Problem]


def list_artifacts(store: Store, stage: str | None = None) -> list[ArtifactRow]:
    """The artifacts of a store, oldest first, or those of one stage."""
    tags = _tags_by_id(store)
    return [
        ArtifactRow(
            artifact_id=manifest.artifact_id,
            stage=manifest.stage,
            created=manifest.created,
            n_files=len(manifest.files),
            size=manifest.size,
            wall_time_s=manifest.wall_time_s,
            tags=tags.get(manifest.artifact_id, ()),
        )
        for manifest in store.list()
        if stage is None or manifest.stage == stage
    ]


def show(store: Store, artifact: str) -> ArtifactDetails:
    """One artifact's manifest and where its files are; nothing is downloaded.

    Raises:
        ArtifactError: nothing or several artifacts fit the name.
    """
    from .copies import data_folder

    manifest = store.manifest(artifact)
    tags = _tags_by_id(store).get(manifest.artifact_id, ())
    try:
        tree = store.lineage(manifest.artifact_id)
    except ArtifactError:
        tree = None
    return ArtifactDetails(manifest, data_folder(store.place, manifest), tags, tree)


def lineage(store: Store, artifact: str) -> LineageNode:
    """The tree of what an artifact was made from.

    Raises:
        ArtifactError: nothing or several artifacts fit the name.
    """
    return store.lineage(artifact)


def verify(store: Store, artifact: str | None = None) -> VerifyResult:
    """Read one artifact again, or all of them, and compare with what was published.

    Raises:
        ArtifactError: nothing or several artifacts fit the name.
    """
    if artifact is not None:
        return VerifyResult(1, store.verify(artifact))
    problems = store.verify()
    damaged = {problem.artifact_id for problem in problems if problem.artifact_id}
    return VerifyResult(len({manifest.artifact_id for manifest in store.list()} | damaged), problems)


def gc(store: Store, *, delete: bool = False, min_age_s: float | int = 3600.0) -> GcReport:
    """What nothing needs any more; removed only with `delete`."""
    return store.gc(delete=delete, min_age_s=min_age_s)


def tag(store: Store, name: str, artifact: str) -> ArtifactId:
    """Let `name` stand for an artifact; the full id.

    Raises:
        ArtifactError: the name cannot be a tag, or nothing or several artifacts fit.
    """
    return store.tag(name, artifact)


def _tags_by_id(store: Store) -> dict[ArtifactId, tuple[str, ...]]:
    found: dict[ArtifactId, tuple[str, ...]] = {}
    for name, artifact_id in store.tags().items():
        found[artifact_id] = (*found.get(artifact_id, ()), name)
    return found
