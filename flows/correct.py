"""`densecorr correct`: label sets as people reviewed them, for training; what nobody reviewed stays as it was."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from densecorr.review.resolver import Majority, Rule

from .progress import Progress
from .stage import ArtifactRef, SourcePath, Stage, StageInputs

if TYPE_CHECKING:
    from densecorr.records import LabelRecord


@dataclass(frozen=True)
class Correct:
    """Apply the reviewers' decisions to a label artifact: accepted label sets as corrected, rejected ones left out."""

    labels: ArtifactRef
    """The label artifact that was reviewed, or the data set whose own labels were."""
    template: ArtifactRef
    """The category's template."""
    decisions: SourcePath
    """The decisions as a file, which `densecorr review export` writes: what counts is what is in it."""
    others: ArtifactRef | None = None
    """Labels of the instances that nobody decided about: the artifact that `select` chose from."""
    rule: Rule = field(default_factory=Majority)
    """Whose word counts where reviewers differ."""
    agree_within: float = 0.05
    """Two vertices say the same up to this share of the template's diameter."""
    weight: float = 1.0
    """Weight of a reviewed label set in training, all its points together, beside a full one that nobody reviewed."""
    unreviewed: Literal["keep", "drop"] = "keep"
    """Whether label sets that nobody decided about stay."""


def write(out: Path, inputs: StageInputs, command: Correct, progress: Progress) -> None:
    """Fill the folder `out`: labels.parquet, review.json (counts, minutes), conflicts.jsonl with every difference."""
    import json
    from dataclasses import asdict, replace

    from densecorr.errors import ArtifactError
    from densecorr.review.masks import corrected_polygons
    from densecorr.review.resolver import resolve
    from densecorr.review.reviewers import reviews_of
    from densecorr.templates.template import kept_geodesic_rows, read_template
    from storage.decision_rows import table_to_decisions
    from storage.rows import records_to_table, table_to_records
    from storage.tables import read_table, write_tables

    from .collect import summarise

    template = read_template(inputs.path("template"))
    labels = table_to_records("labels", read_table(inputs.path("labels") / "labels.parquet", "labels"))
    decisions = table_to_decisions(read_table(inputs.path("decisions"), "decisions"))
    strangers = {one.template_id for one in labels} - {template.template_id}
    if strangers:
        raise ArtifactError(
            f"labels for the template {template.template_id}",
            f"labels for {', '.join(sorted(strangers))}",
            "Name the template that the labels were made with.",
        )
    by_label: dict[str, list] = {}
    for decision in decisions:
        by_label.setdefault(decision.label_id, []).append(decision)
    ids = {label.label_id for label in labels}
    spent = summarise([decision for decision in decisions if decision.label_id in ids])
    rows = kept_geodesic_rows(template)
    kept: list[LabelRecord] = []
    conflicts = []
    counts: dict[str, int] = dict.fromkeys(("reviewed", "rejected", "undecided", "unreviewed"), 0)
    decided: set[str] = set()
    for n, label in enumerate(labels):
        progress(n, len(labels), "label sets")
        result = resolve(
            label,
            reviews_of(label, by_label.pop(label.label_id, [])),
            command.rule,
            rows,
            command.agree_within * float(template.diameter),
            f"{inputs.artifact_id}/{label.label_id}",
            inputs.artifact_id,
        )
        conflicts += result.conflicts
        if result.label is not None or result.accepted is False or result.conflicts:
            decided.add(label.instance_id)
        if result.label is not None:
            counts["reviewed"] += 1
            kept.append(replace(result.label, weight=command.weight))
        elif result.accepted is False:
            counts["rejected"] += 1
        elif result.conflicts:
            counts["undecided"] += 1
        else:
            counts["unreviewed"] += 1
            if command.unreviewed == "keep" and len(label.x):  # a blank one says nothing
                kept.append(label)
    progress(len(labels), len(labels), "label sets")
    if command.others is not None:
        table = read_table(inputs.path("others") / "labels.parquet", "labels")
        rest = [one for one in table_to_records("labels", table) if one.instance_id not in decided]
        kept = [label for label in kept if label.instance_id in decided] + rest
        counts["others"] = len(rest)
    write_tables(out, {"labels": records_to_table("labels", kept)})
    unknown = sum(map(len, by_label.values()))
    summary = {
        **counts,
        "masks": sum(corrected_polygons(label) is not None for label in kept),
        "conflicts": len(conflicts),
        "decisions": len(decisions),
        "decisions on others": unknown,
        "instances": spent["instances"],
        "minutes": spent["minutes"],
    }
    (out / "review.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    lines = (json.dumps(asdict(conflict)) for conflict in conflicts)
    (out / "conflicts.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


STAGE = Stage("correct", Correct, version=2, write=write)
