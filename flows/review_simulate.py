"""`densecorr review simulate`: what the ranking is worth where the truth is known, before anyone spends an hour."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tyro.conf import Positional

from densecorr.evaluation.geodesic import SHIC_SCALE
from densecorr.review.costs import CostModel
from densecorr.review.noise import HUMAN_SIGMA, HUMAN_SLIP
from densecorr.review.ranking import RankingSettings

if TYPE_CHECKING:
    from densecorr.evaluation.bootstrap import Interval
    from densecorr.review.benefit import Benefit, ReviewCase
    from densecorr.review.simulation import Surface

    from .session import Session


@dataclass(frozen=True)
class ReviewSimulate:
    """Spend the same minutes by the ranking and at random, with a simulated annotator, and compare the labels' errors.

    For pseudo-labels of images whose truth is known, such as those of `world`. No decision is stored.
    """

    dataset: Positional[str]
    """The data set; its annotations are the truth."""
    labels: str
    """Its calibrated pseudo-labels."""
    opinion: str | None = None
    """What a trained model says at the same points (`opinion`): where the two differ there is more to learn."""
    minutes: float = 60.0
    """Spent in each way."""
    points: int = 40
    """Points of an instance that are shown; 0 shows all."""
    category: str | None = None
    """Objects of this category only."""
    template: str | None = None
    """The template; by default the one that the labels were made with."""
    seeds: int = 5
    """Orders and noises drawn."""
    sigma: float = HUMAN_SIGMA
    """Spread of the annotator's vertices, share of the template's diameter: that of DensePose's annotators."""
    slip: float = HUMAN_SLIP
    """Probability of taking left for right."""
    miss: float = 0.0
    """Probability of overlooking a wrong label."""
    tolerance: float = 0.03
    """Error, share of the diameter, that the annotator lets pass."""
    costs: CostModel = field(default_factory=CostModel)
    """Seconds for each act."""
    ranking: RankingSettings = field(default_factory=RankingSettings)
    """How information, cost and variety are weighed."""
    json: Path | None = None
    """Write the figures to this file, too."""

    def __call__(self, session: "Session") -> None:
        """Print the table."""
        from densecorr.review.benefit import BenefitSettings, simulate_review
        from densecorr.review.ranking import surface_cells, surface_histogram
        from densecorr.templates.template import read_template

        from .collect import simulated_on
        from .review_templates import find_template
        from .whole_file import whole_file

        store = session.open_store()
        dataset, labels = store.resolve(self.dataset), store.resolve(self.labels)
        chosen = (
            find_template(store, labels, [labels, dataset], ()) if self.template is None else self.template
        )
        template = read_template(store.path(chosen))
        cases = read_cases(store.path(dataset), store.path(labels), self.category, self.points)
        annotator, surface = simulated_on(
            template, self.sigma, self.slip, self.miss, self.tolerance, self.costs
        )
        if self.opinion is not None:
            cases = with_disagreement(cases, store.path(self.opinion), surface, self.ranking)
        cells = surface_cells(surface.rows, len(template.V))
        like = np.stack([surface_histogram(case.label, cells) for case in cases])
        settings = BenefitSettings(self.minutes, self.seeds, self.ranking)
        facts = benefit_facts(simulate_review(cases, annotator, surface, settings, like), len(cases))
        print(as_table(facts))
        if self.json is not None:
            with whole_file(self.json) as part:
                part.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def read_cases(dataset: Path, labels: Path, category: str | None, points: int) -> "list[ReviewCase]":
    """The thinned label sets of the instances whose truth the data set knows.

    Raises:
        EmptyInstanceError: there are none.
    """
    from densecorr.errors import EmptyInstanceError
    from densecorr.review.benefit import ReviewCase
    from densecorr.review.thin import thin_label
    from storage.datasets import read_instances, read_labels

    from .collect import MAX_DISTANCE, true_vertices
    from .labelled import ANNOTATIONS

    truths, sets = read_labels(dataset, ANNOTATIONS), read_labels(labels)
    cases = []
    for item in read_instances(dataset, category):
        key = item.instance.instance_id
        if key not in truths or key not in sets:
            continue
        label = thin_label(sets[key], points or len(sets[key].x), sets[key].label_id)
        true = true_vertices(label, truths[key], MAX_DISTANCE * max(item.instance.xywh[2:]))
        if (true >= 0).any():
            cases.append(ReviewCase(label, true, item.instance.image_id))
    if not cases:
        raise EmptyInstanceError(
            "pseudo-labels near annotated points",
            "none",
            "Name a data set whose truth is known, such as one of `world`, and its own labels.",
        )
    return cases


def with_disagreement(
    cases: "list[ReviewCase]", opinion: Path, surface: "Surface", ranking: RankingSettings
) -> "list[ReviewCase]":
    """The cases with how far other labels of the same points are from theirs."""
    from dataclasses import replace

    from densecorr.review.ranking import disagreement
    from storage.datasets import read_labels

    others, size = read_labels(opinion), surface.template.diameter
    return [
        replace(
            case,
            disagreement=disagreement(
                [case.label, others[case.label.instance_id]], surface.rows, size, ranking.same_px
            ),
        )
        if case.label.instance_id in others
        else case
        for case in cases
    ]


def benefit_facts(benefit: "Benefit", n_instances: int) -> dict[str, Any]:
    """The comparison as plain data, errors on SHIC's scale (the diameter is 228)."""

    def interval(one: "Interval") -> list[float | None]:
        return [
            None if value is None else round(SHIC_SCALE * value, 4)
            for value in (one.value, one.low, one.high)
        ]

    arms = {"by the ranking": benefit.ranked, "at random": benefit.random}
    return {
        "instances": n_instances,
        "before": interval(benefit.error_before),
        "after": {
            name: {
                "error": interval(arm.error_after),
                "minutes": round(arm.minutes, 3),
                "instances": arm.n_reviewed,
                "points corrected": arm.n_corrected,
                "taken off a minute": round(SHIC_SCALE * arm.error_per_minute, 5),
            }
            for name, arm in arms.items()
        },
        "gained by the ranking": interval(benefit.gained),
        "p": benefit.p_value,
    }


def as_table(facts: dict[str, Any]) -> str:
    """The figures for a terminal."""

    def span(one: list[float | None]) -> str:
        value, low, high = one
        return f"{value:6.2f}" if low is None or high is None else f"{value:6.2f}  [{low:.2f}, {high:.2f}]"

    lines = [f"labels of {facts['instances']} instances, mean geodesic error (the diameter is 228)"]
    lines.append(f"{'as they are':16}{span(facts['before'])}")
    for name, arm in facts["after"].items():
        told = f"{arm['minutes']:.1f} min, {arm['instances']:.1f} instances, {arm['taken off a minute']:.3f} a minute"
        lines.append(f"{name:16}{span(arm['error'])}   {told}")
    p = "" if facts["p"] is None else f"   p = {facts['p']:.3g}"
    lines.append(f"{'gained':16}{span(facts['gained by the ranking'])}{p}")
    return "\n".join(lines)
