"""A stage: a verb, a typed command, named inputs, one artifact out.

A command is a frozen dataclass. Its inputs are the fields whose type is marked:

- `ArtifactRef`, `tuple[ArtifactRef, ...]`, `ArtifactRef | None`: artifacts, given as an id, a unique prefix
  of one or a tag. They enter the recipe by their id.
- `SourcePath` (and tuples, and optional ones): a file or a folder of the user, or a path inside an artifact
  (`<artifact>/annotations.json`). The first enters by the sha256 of its content, the second by the artifact's
  id.
- `SourceFolder`: a `SourcePath` that the artifact will refer to (images are not copied): where it lies is part of the
  recipe too, so that a moved folder makes a new artifact and not a dangling one.
- `MeshSource`: a `SourcePath`, or the name of a shape that comes with densecorr (`body`).

Every other field is a setting and enters the recipe as it is, except those marked `NotInRecipe`, which must
not change the result (a device, a number of worker processes). A setting that names a pretrained model
(`densecorr.hub.ModelRef`) enters by id and revision, or, for a local folder, also by its content. 'Already done' is
decided by the store, which compares recipes.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_type_hints

from densecorr.config import to_jsonable
from densecorr.errors import ArtifactError, DatasetNotFoundError
from densecorr.hub import named_models
from storage.recipe import Recipe, is_artifact_id

from .model_use import admit_models, folder_digests, record_models
from .progress import Progress
from .session import said_if_slow

if TYPE_CHECKING:
    from storage.artifacts import Store


@dataclass(frozen=True)
class Input:
    """Marks the type of a command's field as an input of the stage."""

    kind: Literal["artifact", "source", "mesh"]
    refers: bool = False  # the artifact names the place of this source, which so is part of the recipe


@dataclass(frozen=True)
class Runtime:
    """Marks the type of a command's field as one that does not change the result."""


ArtifactRef = Annotated[str, Input("artifact")]
SourcePath = Annotated[str, Input("source")]
SourceFolder = Annotated[str, Input("source", refers=True)]
MeshSource = Annotated[str, Input("mesh")]
NotInRecipe = Runtime()


@dataclass(frozen=True)
class Resolved:
    """One input, found: an artifact (with a path inside it, or "") or a source (`artifact_id` is None)."""

    text: str
    digest: str  # the artifact's id, or sha256:... of a source
    artifact_id: str | None = None
    inside: str = ""


@dataclass(frozen=True)
class StageInputs:
    """The inputs of one run of a stage, by the command's fields; `artifact_id` is what the run makes."""

    store: "Store"
    resolved: Mapping[str, tuple[Resolved, ...]]
    artifact_id: str = ""

    def path(self, name: str) -> Path:
        """The local file or folder of an input that is one thing."""
        (only,) = self.paths(name)
        return only

    def paths(self, name: str) -> tuple[Path, ...]:
        """The local files or folders of an input; none for an optional one that is not set."""
        return tuple(self._local(one) for one in self.resolved[name])

    def id(self, name: str) -> str:
        """The artifact id (or the digest of a source) of an input that is one thing."""
        (only,) = self.ids(name)
        return only

    def ids(self, name: str) -> tuple[str, ...]:
        """The artifact ids (or the digests of sources) of an input."""
        return tuple(one.digest for one in self.resolved[name])

    def all_ids(self) -> dict[str, list[str]]:
        """Every input's ids by field, for a record of what a result was made from."""
        return {name: [one.digest for one in many] for name, many in self.resolved.items()}

    def _local(self, one: Resolved) -> Path:
        if one.artifact_id is None:
            return Path(one.text)
        local = self.store.path(one.artifact_id) / one.inside
        if not local.exists():
            raise DatasetNotFoundError(
                f"'{one.inside}' in the artifact {one.artifact_id}",
                "no such file",
                f"See `densecorr store show {one.artifact_id}`.",
            )
        return local


@dataclass(frozen=True)
class Stage:
    """What the command line, the pipeline and the tests know about one stage.

    `write(out, inputs, command, progress)` fills the folder `out`. `version` is raised when its output
    changes. `shards`: it writes numbered shards (storage.shards) and goes on at the first missing one after a
    kill. `estimate_bytes(command, inputs)` is the disk the artifact will need, for `run --dry-run`;
    `uses_gpu(command)` says that it must not share a GPU with another stage.
    """

    name: str
    command: type
    version: int
    write: Callable[[Path, StageInputs, Any, Progress], None]
    shards: bool = False
    estimate_bytes: Callable[[Any, StageInputs], int] | None = None
    uses_gpu: Callable[[Any], bool] | None = None


def on_gpu(command: Any) -> bool:
    """`uses_gpu` of a stage whose command names a device, itself or in `run` (densecorr.features.RunOn)."""
    return getattr(command, "run", command).device.startswith("cuda")


