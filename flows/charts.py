"""`densecorr charts`: DensePose chart labels (part, u, v) as template vertices, or vertices as charts."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .progress import Progress
from .session import say
from .stage import ArtifactRef, SourcePath, Stage, StageInputs


@dataclass(frozen=True)
class Charts:
    """Give chart labels (IUV) vertices of a template, by a chart table; or the other way round."""

    dataset: ArtifactRef
    """Data set or label artifact whose labels are converted."""
    template: ArtifactRef
    """The template whose vertices the chart table names, from `densecorr template`."""
    charts: SourcePath
    """Chart table: .csv, .parquet or .npz of vertex, part, u, v, or DensePose's .mat; see docs/densepose.md."""
    direction: Literal["to-vertices", "to-iuv"] = "to-vertices"
    """Which of the two is made from the other."""


def write(out: Path, inputs: StageInputs, command: Charts, progress: Progress) -> None:
    """Fill the folder `out`: labels.parquet, and summary.json with counts and the distance in (u, v)."""
    from densecorr.datasets.charts import read_charts
    from densecorr.templates.template import read_template
    from storage.rows import records_to_table, table_to_records
    from storage.tables import read_table, write_table

    from .chart_work import convert_labels

    source, folder = read_charts(inputs.path("charts")), inputs.path("dataset")
    template = read_template(inputs.path("template"))
    records = table_to_records("labels", read_table(folder / "labels.parquet", "labels"))
    progress(0, len(records), "charts")
    made, summary = convert_labels(records, source, template, command.direction, inputs.artifact_id)
    write_table(out / "labels.parquet", "labels", records_to_table("labels", made))
    (out / "summary.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    say(f"charts: {summary['labels']} label sets, {summary['placed']} of {summary['points']} points placed")


STAGE = Stage("charts", Charts, version=1, write=write)
