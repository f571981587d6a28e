"""Annotators against the truth, and their errors as a map."""

from dataclasses import replace

import numpy as np
import pytest

from densecorr.errors import AnnotationError, EmptyInstanceError
from densecorr.review.error_map import error_map
from densecorr.review.gold import gold_answers, score_annotators
from tests.densecorr.review.ball import assign, corrections, make_ball, make_label, verdict

BALL = make_ball()
LEFT = BALL.at(0.9, 0.1, 0.4)
NEAR = int(np.argsort(BALL.D[LEFT])[1])
RIGHT = int(BALL.mirror[LEFT])
TRUTH = make_label([LEFT, LEFT, LEFT, LEFT])
SHOWN = replace(TRUTH, vertex=np.array([RIGHT, RIGHT, RIGHT, RIGHT]))


def test_figures_of_one_annotator_by_hand():
    decisions = corrections(SHOWN, "ann", {0: LEFT, 1: NEAR, 2: None})
    (answers,) = gold_answers(SHOWN, TRUTH, "i", decisions)
    assert answers.given.tolist() == [LEFT, NEAR, -1, RIGHT]
    assert answers.shown.tolist() == [RIGHT] * 4
    (score,) = score_annotators([answers], BALL.rows, BALL)
    near, far = float(BALL.D[LEFT, NEAR]), float(BALL.D[LEFT, RIGHT])
    assert score.error.value == pytest.approx((near + np.pi + far) / 4, rel=1e-5)
    assert score.error_share.value == pytest.approx((near + np.pi + far) / 4 / np.pi, rel=1e-5)
    assert score.confusion.value == 0.5  # the one left on the other side, and the one deleted
    assert score.missing_share.value == 0.25
    assert score.seconds_per_point.value == 1.0
    assert score.auc[1].value == pytest.approx((1 + 1 - near / 0.3) / 4, rel=1e-5)
    assert score.rcp[-1] == 0.5


def test_a_perfect_annotator_has_no_error_and_a_symmetric_template_is_needed_for_sides():
    decisions = corrections(SHOWN, "ann", dict.fromkeys(range(4), LEFT))
    answers = gold_answers(SHOWN, TRUTH, "i", decisions)
    (score,) = score_annotators(answers, BALL.rows, replace(BALL, mirror_residual=0.1))
    assert score.error.value == 0
    assert [auc.value for auc in score.auc] == [1.0, 1.0]
    assert score.confusion.value is None


def test_points_that_cannot_be_judged_are_left_out():
    truth = replace(
        TRUTH, vertex=np.array([LEFT, -1, LEFT, LEFT]), visible=np.array([True, True, False, True])
    )
    moved = assign(SHOWN, "ann", 3, LEFT, x=80.0)
    (answers,) = gold_answers(SHOWN, truth, "i", [moved, verdict(SHOWN, "ann")])
    assert answers.true.tolist() == [LEFT]


def test_annotators_are_scored_apart_and_truths_must_fit():
    decisions = [*corrections(SHOWN, "bob", {}), *corrections(SHOWN, "ann", {0: LEFT})]
    answers = gold_answers(SHOWN, TRUTH, "i", decisions)
    assert [s.reviewer for s in score_annotators(answers, BALL.rows, BALL)] == ["ann", "bob"]
    with pytest.raises(AnnotationError):
        gold_answers(SHOWN, make_label([1], "b"), "i", decisions)
    with pytest.raises(EmptyInstanceError):
        score_annotators([], BALL.rows, BALL)


def test_the_map_is_the_mean_error_around_each_vertex():
    north, south = BALL.at(0, 0, 1), BALL.at(0, 0, -1)
    found = error_map(
        np.array([north, north, south]), np.array([1.0, 3.0, 10.0]), BALL.rows, 2000, bandwidth=0.2
    )
    assert found.error[north] == pytest.approx(2.0)
    assert found.error[south] == pytest.approx(10.0)
    assert found.support[north] == pytest.approx(2.0)
    assert np.isnan(found.error[BALL.at(0, 1, 0)])


def test_the_map_of_a_smooth_error_is_that_error():
    rng = np.random.default_rng(0)
    true = rng.integers(0, 2000, 20_000)
    smooth = 2 + BALL.V[:, 2]
    found = error_map(true, smooth[true] + rng.normal(0, 0.5, len(true)), BALL.rows, 2000, bandwidth=0.1)
    assert np.abs(found.error - smooth).max() < 0.2
    constant = error_map(true, np.full(len(true), 0.7), BALL.rows, 2000, bandwidth=0.1)
    np.testing.assert_allclose(constant.error, 0.7)
