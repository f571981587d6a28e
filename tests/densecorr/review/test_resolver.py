"""Several reviews become one label set: votes, clusters along the surface, and every difference kept."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from densecorr.records import Decision, LabelRecord
from densecorr.review.masks import OBJECT, corrected_polygons
from densecorr.review.resolver import Latest, Majority, Resolution, Rule, Senior, resolve
from densecorr.review.reviewers import reviews_of
from tests.densecorr.review.ball import act, assign, corrections, make_ball, make_label, verdict

BALL = make_ball()
NORTH, SOUTH, EAST = BALL.at(0, 0, 1), BALL.at(0, 0, -1), BALL.at(0, 1, 0)
NEAR = int(np.argsort(BALL.D[NORTH])[4])
LABEL = make_label([EAST, EAST, EAST])
WITHIN = 0.15
MAJORITY = Majority()


def decide(decisions: list[Decision], rule: Rule = MAJORITY, label: LabelRecord = LABEL) -> Resolution:
    return resolve(label, reviews_of(label, decisions), rule, BALL.rows, WITHIN, "new", "panel")


def vertices(resolution: Resolution) -> dict[int, int]:
    assert resolution.label is not None
    assert resolution.label.point_ids is not None
    return dict(zip(resolution.label.point_ids.tolist(), resolution.label.vertex.tolist(), strict=True))


def test_reviews_are_of_one_label_set_and_of_acts_that_count():
    other = make_label([1], "b")
    done = verdict(LABEL, "ann")
    undone = act(LABEL, "ann", "undo", {}, undoes=done.decision_id)
    assert reviews_of(LABEL, [done, undone, verdict(other, "bob")]) == []
    assert [r.vote for r in reviews_of(LABEL, [verdict(LABEL, "ann", "unsure")])] == [None]


def test_two_of_three_outvote_the_third():
    decisions = [
        *corrections(LABEL, "ann", {0: NORTH}),
        *corrections(LABEL, "bob", {0: NEAR}),
        *corrections(LABEL, "cid", {0: SOUTH}),
    ]
    resolution = decide(decisions)
    assert vertices(resolution)[0] in (NORTH, NEAR)
    assert vertices(resolution)[1] == EAST
    (conflict,) = resolution.conflicts
    assert (conflict.what, conflict.point_id, conflict.settled) == ("vertex", 0, True)
    assert conflict.values == {"ann": NORTH, "bob": NEAR, "cid": SOUTH}


def test_the_medoid_of_the_largest_cluster_is_taken():
    line = [BALL.at(np.sin(a), 0, np.cos(a)) for a in (0.0, 0.1, 0.2)]
    decisions = [d for name, v in zip("abc", line, strict=True) for d in corrections(LABEL, name, {0: v})]
    resolution = decide([*decisions, *corrections(LABEL, "d", {0: SOUTH})])
    assert vertices(resolution)[0] == line[1]


@pytest.mark.parametrize(("on_tie", "expected"), [("drop", None), ("label", EAST)])
def test_a_tie_between_vertices_is_a_conflict_left_open(on_tie, expected):
    decisions = [*corrections(LABEL, "ann", {0: NORTH}), *corrections(LABEL, "bob", {0: SOUTH})]
    resolution = decide(decisions, Majority(on_tie=on_tie))
    assert vertices(resolution).get(0) == expected
    assert [c.settled for c in resolution.conflicts] == [False]


def test_verdicts_are_counted_and_unsure_ones_are_not():
    acts = [verdict(LABEL, "ann"), verdict(LABEL, "bob", "unsure"), verdict(LABEL, "cid", "skip")]
    assert decide(acts).accepted is True
    tied = decide([*acts, verdict(LABEL, "dee", "reject")])
    assert (tied.label, tied.accepted, tied.conflicts[0].settled) == (None, None, False)
    assert tied.conflicts[0].values == {"ann": "accept", "dee": "reject"}
    dropped = decide([*acts, verdict(LABEL, "dee", "reject"), verdict(LABEL, "eve", "not_visible")])
    assert (dropped.label, dropped.accepted) == (None, False)
    assert decide([]).accepted is None
    assert decide([]).conflicts == ()


def test_points_are_those_of_reviewers_who_accept():
    decisions = [*corrections(LABEL, "ann", {0: NORTH}), *corrections(LABEL, "bob", {0: SOUTH}, "unsure")]
    resolution = decide(decisions)
    assert vertices(resolution)[0] == NORTH
    assert resolution.conflicts == ()


def test_deletion_and_visibility_go_by_majority_and_stay_as_they_were_on_a_tie():
    hidden = [assign(LABEL, name, 1, EAST, visible=False) for name in ("ann", "bob")]
    decisions = [*corrections(LABEL, "ann", {0: None}), *corrections(LABEL, "bob", {0: None}), *hidden]
    resolution = decide([*decisions, *corrections(LABEL, "cid", {})])
    assert 0 not in vertices(resolution)
    assert resolution.label is not None
    assert resolution.label.visible is not None
    assert resolution.label.visible.tolist() == [False, True]
    tie = decide([*corrections(LABEL, "ann", {0: None}), *hidden[:1], *corrections(LABEL, "cid", {})])
    assert vertices(tie)[0] == EAST
    assert {(c.what, c.settled) for c in tie.conflicts} == {("exists", False), ("visible", False)}


def test_added_points_are_kept_and_those_at_one_place_are_one():
    def add(reviewer: str, x: float, vertex: int) -> Decision:
        point = {"x": x, "y": 50.0, "vertex": vertex, "visible": True}
        return act(LABEL, reviewer, "add", {"points": {"3": point}}, point_id=3)

    decisions = [add("ann", 10.0, NORTH), add("bob", 11.0, NEAR), add("cid", 90.0, SOUTH)]
    found = decide([*decisions, *(verdict(LABEL, name) for name in ("ann", "bob", "cid"))])
    assert sorted(vertices(found)) == [0, 1, 2, 3, 4]
    assert vertices(found)[3] in (NORTH, NEAR)
    assert vertices(found)[4] == SOUTH


def test_an_unknown_vertex_agrees_with_unknown_ones_only():
    decisions = [d for name in ("ann", "bob") for d in corrections(LABEL, name, {0: -1})]
    assert vertices(decide([*decisions, *corrections(LABEL, "cid", {})]))[0] == -1


def test_the_senior_decides_and_differences_are_kept():
    decisions = [*corrections(LABEL, "ann", {0: NORTH}), *corrections(LABEL, "bob", {0: SOUTH}, "reject")]
    decisions += corrections(LABEL, "cid", {0: SOUTH})
    resolution = decide(decisions, Senior(("zoe", "ann")))
    assert vertices(resolution)[0] == NORTH
    assert {(c.what, c.settled) for c in resolution.conflicts} == {("verdict", True), ("vertex", True)}
    assert decide(decisions, Senior(("bob", "ann"))).accepted is False
    assert decide(decisions, Senior(("zoe",))).accepted is True


def test_the_latest_decides():
    decisions = [*corrections(LABEL, "bob", {0: SOUTH}), *corrections(LABEL, "ann", {0: NORTH})]
    assert vertices(decide(decisions, Latest()))[0] == NORTH
    assert vertices(decide([*decisions, verdict(LABEL, "bob")], Latest()))[0] == SOUTH
    assert decide([], Latest()).label is None


answers = st.lists(st.sampled_from((None, -1, NORTH, NEAR, SOUTH, EAST)), min_size=3, max_size=3)
said = st.lists(st.tuples(answers, st.sampled_from(("accept", "accept", "reject", "unsure"))), max_size=5)


def review_all(values: list) -> list[Decision]:
    return [d for n, (v, s) in enumerate(values) for d in corrections(LABEL, f"r{n}", dict(enumerate(v)), s)]


@settings(deadline=None)
@given(said, st.randoms())
def test_majority_does_not_depend_on_the_order_or_the_names_of_reviewers(values: list, random):
    reviews = reviews_of(LABEL, review_all(values))
    other = list(values)
    random.shuffle(other)
    renamed = reviews_of(LABEL, review_all(other))
    random.shuffle(reviews)
    a, b = (resolve(LABEL, r, Majority(), BALL.rows, WITHIN, "n", "p") for r in (reviews, renamed))
    assert a.accepted == b.accepted
    assert sorted((c.what, c.point_id or 0, c.settled) for c in a.conflicts) == sorted(
        (c.what, c.point_id or 0, c.settled) for c in b.conflicts
    )
    assert (a.label is None) == (b.label is None)
    if a.label is not None and b.label is not None:
        assert vertices(a) == vertices(b)


@settings(deadline=None)
@given(answers, st.integers(1, 4))
def test_unanimous_reviewers_give_their_vertices_without_conflict(values: list, n: int):
    resolution = decide(review_all([(values, "accept")] * n))
    assert vertices(resolution) == {i: v for i, v in enumerate(values) if v is not None}
    assert resolution.conflicts == ()


def drawn(name: str, side: float, says: str = "accept") -> list[Decision]:
    parts = {OBJECT: [[0.0, 0.0, side, 0.0, side, side]], "head": [[0.0, 0.0, 1.0, 0.0, 1.0, 1.0]]}
    return [act(LABEL, name, "delineate", {"parts": parts}), verdict(LABEL, name, says)]


def mask_of(resolution: Resolution) -> list[list[float]] | None:
    assert resolution.label is not None
    return corrected_polygons(resolution.label)


def test_the_mask_is_that_of_the_last_who_changed_it() -> None:
    ann, bo = drawn("ann", 8.0), drawn("bo", 9.0)
    looked = [verdict(LABEL, name) for name in ("cy", "di")]  # later, and more, but at the points alone
    resolution = decide([*ann, *bo, *looked])
    assert mask_of(resolution) == [[0.0, 0.0, 9.0, 0.0, 9.0, 9.0]]
    (conflict,) = resolution.conflicts
    assert (conflict.what, conflict.point_id, conflict.settled) == ("mask", None, True)
    assert conflict.values == {"ann": 32.0, "bo": 40.5}
    assert mask_of(decide([*ann, *bo], Senior(("ann",)))) == [[0.0, 0.0, 8.0, 0.0, 8.0, 8.0]]
    assert mask_of(decide([*ann, *bo], Latest())) == [[0.0, 0.0, 9.0, 0.0, 9.0, 9.0]]
    assert mask_of(decide([*ann, *looked])) == [[0.0, 0.0, 8.0, 0.0, 8.0, 8.0]]
    assert decide([*ann, *looked]).conflicts == ()
    assert mask_of(decide(looked)) is None
    assert mask_of(decide([*drawn("bo", 9.0, "reject"), *looked])) is None


def test_a_label_set_keeps_the_mask_of_an_earlier_round() -> None:
    first = decide(drawn("ann", 8.0)).label
    assert first is not None
    again = resolve(
        first, reviews_of(first, [verdict(first, "bo")]), MAJORITY, BALL.rows, WITHIN, "newer", "panel"
    )
    assert mask_of(again) == [[0.0, 0.0, 8.0, 0.0, 8.0, 8.0]]
    other = {"parts": {OBJECT: [[0.0, 0.0, 3.0, 0.0, 3.0, 3.0]]}}
    acts = [act(first, "bo", "delineate", other), verdict(first, "bo")]
    again = resolve(first, reviews_of(first, acts), MAJORITY, BALL.rows, WITHIN, "newer", "panel")
    assert mask_of(again) == [[0.0, 0.0, 3.0, 0.0, 3.0, 3.0]]
