"""The training filter with a model's opinion: what it disagrees with is left out, by object and by point."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from densecorr.errors import TrainingError
from densecorr.pseudolabels.filters import LabelFilter
from densecorr.templates.template import read_template
from flows.labelled import labelled_instances
from storage.datasets import read_labels
from tests.annotation_ui.review_world import make_labels, make_world, put_labels

N, POINTS = 10, 12


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Ten balls; in those of odd number the labels are of the far side, in the others one point is."""
    store, settings = make_world(tmp_path_factory.mktemp("world"), N, POINTS)
    template = read_template(store.path(settings.template))
    far = np.argmin(template.V @ template.V.T, axis=1)
    labels = []
    for i, right in enumerate(make_labels(N, POINTS, "zero_shot", "zero")):
        vertex = np.array(right.vertex)
        vertex[slice(None) if i % 2 else slice(1)] = far[vertex[slice(None) if i % 2 else slice(1)]]
        # calibrated, and all wrong about it: those with errors are expected to have the fewest
        expected = np.full(POINTS, 0.1 if i % 2 else 0.2, np.float32)
        labels.append(replace(right, vertex=vertex, expected_error=expected))
    return SimpleNamespace(
        store=store,
        template=template,
        dataset=store.path(settings.dataset),
        labels=store.path(put_labels(store, labels, "half wrong")),
        opinion=store.path("net"),
    )


def chosen(world: SimpleNamespace, rule: LabelFilter, opinion: Path | None) -> dict[str, np.ndarray]:
    found = labelled_instances(
        world.dataset, world.labels, world.template, "ball", None, rule, opinion=opinion
    )
    return {points.instance_id: points.vertex for points in found.points()}


def test_label_sets_and_points_far_from_the_opinion_are_left_out(world: SimpleNamespace):
    even = {f"i/{i}" for i in range(0, N, 2)}
    rule = LabelFilter(instances=0.5, points=11 / 12)
    assert set(chosen(world, rule, None)).isdisjoint(even)
    kept = chosen(world, rule, world.opinion)
    assert set(kept) == even
    truth = read_labels(world.opinion)
    for key, vertex in kept.items():
        np.testing.assert_array_equal(vertex, world.template.to_coarse[np.asarray(truth[key].vertex)[1:]])


def test_the_expected_error_still_limits_points(world: SimpleNamespace):
    kept = chosen(world, LabelFilter(1.0, 1.0, max_expected_error=0.15), world.opinion)
    assert set(kept) == {f"i/{i}" for i in range(1, N, 2)}


def test_what_the_opinion_does_not_know_is_left_out(world: SimpleNamespace):
    some = put_labels(world.store, make_labels(3, POINTS, "model", "some"), "some")
    assert set(chosen(world, LabelFilter(1.0, 1.0), world.store.path(some))) == {"i/0", "i/1", "i/2"}


def test_an_opinion_on_other_points_is_refused(world: SimpleNamespace):
    other = put_labels(world.store, make_labels(N, POINTS, "model", "moved", shift=1.0), "moved")
    with pytest.raises(TrainingError, match="densecorr opinion --labels"):
        chosen(world, LabelFilter(), world.store.path(other))


def test_an_opinion_on_another_template_is_refused(world: SimpleNamespace):
    others = [replace(one, template_id="other") for one in make_labels(N, POINTS, "model", "other")]
    with pytest.raises(TrainingError, match="one on other"):
        chosen(world, LabelFilter(), world.store.path(put_labels(world.store, others, "other")))
