"""Which decisions are in label sets already: `correct` (and so `review export`) made these from them."""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import TYPE_CHECKING

from densecorr.errors import ArtifactError, DatasetNotFoundError
from densecorr.records import Decision, LabelRecord
from densecorr.review.state import has_decided, initial_state, replay, reviewed_label, verdict_of
from storage.recipe import is_source_digest

if TYPE_CHECKING:
    from storage.artifacts import Store
    from storage.manifest import Manifest

Judged = tuple[str, str]  # an instance and the label id of the label set that was judged


def corrections_of(store: "Store", labels_id: str, present: Mapping[str, LabelRecord]) -> dict[Judged, str]:
    """The judged label sets that these labels came from, each with the artifact of `correct` that applied the acts.

    A corrected label set names the one before it (`extra.reviewed`), which may be a corrected one itself. An instance
    that the corrected labels leave out came from whatever label set of it was corrected.

    Args:
        store: where everything is.
        labels_id: the labels, or the data set whose own they are.
        present: their label sets by instance.
    """
    from storage.label_tables import read_label_sets
    from storage.tables import read_table

    found: dict[Judged, str] = {}
    layer = [label for label in present.values() if _is_corrected(label)]
    while layer:
        before: dict[str, set[str]] = {}  # label ids by the artifact of `correct`
        for label in layer:
            judged = str(label.extra["reviewed"])
            found[label.instance_id, judged] = label.producer
            before.setdefault(label.producer, set()).add(judged)
        layer = [
            label
            for artifact_id, label_ids in before.items()
            if (path := _judged_table(store, artifact_id)) is not None
            for label in read_label_sets(path, label_ids)
            if _is_corrected(label) and (label.instance_id, str(label.extra["reviewed"])) not in found
        ]
    for manifest in label_origins(store, labels_id, ("correct",)):
        path = _judged_table(store, manifest.artifact_id) if manifest.stage == "correct" else None
        if path is not None:
            rows = read_table(path, "labels", ["instance_id", "label_id"]).to_pylist()
            left_out = [
                (row["instance_id"], row["label_id"]) for row in rows if row["instance_id"] not in present
            ]
            found |= dict.fromkeys(set(left_out) - found.keys(), manifest.artifact_id)
    return found


def label_origins(store: "Store", labels_id: str, through: Container[str]) -> Iterator["Manifest"]:
    """The labels and those that they were made from by stages of these names alone; removed ones are passed over."""
    waiting, seen = [labels_id], set()
    while waiting:
        artifact_id = waiting.pop()
        manifest = None if artifact_id in seen else _manifest(store, artifact_id)
        seen.add(artifact_id)
        if manifest is not None:
            yield manifest
            inputs = manifest.recipe.inputs
            if manifest.stage in through:
                waiting += [str(inputs[key]) for key in ("labels", "others") if key in inputs]


def applied_ids(store: "Store", correct_id: str) -> Set[str] | None:
    """Ids of the decisions that an artifact of `correct` was made from; None where their file is not here any more."""
    from storage.tables import read_table

    manifest = _manifest(store, correct_id)
    path = None if manifest is None else _decisions_file(store, manifest)
    if path is None:
        return None
    return set(read_table(path, "decisions", ["decision_id"])["decision_id"].to_pylist())


def says_the_same(before: LabelRecord | None, acts: Sequence[Decision], now: LabelRecord | None) -> bool:
    """Whether one reviewer's acts alone make of a label set what stands there now (None: it is left out)."""
    action = (verdict_of(acts) or {}).get("action")
    if now is None:
        return action in ("reject", "not_visible")
    if action != "accept" or before is None:
        return False
    reviewed = reviewed_label(before, replay(before, acts), now.label_id, now.producer)
    return initial_state(reviewed).points == initial_state(now).points


def decides(acts: Iterable[Decision]) -> bool:
    """Whether one reviewer's acts on a label set lead to a verdict that decides."""
    return has_decided(verdict_of(acts))


def _is_corrected(label: LabelRecord) -> bool:
    return label.source == "correction" and "reviewed" in label.extra


def _manifest(store: "Store", artifact_id: str) -> "Manifest | None":
    try:
        return store.manifest(artifact_id)
    except ArtifactError:  # removed from the store, or made by something else
        return None


def _judged_table(store: "Store", correct_id: str) -> Path | None:
    """The table of the label sets that an artifact of `correct` was made from; None where it is gone."""
    manifest = _manifest(store, correct_id)
    if manifest is None or "labels" not in manifest.recipe.inputs:
        return None
    try:
        return store.path(str(manifest.recipe.inputs["labels"])) / "labels.parquet"
    except ArtifactError:  # removed, or damaged: `store verify` says so
        return None


def _decisions_file(store: "Store", manifest: "Manifest") -> Path | None:
    """The decisions that an artifact of `correct` was made from, unchanged; None where they are gone."""
    recipe = manifest.recipe
    digest = str(recipe.inputs["decisions"])
    try:
        if is_source_digest(digest):
            source = manifest.sources.get(digest)
            return Path(source) if source is not None and store.digest_source(source) == digest else None
        return store.path(digest) / recipe.settings["inputs_inside"]["decisions"][0]
    except (ArtifactError, DatasetNotFoundError):
        return None
