"""Agreement between reviewers: distances on the ball by hand, kappa against scikit-learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from densecorr.errors import EmptyInstanceError
from densecorr.evaluation.bootstrap import BootstrapSettings
from densecorr.review.agreement import AgreementSettings, cohens_kappa, measure_agreement
from densecorr.review.reviewers import reviews_of
from tests.densecorr.review.ball import corrections, make_ball, make_label

BALL = make_ball()
SETTINGS = AgreementSettings(bootstrap=BootstrapSettings(n_resamples=100))


def measure(labels, decisions, how=SETTINGS):
    reviews = {label.label_id: reviews_of(label, decisions) for label in labels}
    image_of = {label.instance_id: f"image of {label.instance_id}" for label in labels}
    return measure_agreement(labels, reviews, image_of, BALL.rows, BALL.diameter, how)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 1999), min_size=1, max_size=5))
def test_identical_annotators_agree_fully(vertices: list):
    labels = [make_label([0] * len(vertices), name) for name in "xyz"]
    says = dict(zip("xyz", ("accept", "reject", "accept"), strict=True))
    decisions = [
        d
        for label in labels
        for name in ("ann", "bob")
        for d in corrections(label, name, dict(enumerate(vertices)), says[label.label_id[-1]])
    ]
    together, pair = measure(labels, decisions)
    for agreement in (together, pair):
        assert (agreement.error.value, agreement.error.high) == (0.0, 0.0)
        assert [auc.value for auc in agreement.auc] == [1.0, 1.0]
        assert agreement.rcp == (1.0,) * 8
        assert agreement.kappa.value == pytest.approx(1.0)
    assert (together.reviewers, pair.reviewers) == ((), ("ann", "bob"))
    assert (together.n_instances, together.n_points) == (3, 3 * len(vertices))


def test_distances_are_those_along_the_surface():
    north = BALL.at(0, 0, 1)
    near = int(np.argsort(BALL.D[north])[1])
    label = make_label([north, north, north, north])
    decisions = [*corrections(label, "ann", {0: near, 3: None}), *corrections(label, "bob", {1: -1})]
    together, _ = measure([label], decisions)
    d = float(BALL.D[north, near])
    assert together.n_points == 2
    assert together.changed_share == 0.5
    assert together.error.value == pytest.approx(d / 2, rel=1e-5)
    assert together.error_share.value == pytest.approx(d / 2 / np.pi, rel=1e-5)
    assert together.auc[1].value == pytest.approx(1 - d / 2 / 0.3, rel=1e-5)
    changed, _ = measure([label], decisions, AgreementSettings(changed_only=True, limits_m=()))
    assert (changed.n_points, changed.error.value, changed.auc) == (1, pytest.approx(d, rel=1e-5), ())


def test_a_third_reviewer_makes_three_pairs_and_one_reviewer_none():
    label = make_label([1, 2])
    decisions = [d for name in ("ann", "bob", "cid") for d in corrections(label, name, {})]
    assert [a.reviewers for a in measure([label], decisions)] == [
        (),
        ("ann", "bob"),
        ("ann", "cid"),
        ("bob", "cid"),
    ]
    with pytest.raises(EmptyInstanceError):
        measure([label], decisions[:1])


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=30))
def test_kappa_is_that_of_scikit_learn(pairs: list):
    a, b = np.array(pairs).T
    table = np.zeros((1, 5, 5))
    np.add.at(table[0], (a, b), 1)
    ours = cohens_kappa(table)[0]
    if len(set(a.tolist() + b.tolist())) == 1:
        assert np.isnan(ours)
    else:
        assert ours == pytest.approx(cohen_kappa_score(a, b), abs=1e-9)
