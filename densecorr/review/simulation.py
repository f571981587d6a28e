"""A simulated annotator: real acts on a label set, made from its truth, a noise model and a cost model."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta

import numpy as np
from jaxtyping import Float, Int

from densecorr.evaluation.scored import GeodesicRows, ScoringTemplate, geodesic_pairs
from densecorr.records import Decision, LabelRecord

from .acts import new_decision_id
from .costs import CostModel
from .noise import NoiseModel, place_vertices
from .state import PointState, initial_state


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


@dataclass(frozen=True)
class Corrections:
    """What an annotator does to a label set: mirror all of it or not, then correct some points.

    `places` are those points' places in the label set, in their order, `vertices` their new vertices.
    """

    mirrored: bool
    places: Int[np.ndarray, " n"]
    vertices: Int[np.ndarray, " n"]


def simulate_corrections(
    label: LabelRecord,
    true: Int[np.ndarray, " P"],
    annotator: SimulatedAnnotator,
    surface: Surface,
    rng: np.random.Generator,
) -> Corrections:
    """What the annotator does.

    The annotator places every point; where the label is further than `tolerance` from there, or has no vertex, and is
    not overlooked, it is corrected. Points whose truth is -1 are passed over. All is mirrored first where that saves
    more corrections than the one act it is.
    """
    known = np.flatnonzero(true >= 0)
    aimed = np.asarray(true, dtype=np.int64)[known]
    placed = place_vertices(
        aimed, annotator.noise, surface.rows, surface.template, rng, surface.area, surface.region
    )
    seen = rng.random(len(known)) >= annotator.noise.miss
    shown = np.asarray(label.vertex, dtype=np.int64)[known]
    wrong, wrong_mirrored = (
        seen & (geodesic_pairs(surface.rows, placed, vertices[:, None])[:, 0] > annotator.tolerance)
        for vertices in (shown, mirror_vertices(shown, surface.template))
    )
    mirrored = int(wrong_mirrored.sum()) + 1 < int(wrong.sum())
    corrected = wrong_mirrored if mirrored else wrong
    return Corrections(mirrored, known[corrected], placed[corrected])


def mirror_vertices(vertex: Int[np.ndarray, " P"], template: ScoringTemplate) -> Int[np.ndarray, " P"]:
    """Each vertex's bilateral partner; unknown ones (-1) stay unknown."""
    return np.where(vertex >= 0, np.asarray(template.mirror, dtype=np.int64)[vertex], -1)


def simulate_decisions(
    label: LabelRecord,
    true: Int[np.ndarray, " P"],
    annotator: SimulatedAnnotator,
    surface: Surface,
    rng: np.random.Generator,
    dataset_id: str,
    start: datetime = datetime(2000, 1, 1, tzinfo=UTC),
) -> list[Decision]:
    """The acts of one review: `mirror` where that helps, `assign` for each corrected point, then `accept`.

    Each costs as much as a corrected point; the last carries the instance's cost. Points whose truth is unknown cannot
    be judged: they are deleted first, for nothing, as if they had not been shown. Left in, they would count as
    accepted.

    Args:
        label: under review.
        true: the true vertex of each of its points, -1 where there is none.
        annotator: who reviews.
        surface: the template.
        rng: of the noise.
        dataset_id: of the instance.
        start: when the review begins; acts follow each other by their seconds.
    """
    points = dict(initial_state(label).points)
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

    todo = simulate_corrections(label, true, annotator, surface, rng)
    ids = list(points)
    for i in (ids[place] for place in np.flatnonzero(np.asarray(true) < 0)):
        act("delete", 0.0, _patch({i: points[i]}), {"points": {str(i): None}}, i)
        del points[i]
    if todo.mirrored:
        vertex = mirror_vertices(np.array([point.vertex for point in points.values()]), surface.template)
        turned = {
            i: replace(point, vertex=int(v)) for (i, point), v in zip(points.items(), vertex, strict=True)
        }
        act("mirror", annotator.costs.per_point, _patch(points), _patch(turned))
        points = turned
    for place, vertex in zip(todo.places, todo.vertices, strict=True):
        i, new = ids[place], replace(points[ids[place]], vertex=int(vertex))
        act("assign", annotator.costs.per_point, _patch({i: points[i]}), _patch({i: new}), i)
    accepted = {"verdict": {"action": "accept", "reason": None}}
    act("accept", annotator.costs.per_instance, {"verdict": None}, accepted)
    return decisions


def _patch(points: Mapping[int, PointState]) -> dict:
    return {"points": {str(i): asdict(point) for i, point in points.items()}}
