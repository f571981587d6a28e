"""`densecorr review export`: reviewed labels as an artifact for training, or labels as a file for another tool."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tyro.conf import Positional

from densecorr.review.resolver import Majority, Rule

from .review_import import Format

if TYPE_CHECKING:
    from densecorr.records import Decision, LabelRecord
    from storage.artifacts import Store

    from .session import Session


@dataclass(frozen=True)
class ReviewExport:
    """Make the reviewed labels (an artifact that `train` takes), or write labels as a file for CVAT and others.

    Without --out: applies all decisions on the label set as `densecorr correct` does and prints the artifact's id. With
    --out: writes the label sets, as they are, as a file of --format.
    """

    dataset: Positional[str]
    """The data set: an id, its first digits, or a tag."""
    labels: str | None = None
    """The label artifact; by default the data set's own labels."""
    template: str | None = None
    """The template artifact; by default the one that the labels were made with."""
    rule: Rule = field(default_factory=Majority)
    """Whose word counts where reviewers differ."""
    weight: float = 1.0
    """Weight of a reviewed label set in training."""
    unreviewed: Literal["keep", "drop"] = "keep"
    """Whether label sets that nobody decided about stay."""
    others: str | None = None
    """Labels of the instances that nobody decided about: the artifact that `select` chose from."""
    tag: str | None = None
    """A name for the artifact."""
    out: Path | None = None
    """The file to write for another tool."""
    format: Format = "coco-keypoints"
    """What kind of file."""
    category: str | None = None
    """With --out: objects of this category only."""
    order: Path | None = None
    """With --out: only the objects whose ids this file lists, one a line, as `review assign --out` writes it."""
    incomplete: bool = False
    """Go on without a journal that cannot be read: acts that wait in it are missing from the labels."""

    def __call__(self, session: "Session") -> None:
        """Make the artifact or write the file."""
        store = session.open_store()
        if self.out is None:
            self._correct(store)
        else:
            self._write(store, self.out)

    def _correct(self, store: "Store") -> None:
        from storage.datasets import read_labels

        from .correct import STAGE, Correct
        from .progress import StageProgress
        from .review_next import train_command
        from .review_templates import find_template
        from .session import say
        from .stage import run_stage

        dataset_id = store.resolve(self.dataset)
        labels = store.resolve(self.labels) if self.labels else dataset_id
        template = (
            store.resolve(self.template)
            if self.template is not None
            else find_template(store, labels, [labels, dataset_id], ())
        )
        command = Correct(
            labels=labels,
            template=template,
            decisions=str(write_snapshot(store, dataset_id, self.incomplete)),
            others=None if self.others is None else store.resolve(self.others),
            rule=self.rule,
            weight=self.weight,
            unreviewed=self.unreviewed,
        )
        with StageProgress("correct") as progress:
            artifact_id = run_stage(STAGE, command, store, progress)
        if self.tag is not None:
            store.tag(self.tag, artifact_id)
        summary = (store.path(artifact_id) / "review.json").read_text(encoding="utf-8")
        say(" ".join(summary.split()))
        if read_labels(store.path(artifact_id)):
            say(f"to train on them: {train_command(store, dataset_id, artifact_id, template)}")
        else:
            say(
                "no label sets to train on: nobody accepted one, and those that nobody decided about were dropped"
            )
        print(artifact_id)

    def _write(self, store: "Store", out: Path) -> None:
        from densecorr.errors import AnnotationError
        from densecorr.review.interchange import FORMATS
        from storage.datasets import read_instances, read_labels

        from .review_files import tool_images
        from .review_next import export_command
        from .review_orders import read_order_file
        from .session import say
        from .whole_file import whole_file

        dataset_id = store.resolve(self.dataset)
        labels_id = store.resolve(self.labels) if self.labels else None
        labels = read_labels(store.path(labels_id or dataset_id))
        if self.order is not None:
            wanted = set(read_order_file(self.order).instances)
            labels = {key: label for key, label in labels.items() if key in wanted}
        images = tool_images(read_instances(store.path(dataset_id), self.category, crowds=True), labels)
        if not images:
            raise AnnotationError(
                "objects with a label set", "none", "Check --labels, --category and --order."
            )
        with whole_file(out) as part:
            FORMATS[self.format][0](part, images)
        objects = sum(len(image.instances) for image in images)
        say(f"{out}: {len(images)} images, {objects} objects")
        written = {one.instance_id for image in images for one in image.instances}
        judged = _judged_since(store, dataset_id, [labels[key] for key in labels if key in written])
        if judged:
            say(
                f"{judged} of them were judged since, and the file holds them as they were before. With what was "
                f"decided: {export_command(store, dataset_id, labels_id)}, then this command with --labels corrected"
            )


def _judged_since(store: "Store", dataset_id: str, labels: "list[LabelRecord]") -> int:
    """How many of the label sets someone judged; a journal that cannot be read is said and left out."""
    from storage.decisions import read_decisions

    from .review_carry import is_judged
    from .session import say

    unreadable: list[str] = []
    acts: dict[str, list[Decision]] = {label.label_id: [] for label in labels}
    for act in read_decisions(store, dataset_id, unreadable=unreadable):
        if act.label_id in acts:
            acts[act.label_id].append(act)
    for sentence in unreadable:
        say(sentence)
    return sum(map(is_judged, acts.values()))


def write_snapshot(store: "Store", dataset_id: str, incomplete: bool = False) -> Path:
    """All decisions on a data set as a file that never changes: the same decisions are the same file.

    Journals are merged into the table first, so that nothing that was decided before this call is missing.

    Raises:
        JournalError: a journal cannot be read, and `incomplete` does not allow to go on without.
    """
    import hashlib

    from storage.decisions import compact, read_decision_table
    from storage.tables import write_table

    from .review_incomplete import journals_read
    from .session import say, state_folder
    from .whole_file import whole_file

    problems = compact(store).problems
    with journals_read(incomplete) as unreadable:
        table = read_decision_table(store, dataset_id, unreadable=unreadable)
    for problem in problems:
        say(problem)
    folder = state_folder() / "review" / "snapshots"
    key = hashlib.sha256("\n".join(table["decision_id"].to_pylist()).encode()).hexdigest()[:20]
    path = folder / f"{dataset_id}-{key}.parquet"
    if not path.exists():
        with whole_file(path) as part:
            write_table(part, "decisions", table)
    return path
