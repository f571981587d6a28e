"""`densecorr collect`: wait until what was selected is reviewed, or let a simulated annotator do it."""

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from densecorr.review.costs import CostModel
from densecorr.review.noise import HUMAN_SIGMA, HUMAN_SLIP

from .progress import Progress
from .stage import ArtifactRef, Stage, StageInputs

if TYPE_CHECKING:
    from densecorr.records import Decision, LabelRecord
    from densecorr.review.simulation import SimulatedAnnotator, Surface
    from densecorr.templates.template import Template

MAX_DISTANCE = (
    0.02  # from a label's point to the annotated one that is its truth, share of the box's longer side
)


@dataclass(frozen=True)
class People:
    """Wait for reviewers: until they decided about all instances or spent the minutes.

    Attributes:
        minutes: of review, all reviewers together; None waits for all instances.
        share: of the instances that is enough.
        poll_s: seconds between looks at the decisions.
        hours: longest wait; then what there is counts.
    """

    kind: Literal["people"] = "people"
    minutes: float | None = None
    share: float = 1.0
    poll_s: float = 20.0
    hours: float | None = None


@dataclass(frozen=True)
class Simulated:
    """An annotator made of the data set's own annotations and noise; its decisions stay in this artifact.

    Points of a label set that no annotated point is near are taken out of it, so annotate densely.

    Attributes:
        minutes: of review; what does not fit is not reviewed.
        sigma: spread of the annotator's vertices, share of the template's diameter; the default is that of DensePose's
            annotators.
        slip: probability of taking left for right.
        miss: probability of overlooking a wrong label.
        tolerance: error, share of the diameter, that the annotator lets pass.
        costs: seconds for each act.
        seed: of the noise.
    """

    kind: Literal["simulated"] = "simulated"
    minutes: float = 30.0
    sigma: float = HUMAN_SIGMA
    slip: float = HUMAN_SLIP
    miss: float = 0.0
    tolerance: float = 0.03
    costs: CostModel = field(default_factory=CostModel)
    seed: int = 0


@dataclass(frozen=True)
class Collect:
    """Gather the decisions of one round of review as a file that never changes; name another `round` for the next."""

    dataset: ArtifactRef
    """The data set."""
    labels: ArtifactRef
    """The label artifact under review, from `select`."""
    template: ArtifactRef
    """The category's template."""
    annotator: People | Simulated = field(default_factory=People)
    """Who reviews."""
    round: int = 1
    """Number of the round: a round that was collected once stays as it was."""


def write(out: Path, inputs: StageInputs, command: Collect, progress: Progress) -> None:
    """Fill the folder `out`: decisions.parquet and collected.json (decisions, instances, minutes, reviewers)."""
    from storage.datasets import read_labels
    from storage.decision_rows import decisions_to_table
    from storage.tables import write_table

    labels = read_labels(inputs.path("labels"))
    if isinstance(command.annotator, Simulated):
        decisions = _simulate(labels, inputs, command.annotator, progress)
    else:
        decisions = _wait(labels, inputs, command.annotator, progress)
    decisions = sorted(decisions, key=lambda decision: decision.decision_id)
    write_table(out / "decisions.parquet", "decisions", decisions_to_table(decisions))
    (out / "collected.json").write_text(json.dumps(summarise(decisions), indent=1) + "\n", encoding="utf-8")


def summarise(decisions: "list[Decision]") -> dict[str, Any]:
    """How much was decided by whom, and in how many minutes."""
    from densecorr.review.carried import time_spent

    return {
        "decisions": len(decisions),
        "instances": len(decided(decisions)),
        "minutes": round(time_spent(decisions) / 60, 3),
        "reviewers": sorted({decision.reviewer for decision in decisions}),
    }


def decided(decisions: "list[Decision]") -> set[str]:
    """Instances with a verdict that counts, of any reviewer; a skipped one waits for another."""
    from densecorr.review.state import has_decided, verdict_of

    groups: dict[tuple[str, str], list[Decision]] = {}
    for decision in decisions:
        groups.setdefault((decision.reviewer, decision.instance_id), []).append(decision)
    verdicts = ((key, verdict_of(own)) for (_, key), own in groups.items())
    return {key for key, verdict in verdicts if has_decided(verdict)}


