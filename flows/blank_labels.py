"""`densecorr blank-labels`: an empty label set for each object, to annotate from scratch."""

from dataclasses import dataclass
from pathlib import Path

from .progress import Progress
from .stage import ArtifactRef, Stage, StageInputs


@dataclass(frozen=True)
class BlankLabels:
    """Make a label artifact without points: `review open --scratch` shows it, `correct` takes what was annotated."""

    dataset: ArtifactRef
    """The data set."""
    template: ArtifactRef
    """The template to annotate with."""
    category: str | None = None
    """Category of the data set; by default all of its objects."""
    split: str | None = None
    """Of this split only."""


def write(out: Path, inputs: StageInputs, command: BlankLabels, progress: Progress) -> None:
    """Fill the folder `out`: labels.parquet, whose label sets are called by the artifact and the instance."""
    import numpy as np

    from densecorr.records import LabelRecord
    from densecorr.templates.stored import read_template
    from storage.datasets import read_instances
    from storage.rows import records_to_table
    from storage.tables import write_tables

    template_id = read_template(inputs.path("template")).template_id
    items = read_instances(inputs.path("dataset"), command.category, command.split)
    nothing = np.zeros(0, np.float32)
    labels = [
        LabelRecord(
            label_id=f"{inputs.artifact_id}/{item.instance.instance_id}",
            instance_id=item.instance.instance_id,
            template_id=template_id,
            source="human",
            producer=inputs.artifact_id,
            x=nothing,
            y=nothing,
            vertex=nothing.astype(np.int64),
            point_ids=nothing.astype(np.int64),
        )
        for item in items
    ]
    progress(len(labels), len(labels), "label sets")
    write_tables(out, {"labels": records_to_table("labels", labels)})


STAGE = Stage("blank-labels", BlankLabels, version=1, write=write)
