"""A simulated annotator: real acts on a label set, made from its truth, a noise model and a cost model."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np
from jaxtyping import Float, Int

from densecorr.evaluation.scored import GeodesicRows, ScoringTemplate, geodesic_pairs
from densecorr.records import Decision, LabelRecord

from .acts import new_decision_id
from .costs import CostModel
from .noise import NoiseModel, place_vertices
from .state import initial_state


@dataclass(frozen=True)
class SimulatedAnnotator:
    """Who reviews.

    Attributes:
        noise: how the annotator errs.
        costs: how long each act takes.
        tolerance: distance, in the template's unit, between the label and where the annotator would put it, that is let
            pass.
        name: the reviewer's.
    """

    noise: NoiseModel
    costs: CostModel = field(default_factory=CostModel)
    tolerance: float = 0.0
    name: str = "simulated"


@dataclass(frozen=True)
class Surface:
    """What the annotator knows of the template: geodesic rows, mirror and diameter, vertex areas, noise regions."""

    rows: GeodesicRows
    template: ScoringTemplate
    area: Float[np.ndarray, " V"] | None = None
    region: Int[np.ndarray, " V"] | None = None


def simulate_corrections(
    label: LabelRecord,
    true: Int[np.ndarray, " P"],
    annotator: SimulatedAnnotator,
    surface: Surface,
    rng: np.random.Generator,
) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"]]:
    """Which points (places in the label set) the annotator corrects, in their order, and to which vertices.

    The annotator places every point; where the label is further than `tolerance` from there, or has no vertex, and is
    not overlooked, it is corrected. Points whose truth is -1 are passed over.
    """
    known = np.flatnonzero(true >= 0)
    aimed = np.asarray(true, dtype=np.int64)[known]
    placed = place_vertices(
        aimed, annotator.noise, surface.rows, surface.template, rng, surface.area, surface.region
    )
    shown = np.asarray(label.vertex, dtype=np.int64)[known]
    off = geodesic_pairs(surface.rows, placed, shown[:, None])[:, 0] > annotator.tolerance
    corrected = off & (rng.random(len(known)) >= annotator.noise.miss)
    return known[corrected], placed[corrected]


def simulate_decisions(
    label: LabelRecord,
    true: Int[np.ndarray, " P"],
    annotator: SimulatedAnnotator,
    surface: Surface,
    rng: np.random.Generator,
    dataset_id: str,
    start: datetime = datetime(2000, 1, 1, tzinfo=UTC),
) -> list[Decision]:
    """The acts of one review: an `assign` for each corrected point, then `accept`, which carries the instance's cost.

    Args:
        label: under review.
        true: the true vertex of each of its points, -1 where there is none.
        annotator: who reviews.
        surface: the template.
        rng: of the noise.
        dataset_id: of the instance.
        start: when the review begins; acts follow each other by their seconds.
    """
    points = list(initial_state(label).points.items())
    decisions: list[Decision] = []

    def act(action: str, seconds: float, before: dict, after: dict, point_id: int | None = None) -> None:
        spent = sum(decision.seconds for decision in decisions) + seconds
        decisions.append(
            Decision(
                decision_id=new_decision_id(),
                dataset_id=dataset_id,
                instance_id=label.instance_id,
                label_id=label.label_id,
                template_id=label.template_id,
                producer=label.producer,
                action=action,
                reviewer=annotator.name,
                time=start + timedelta(seconds=spent),
                seconds=seconds,
                point_id=point_id,
                before=before,
                after=after,
            )
        )

    places, vertices = simulate_corrections(label, true, annotator, surface, rng)
    for place, vertex in zip(places, vertices, strict=True):
        point_id, point = points[place]
        old = {"x": point.x, "y": point.y, "vertex": point.vertex, "visible": point.visible}
        before, after = (
            {"points": {str(point_id): value}} for value in (old, {**old, "vertex": int(vertex)})
        )
        act("assign", annotator.costs.per_point, before, after, point_id)
    accepted = {"verdict": {"action": "accept", "reason": None}}
    act("accept", annotator.costs.per_instance, {"verdict": None}, accepted)
    return decisions
