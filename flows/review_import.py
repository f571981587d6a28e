"""`densecorr review import`: what was corrected in another tool, as the decisions of a reviewer."""

import hashlib
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tyro.conf import Positional

if TYPE_CHECKING:
    from densecorr.records import Decision
    from storage.artifacts import Store

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
        from .review_templates import foreign_labels
        from .session import say

        check_reviewer(self.reviewer)
        store = session.open_store()
        dataset_id = store.resolve(self.dataset)
        labels_id = store.resolve(self.labels) if self.labels else dataset_id
        warning = foreign_labels(store, dataset_id, labels_id)
        if warning is not None:
            say(warning)
        labels = read_labels(store.path(labels_id))
        instances = read_instances(store.path(dataset_id), crowds=True)
        read = FORMATS[self.format][1]
        digest = hashlib.sha256(self.file.read_bytes()).hexdigest() if self.file.is_file() else ""
        size = _n_vertices(store, labels_id, dataset_id)
        importer = Importer(dataset_id, self.reviewer, datetime.now(UTC), self.seconds, digest, size)
        earlier: dict[str, list[Decision]] = {}
        for decision in read_decisions(store, dataset_id, reviewer=self.reviewer):
            earlier.setdefault(decision.label_id, []).append(decision)
        result = imported_decisions(read(self.file), instances, labels, importer, earlier)
        if result.unknown and not self.skip_unknown:
            listed = ", ".join(result.unknown[:3]) + (", ..." if len(result.unknown) > 3 else "")
            raise AnnotationError(
                "objects of the data set that have a label set",
                f"{len(result.unknown)} others ({listed})",
                "Name the data set and labels that the tool was given, or leave them out: --skip-unknown.",
            )
        append_decisions(store, result.decisions)
        if result.unread:
            kinds = ", ".join(f"{n} {kind}" for kind, n in Counter(kind for _, kind in result.unread).items())
            names = ", ".join(list(dict.fromkeys(name for name, _ in result.unread))[:3])
            say(
                f"not read: {kinds} (in {names}); masks are read from polygons without holes, see docs/review.md"
            )
        objects = len({decision.instance_id for decision in result.decisions})
        left = f", {len(result.unknown)} unknown objects left out" if result.unknown else ""
        again = f", {result.n_again} objects were imported before" if result.n_again else ""
        say(f"{len(result.decisions)} decisions of {self.reviewer} on {objects} objects{again}{left}")


def _n_vertices(store: "Store", labels_id: str, dataset_id: str) -> int | None:
    """Vertices of the labels' template: of the one in the store, else of the reference mesh of that name."""
    from densecorr.datasets.reference_meshes import VERTEX_COUNTS
    from densecorr.errors import ArtifactError
    from densecorr.templates.template import read_template
    from storage.tables import read_table

    from .review_templates import find_template

    try:
        return len(read_template(store.path(find_template(store, labels_id, [labels_id, dataset_id], ()))).V)
    except ArtifactError:
        table = read_table(store.path(labels_id) / "labels.parquet", "labels", columns=["template_id"])
        return VERTEX_COUNTS.get(next(iter(table["template_id"].unique().to_pylist()), ""))
