"""`densecorr select`: which pseudo-labels to review within so many minutes, thinned to what a person can look at."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from densecorr.review.costs import CostModel
from densecorr.review.ranking import RankingSettings

from .progress import Progress
from .stage import ArtifactRef, Stage, StageInputs

if TYPE_CHECKING:
    from densecorr.records import LabelRecord
    from densecorr.templates.template import Template


@dataclass(frozen=True)
class Select:
    """Choose the instances whose review tells most within a budget of minutes.

    The result is a label artifact: `review open --labels` shows it, `correct` takes it.
    """

    dataset: ArtifactRef
    """The data set."""
    labels: ArtifactRef
    """Its pseudo-labels; calibrated ones, unless the order is random. What was corrected before is left out."""
    template: ArtifactRef
    """The category's template."""
    category: str
    """Category of the data set."""
    opinion: ArtifactRef | None = None
    """Other labels of the same images, such as a trained model's: where the two differ there is more to learn."""
    split: str | None = None
    """Of this split only."""
    minutes: float = 30.0
    """Time for the review."""
    spare: float = 0.5
    """Instances beyond the budget, as a share of it, for a review that goes faster than expected."""
    points: int = 40
    """Points of an instance that are shown, spread over it; 0 shows all."""
    order: Literal["information", "random"] = "information"
    """Random order is for comparison."""
    seed: int = 0
    """Of the random order."""
    tolerance: float = 0.03
    """Error, share of the template's diameter, that a reviewer is expected to let pass."""
    ranking: RankingSettings = field(default_factory=RankingSettings)
    """How information, cost and variety are weighed."""
    costs: CostModel = field(default_factory=CostModel)
    """Seconds that a review takes."""


def write(out: Path, inputs: StageInputs, command: Select, progress: Progress) -> None:
    """Fill the folder `out`: labels.parquet, order.txt with an instance id a line, selection.json with the reasons.

    Raises:
        EmptyInstanceError: no labels of this category and split.
        SettingsError: not one review fits in the minutes.
        AnnotationError: labels that are not calibrated.
    """
    import json

    from densecorr.errors import EmptyInstanceError, SettingsError
    from densecorr.review.costs import expected_seconds
    from densecorr.review.thin import thin_label
    from densecorr.templates.template import read_template
    from storage.datasets import read_instances, read_labels
    from storage.rows import records_to_table
    from storage.tables import write_tables

    template = read_template(inputs.path("template"))
    sets = read_labels(inputs.path("labels"))
    items = read_instances(inputs.path("dataset"), command.category, command.split)
    found = [sets[one.instance.instance_id] for one in items if one.instance.instance_id in sets]
    shown = [
        thin_label(label, command.points or len(label.x), f"{inputs.artifact_id}/{label.label_id}")
        for label in found
        if label.source != "correction" and (np.asarray(label.vertex) >= 0).any()
    ]
    if not shown:
        raise EmptyInstanceError(
            f"label sets of '{command.category}'", "none", "Check labels, category and split."
        )
    seconds = np.array([expected_seconds(label, command.costs, command.tolerance) for label in shown])
    if seconds.min() > 60 * command.minutes:
        raise SettingsError(
            f"at least {np.ceil(seconds.min() / 6) / 10:.1f} minutes, for the shortest review",
            f"{command.minutes:g}",
            "Raise --minutes, or show fewer --points of each.",
        )
    opinions = read_labels(inputs.path("opinion")) if command.opinion else {}
    progress(0, 2, "information")
    value = information_of(shown, opinions, template, command)
    progress(1, 2, "selection")
    chosen = choose(shown, value, seconds, template, command)
    labels = [shown[i] for i in chosen]
    write_tables(out, {"labels": records_to_table("labels", labels)})
    (out / "order.txt").write_text("".join(f"{label.instance_id}\n" for label in labels), encoding="utf-8")
    within = int(np.searchsorted(np.cumsum(seconds[chosen]), 60 * command.minutes, side="right"))
    summary = {
        "minutes": command.minutes,
        "instances": len(chosen),
        "expected within the minutes": within,
        "of": len(shown),
        "order": command.order,
        "chosen": [
            {
                "instance_id": shown[i].instance_id,
                "information": None if value is None else round(float(value[i]), 6),
                "expected_seconds": round(float(seconds[i]), 2),
            }
            for i in chosen
        ],
    }
    (out / "selection.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    progress(2, 2, "selection")


def information_of(
    labels: "list[LabelRecord]",
    opinions: "dict[str, LabelRecord]",
    template: "Template",
    command: Select,
) -> np.ndarray | None:
    """What each review is expected to tell, share of the diameter; None for a random order of uncalibrated labels.

    Raises:
        AnnotationError: labels that are not calibrated.
    """
    from densecorr.review.ranking import disagreement, information, mean_expected_error
    from densecorr.templates.template import kept_geodesic_rows

    if command.order == "random" and any(label.expected_error is None for label in labels):
        return None
    rows = kept_geodesic_rows(template)
    differ = [
        disagreement(
            [label, opinions[label.instance_id]], rows, float(template.diameter), command.ranking.same_px
        )
        if label.instance_id in opinions
        else None
        for label in labels
    ]
    return information(np.array([mean_expected_error(label) for label in labels]), differ, command.ranking)


def choose(
    labels: "list[LabelRecord]",
    value: np.ndarray | None,
    seconds: np.ndarray,
    template: "Template",
    command: Select,
) -> np.ndarray:
    """Places of the chosen label sets in the order of their review, up to the budget and the spare ones."""
    from functools import partial

    from densecorr.review.ranking import select_for_review, surface_cells, surface_histogram
    from densecorr.templates.template import geodesic_rows

    budget = command.minutes * (1 + command.spare)
    if command.order == "random":
        order = np.random.default_rng(command.seed).permutation(len(labels))
        return order[: max(1, int(np.searchsorted(np.cumsum(seconds[order]), 60 * budget, side="right")))]
    assert value is not None
    cells = surface_cells(partial(geodesic_rows, template), len(template.V))
    like = np.stack([surface_histogram(label, cells) for label in labels])
    first = np.array(
        select_for_review(value, seconds, command.minutes, command.ranking, like).chosen, dtype=np.int64
    )
    rest = np.setdiff1d(np.arange(len(labels)), first)
    more = select_for_review(
        value[rest], seconds[rest], budget - command.minutes, command.ranking, like[rest]
    )
    return np.concatenate([first, rest[np.array(more.chosen, dtype=np.int64)]])


STAGE = Stage("select", Select, version=2, write=write)