def _mark(kind: Any) -> Input | Runtime | None:
    """The mark in an annotated type, however deep (`tuple[ArtifactRef, ...]`, `ArtifactRef | None`)."""
    for part in (*getattr(kind, "__metadata__", ()), *get_args(kind)):
        found = part if isinstance(part, Input | Runtime) else _mark(part)
        if found is not None:
            return found
    return None


def input_fields(command_type: type) -> dict[str, Input]:
    """The inputs of a command, by field name, in the order of the fields."""
    marks = {name: _mark(hint) for name, hint in get_type_hints(command_type, include_extras=True).items()}
    return {name: mark for name, mark in marks.items() if isinstance(mark, Input)}


def recipe_settings(command: Any) -> dict[str, Any]:
    """The fields that are neither inputs nor marked `NotInRecipe`, as plain data."""
    hints = get_type_hints(type(command), include_extras=True)
    return {
        f.name: to_jsonable(getattr(command, f.name)) for f in fields(command) if _mark(hints[f.name]) is None
    }


def input_texts(command: Any, name: str) -> tuple[str, ...]:
    """The references of one input as the user wrote them; none if it is not set."""
    value = getattr(command, name)
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else tuple(value)


def resolve_inputs(command: Any, store: "Store", *, must_exist: bool = True) -> StageInputs:
    """Find every input of a command.

    `must_exist=False` takes a full artifact id on trust, which is how a dry run looks at stages that have not
    run.

    Raises:
        ArtifactError: no artifact, or more than one, goes by that name.
        DatasetNotFoundError: a source file or folder is absent.
    """
    marks = input_fields(type(command))
    return StageInputs(
        store,
        {
            name: tuple(
                _resolve(text, mark, store, must_exist=must_exist) for text in input_texts(command, name)
            )
            for name, mark in marks.items()
        },
    )


def stage_recipe(stage: Stage, command: Any, inputs: StageInputs) -> Recipe:
    """What decides whether this run has been done before."""
    settings = recipe_settings(command)
    inside = {
        n: [one.inside for one in many] for n, many in inputs.resolved.items() if any(o.inside for o in many)
    }
    if inside:
        settings["inputs_inside"] = inside
    places = {
        name: [one.text for one in inputs.resolved[name] if one.artifact_id is None]
        for name, mark in input_fields(type(command)).items()
        if mark.refers
    }
    if any(places.values()):
        settings["places"] = places
    local_models = folder_digests(command, inputs.store)
    if local_models:
        settings["models"] = local_models
    digests = {}
    for name in inputs.resolved:
        value = getattr(command, name)
        if value is not None:
            digests[name] = inputs.id(name) if isinstance(value, str) else list(inputs.ids(name))
    return Recipe(stage.name, stage.version, settings, digests)


def run_stage(stage: Stage, command: Any, store: "Store", progress: Progress) -> str:
    """The id of the stage's artifact; `stage.write` runs only if the store has none for this recipe yet.

    Raises:
        LicenceError: it would use a model whose licence has to be accepted first.
    """
    inputs = resolve_inputs(command, store)
    recipe = stage_recipe(stage, command, inputs)
    inputs = replace(inputs, artifact_id=recipe.digest())

    def write(out: Path) -> None:
        admitted = admit_models(named_models(command))
        stage.write(out, inputs, command, progress)
        record_models(out, admitted, store)

    return store.ensure(recipe, write, shards=stage.shards)


def _resolve(text: str, mark: Input, store: "Store", *, must_exist: bool) -> Resolved:
    reference, _, inside = text.partition("/")
    full_id = is_artifact_id(reference)
    if mark.kind != "artifact" and not full_id:
        source = _source(text, mark, store)
        if source is not None:
            return source
    try:
        artifact_id = reference if full_id and not must_exist else store.resolve(reference)
    except ArtifactError as error:
        if mark.kind == "artifact":
            raise
        raise DatasetNotFoundError(
            "a file, a folder or a path inside an artifact",
            f"'{text}', which is none of them",
            "Check the path; a relative one in a pipeline file starts at that file's folder.",
        ) from error
    return Resolved(text, artifact_id, artifact_id, inside)


def _source(text: str, mark: Input, store: "Store") -> Resolved | None:
    if mark.kind == "mesh":
        from densecorr.templates.catalog import catalog_names, load_catalog_mesh

        if text in catalog_names():
            V, F = load_catalog_mesh(text)
            return Resolved(text, "sha256:" + hashlib.sha256(V.tobytes() + F.tobytes()).hexdigest())
    path = Path(text).expanduser().absolute()
    if not path.exists():
        return None
    with said_if_slow(f"reading {path} for its fingerprint, once"):
        return Resolved(str(path), store.digest_source(path))
