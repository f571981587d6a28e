"""The dry run: what a pipeline would do, what is done already, and the disk it needs.

An artifact's id follows from its recipe, and a recipe from the ids of its inputs; so the id of every stage is
known before anything runs.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from densecorr.errors import DensecorrError

from .expand import Node
from .pipeline import Pipeline, with_ids
from .stage import resolve_inputs, stage_recipe

if TYPE_CHECKING:
    from storage.artifacts import Store


@dataclass(frozen=True)
class Step:
    """One run of a stage: its artifact-to-be, whether the store has it, its bytes (None: not known)."""

    node: Node
    artifact_id: str
    stored: bool
    n_bytes: int | None


def plan_pipeline(pipeline: Pipeline, store: "Store") -> list[Step]:
    """What running the pipeline would do, in order; nothing is written but the cache of source digests.

    Raises:
        DatasetNotFoundError: a source file is absent.
    """
    steps: list[Step] = []
    ids: dict[str, str] = {}
    for node in pipeline.nodes:
        command = with_ids(node, ids)
        inputs = resolve_inputs(command, store, must_exist=False)
        recipe = stage_recipe(node.stage, command, inputs)
        ids[node.key] = recipe.digest()
        stored = store.lookup(recipe) is not None
        n_bytes = None
        if stored:
            n_bytes = store.manifest(ids[node.key]).size
        elif node.stage.estimate_bytes is not None:
            try:
                n_bytes = node.stage.estimate_bytes(command, inputs)
            except DensecorrError:  # it depends on an input that is not made yet
                n_bytes = None
        steps.append(Step(node, ids[node.key], stored, n_bytes))
    return steps


def admit_pipeline(pipeline: Pipeline, store: "Store") -> None:
    """Ask for consent before the first stage runs, not hours later; what the store has needs none.

    Raises:
        LicenceError: a stage that will run names a model whose licence has to be accepted first.
    """
    from densecorr.hub import admit, named_models
    from densecorr.hub_licences import is_accepted, licence_facts, needs_consent

    named = [model for node in pipeline.nodes for model in named_models(node.command)]
    if is_accepted() or not any(needs_consent(licence_facts(model)) for model in named):
        return
    to_run = [step.node.command for step in plan_pipeline(pipeline, store) if not step.stored]
    admit(tuple(dict.fromkeys(model for command in to_run for model in named_models(command))))


def format_plan(steps: list[Step], store: "Store") -> str:
    """The text of `run --dry-run`."""
    from storage.reports import format_bytes, format_rows

    rows = [
        (
            step.node.key,
            step.node.verb,
            "in the store" if step.stored else "to run",
            step.artifact_id,
            "unknown"
            if step.n_bytes is None
            else ("" if step.stored else "about ") + format_bytes(step.n_bytes),
        )
        for step in steps
    ]
    to_run = [step for step in steps if not step.stored]
    needed = sum(step.n_bytes or 0 for step in to_run)
    n_unknown = sum(step.n_bytes is None for step in to_run)
    summary = f"{len(steps)} stages: {len(steps) - len(to_run)} in the store, {len(to_run)} to run."
    if to_run:
        unknown = f" and {n_unknown} of unknown size" if n_unknown else ""
        summary += f" Disk: about {format_bytes(needed)}{unknown}"
        free = free_bytes(store)
        if free is not None:
            summary += f"; {format_bytes(free)} free" + (", which is NOT ENOUGH" if needed > free else "")
        summary += "."
    return format_rows(("stage", "command", "", "artifact", "size"), rows, right=(4,)) + "\n" + summary


def free_bytes(store: "Store") -> int | None:
    """Free disk where artifacts are written; None for a store that is not a local folder."""
    if not store.place.is_local:
        return None
    folder = Path(store.place.root)
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free