def _wait(
    labels: "dict[str, LabelRecord]", inputs: StageInputs, people: People, progress: Progress
) -> "list[Decision]":
    """The decisions on these label sets, once there are enough.

    Raises:
        TrainingError: the hours are up and nothing was decided.
        JournalError: a journal cannot be read; what was collected once stays, so nothing may be missing.
    """
    from densecorr.errors import TrainingError
    from densecorr.review.carried import time_spent
    from storage.decisions import compact, read_decisions

    from .session import say

    started = time.monotonic()
    ids = {label.label_id for label in labels.values()}
    wanted = max(1, round(people.share * len(labels)))
    say(
        f"waiting for the review of {wanted} instances: densecorr review open {inputs.id('dataset')[:12]} "
        f"--labels {inputs.id('labels')[:12]} --reviewer NAME"
    )
    while True:
        compact(inputs.store)
        found = read_decisions(inputs.store, inputs.id("dataset"), list(labels))
        found = [decision for decision in found if decision.label_id in ids]
        done, minutes = len(decided(found)), time_spent(found) / 60
        progress(min(done, wanted), wanted, f"instances reviewed, {minutes:.1f} minutes")
        if done >= wanted or (people.minutes is not None and done and minutes >= people.minutes):
            return found
        if people.hours is not None and time.monotonic() - started > 3600 * people.hours:
            if done:
                return found
            raise TrainingError(
                f"decisions within {people.hours} hours",
                "none",
                "Review some instances (the command stands above), or wait longer: annotator.hours.",
            )
        time.sleep(people.poll_s)


def _simulate(
    labels: "dict[str, LabelRecord]", inputs: StageInputs, annotator: Simulated, progress: Progress
) -> "list[Decision]":
    """A simulated annotator's decisions on the label sets in their order, until the minutes are spent.

    Raises:
        EmptyInstanceError: the data set knows no truth of these instances.
    """
    from densecorr.errors import EmptyInstanceError
    from densecorr.review.simulation import simulate_decisions
    from densecorr.templates.template import read_template
    from storage.datasets import read_instances, read_labels

    from .labelled import ANNOTATIONS

    template = read_template(inputs.path("template"))
    truths = read_labels(inputs.path("dataset"), ANNOTATIONS)
    sides = {
        one.instance.instance_id: max(one.instance.xywh[2:]) for one in read_instances(inputs.path("dataset"))
    }
    who, surface = simulated_on(
        template, annotator.sigma, annotator.slip, annotator.miss, annotator.tolerance, annotator.costs
    )
    decisions: list[Decision] = []
    spent = 0.0
    for n, (key, label) in enumerate(labels.items()):
        progress(n, len(labels), "simulated reviews")
        if key not in truths:
            continue
        true = true_vertices(label, truths[key], MAX_DISTANCE * sides[key])
        if not (true >= 0).any():
            continue
        rng = np.random.default_rng([annotator.seed, n])
        acts = simulate_decisions(label, true, who, surface, rng, inputs.id("dataset"))
        seconds = sum(act.seconds for act in acts)
        if spent + seconds > 60 * annotator.minutes:
            break
        decisions += acts
        spent += seconds
    progress(len(labels), len(labels), "simulated reviews")
    if not decisions:
        raise EmptyInstanceError(
            "instances whose truth the data set knows",
            f"none that fits {annotator.minutes} minutes",
            "Simulate on a data set with annotated points, such as one of `world`, or give more minutes.",
        )
    return decisions


def simulated_on(
    template: "Template", sigma: float, slip: float, miss: float, tolerance: float, costs: CostModel
) -> "tuple[SimulatedAnnotator, Surface]":
    """A simulated annotator on a template; spread and tolerance are shares of its diameter."""
    from densecorr.review.noise import NoiseModel
    from densecorr.review.simulation import SimulatedAnnotator, Surface
    from densecorr.templates.template import kept_geodesic_rows

    size = float(template.diameter)
    noise = NoiseModel((sigma * size,), slip, miss)
    surface = Surface(kept_geodesic_rows(template), template, area=template.mass)
    return SimulatedAnnotator(noise, costs, tolerance * size), surface


def true_vertices(label: "LabelRecord", truth: "LabelRecord", reach: float) -> np.ndarray:
    """The vertex of the nearest annotated point of each label point, -1 where none is within `reach` pixels."""
    from scipy.spatial import KDTree

    use = np.asarray(truth.vertex) >= 0
    if not use.any():
        return np.full(len(label.x), -1)
    tree = KDTree(np.stack([truth.x, truth.y], axis=1)[use])
    away, nearest = tree.query(np.stack([label.x, label.y], axis=1))
    return np.where(away <= reach, np.asarray(truth.vertex)[use][nearest], -1)


STAGE = Stage("collect", Collect, version=3, write=write)
