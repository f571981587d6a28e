"""The store: results kept under the digest of how they were made.

    store = open_store()
    recipe = Recipe("template", VERSION, settings, {"mesh": store.digest_source("cow.obj")})
    artifact_id = store.ensure(recipe, lambda directory: write_template(directory, template))
    template = read_template(store.path(artifact_id))

`ensure` calls the writer only if the artifact does not exist. What is published is whole and never changes
again; a process killed at any moment, or a full disk, leaves a whole artifact or none.
"""

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

from pyarrow import fs

from . import catalog
from .collect import GcReport, collect_garbage
from .copies import local_folder
from .drafts import open_draft
from .filesystem import Place, explain_full_disk, open_place
from .lineage import LineageNode, lineage_of
from .manifest import MANIFEST_NAME, Manifest
from .publish import publish
from .recipe import ArtifactId, Recipe, is_artifact_id
from .sources import digest_source
from .verify import Problem, verify_artifact, verify_store

__all__ = ["ArtifactId", "Recipe", "Store", "open_store"]

logger = logging.getLogger(__name__)

DEFAULT_STORE = "runs/store"
Problems = list[Problem]  # inside the class `list` is its method


def open_store(uri: str | Path | None = None) -> "Store":
    """The store at `uri`, else at `DENSECORR_STORE`, else at ./runs/store; opening it creates nothing."""
    return Store(uri or os.environ.get("DENSECORR_STORE") or DEFAULT_STORE)


class Store:
    """Artifacts in a local folder or an object store; for an id, a unique prefix or a tag will do as well."""

    def __init__(
        self, uri: str | Path, *, filesystem: fs.FileSystem | None = None, cache: Path | None = None
    ) -> None:
        """Name the place, as in `storage.filesystem.open_place`; nothing is created yet."""
        self.place: Place = open_place(uri, filesystem, cache)
        self._sources: dict[str, str] = {}  # digest to the path it was read from, for the manifests

    def __repr__(self) -> str:
        """The address."""
        return f"Store({self.place.uri!r})"

    def lookup(self, recipe: Recipe) -> ArtifactId | None:
        """The id of the recipe's artifact if it exists; finding it counts as use (see `gc`).

        Raises:
            ArtifactError: it exists with a damaged manifest.
        """
        artifact_id = recipe.digest()
        if catalog.find_manifest(self.place, artifact_id) is None:
            return None
        self._touch(artifact_id)
        return artifact_id

    def ensure(self, recipe: Recipe, write: Callable[[Path], object], *, shards: bool = False) -> ArtifactId:
        """The artifact of this recipe; `write` runs only if there is none yet.

        Args:
            recipe: stage, version, settings, inputs.
            write: fills the folder it is given; plain files and folders only.
            shards: the stage writes its output by `storage.shards.write_shard` and continues after the
                `finished_shards` it finds. Then the folder outlives errors and kills, only one process at a
                time works on it (another waits), and anything in it but whole shards may be half-written:
                write it anew.

        Raises:
            ArtifactError: the disk is full, or the output cannot be an artifact.
        """
        known = self.lookup(recipe)
        if known is not None:
            return known
        with (
            explain_full_disk(self.place, f"{recipe.stage} {recipe.digest()}"),
            open_draft(self.place, recipe, resume=shards) as draft,
        ):
            if shards:  # another process may have finished it while this one waited
                known = self.lookup(recipe)
                if known is not None:
                    return known
            started = time.perf_counter()
            write(draft.files)
            wall_time_s = time.perf_counter() - started
            sources = {key: self._sources[key] for key in recipe.input_ids() if key in self._sources}
            return publish(self.place, draft, recipe, wall_time_s, sources)

    def path(self, artifact: str) -> Path:
        """A local folder with the artifact's files, for reading; only `verify` hashes contents again.

        Raises:
            ArtifactError: no such artifact, or a file of it is missing or has another size.
        """
        manifest = self.manifest(artifact)
        with explain_full_disk(self.place, f"a local copy of {manifest.artifact_id}"):
            return local_folder(self.place, manifest)

    def resolve(self, text: str) -> ArtifactId:
        """The full id meant by a full id, a tag, or the first digits of an id.

        Raises:
            ArtifactError: nothing or several artifacts fit; the message lists candidates.
        """
        return catalog.resolve(self.place, text)

    def manifest(self, artifact: str) -> Manifest:
        """What is known about an artifact."""
        return catalog.read_manifest(self.place, self._id(artifact))

    def list(self) -> list[Manifest]:
        """Every artifact's manifest, oldest first."""
        return catalog.list_manifests(self.place)

    def tag(self, name: str, artifact: str) -> ArtifactId:
        """Let `name` stand for an artifact, which `gc` then keeps with all it was made from; the full id."""
        artifact_id = self._id(artifact)
        with explain_full_disk(self.place, f"the tag {name}"):
            catalog.write_tag(self.place, name, artifact_id)
        self._touch(artifact_id)
        return artifact_id

    def tags(self) -> dict[str, ArtifactId]:
        """Tag to artifact id."""
        return catalog.read_tags(self.place)

    def lineage(self, artifact: str) -> LineageNode:
        """The tree of what an artifact was made from, up to the source files."""
        return lineage_of(self.place, self._id(artifact))

    def verify(self, artifact: str | None = None) -> Problems:
        """Read an artifact again, or the whole store: every damaged, missing or added file."""
        return (
            verify_store(self.place) if artifact is None else verify_artifact(self.place, self._id(artifact))
        )

    def gc(self, *, delete: bool = False, min_age_s: float | int = 3600.0) -> GcReport:
        """What nothing needs any more; `delete` removes it. See `storage.collect.collect_garbage`."""
        return collect_garbage(self.place, delete=delete, min_age_s=min_age_s)

    def digest_source(self, path: str | Path) -> str:
        """The digest "sha256:..." of a source file or folder; unchanged files are not read again.

        Raises:
            DatasetNotFoundError: there is nothing at `path`.
        """
        store = Path(self.place.root) if self.place.is_local else None
        digest = digest_source(path, self.place.workspace / "sources", leave_out=store)
        self._sources[digest] = str(Path(path).expanduser().absolute())
        return digest

    def _id(self, text: str) -> ArtifactId:
        return text if is_artifact_id(text) else self.resolve(text)

    def _touch(self, artifact_id: ArtifactId) -> None:
        """Set the manifest's time to now: gc spares what was used a moment ago."""
        if not self.place.is_local:
            return
        try:
            os.utime(Path(catalog.artifact_folder(self.place, artifact_id), MANIFEST_NAME))
        except OSError as error:  # a store that may only be read
            logger.debug("The use of %s could not be noted: %s", artifact_id, error)
