"""`densecorr review import`: what was corrected in another tool, as the decisions of a reviewer."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tyro.conf import Positional

if TYPE_CHECKING:
    from .session import Session

Format = Literal["coco-keypoints", "cvat", "densepose", "label-studio"]


@dataclass(frozen=True)
class ReviewImport:
    """Take over corrections made in CVAT, Label Studio or any COCO tool; each object in the file counts as accepted."""

    dataset: Positional[str]
    """The data set: an id, its first digits, or a tag."""
    file: Positional[Path]
    """The tool's file: COCO or DensePose JSON, CVAT's annotations.xml, Label Studio's JSON."""
    reviewer: str
    """Whose decisions they are."""
    format: Format = "coco-keypoints"
    """What kind of file it is."""
    labels: str | None = None
    """The label artifact that was given to the tool; by default the data set's own labels."""
    seconds: float = 0.0
    """Time spent on an object, where you know it."""
    skip_unknown: bool = False
    """Leave out objects that are not in the data set instead of stopping."""

    def __call__(self, session: "Session") -> None:
        """Read the file and store the decisions; importing it twice changes nothing."""
        from densecorr.errors import AnnotationError
        from densecorr.review.interchange import FORMATS
        from densecorr.review.interchange.changes import Importer
        from storage.datasets import read_instances, read_labels
        from storage.decisions import append_decisions, read_decisions
        from storage.journal import check_reviewer

        from .review_files import imported_decisions
        from .session import say

        check_reviewer(self.reviewer)
        store = session.open_store()
        dataset_id = store.resolve(self.dataset)
        labels = read_labels(store.path(store.resolve(self.labels) if self.labels else dataset_id))
        instances = read_instances(store.path(dataset_id), crowds=True)
        read = FORMATS[self.format][1]
        digest = hashlib.sha256(self.file.read_bytes()).hexdigest() if self.file.is_file() else ""
        importer = Importer(dataset_id, self.reviewer, datetime.now(UTC), self.seconds, digest)
        result = imported_decisions(read(self.file), instances, labels, importer)
        if result.unknown and not self.skip_unknown:
            listed = ", ".join(result.unknown[:3]) + (", ..." if len(result.unknown) > 3 else "")
            raise AnnotationError(
                "objects of the data set that have a label set",
                f"{len(result.unknown)} others ({listed})",
                "Name the data set and labels that the tool was given, or leave them out: --skip-unknown.",
            )
        known = {one.decision_id[16:] for one in read_decisions(store, dataset_id, reviewer=self.reviewer)}
        fresh = [one for one in result.decisions if one.decision_id[16:] not in known]
        append_decisions(store, fresh)
        objects = len({decision.instance_id for decision in fresh})
        left = f", {len(result.unknown)} unknown objects left out" if result.unknown else ""
        before = len(result.decisions) - len(fresh)
        say(
            f"{len(fresh)} decisions of {self.reviewer} on {objects} objects"
            + (f", {before} were imported before" if before else "")
            + left
        )
