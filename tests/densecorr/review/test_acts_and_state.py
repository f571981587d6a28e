"""Acts are refused when they could not be replayed; replay gives the state, and undo has no limit."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from densecorr.errors import AnnotationError
from densecorr.records import Decision
from densecorr.review.acts import check_decision, new_decision_id
from densecorr.review.state import apply_patch, effective, initial_state, replay, reviewed_label
from tests.densecorr.review.ball import act, assign, make_label, verdict

LABEL = make_label([3, 5, 7])


def undo(decision: Decision) -> Decision:
    return act(LABEL, decision.reviewer, "undo", {}, undoes=decision.decision_id)


def test_ids_sort_in_the_order_they_were_made():
    ids = [new_decision_id() for _ in range(200)]
    assert ids == sorted(set(ids))
    assert new_decision_id("0123456789abcdef").endswith("0123456789abcdef")


def test_an_act_that_can_be_replayed_is_let_through():
    point = {"x": 0.0, "y": 5.0, "vertex": 4, "visible": True}
    decision = act(LABEL, "ann", "assign", {"points": {"0": point}}, {"points": {"0": None}}, point_id=0)
    check_decision(decision, n_vertices=5)
    check_decision(undo(decision))


@pytest.mark.parametrize(
    "change",
    [
        {"action": "sing"},
        {"action": "undo"},
        {"undoes": "x"},
        {"point_id": None},
        {"seconds": float("nan")},
        {"before": {}},
        {"before": {"point": {}}, "after": {"point": {}}},
        {"after": {"points": {"-1": None}}},
        {"after": {"points": {"0": {"x": 1.0}}}},
        {"after": {"points": {"0": {"x": 1.0, "y": 1.0, "vertex": 9, "visible": True}}}},
        {"before": {"verdict": {"action": "no"}}, "after": {"verdict": None}},
    ],
)
def test_acts_that_cannot_be_replayed_are_refused(change: dict):
    good = act(LABEL, "ann", "assign", {"points": {"0": None}}, {"points": {"0": None}}, point_id=0)
    check_decision(good)
    with pytest.raises(AnnotationError):
        check_decision(replace(good, **change), n_vertices=9)


def test_replay_applies_what_counts_in_the_order_of_ids():
    first, second = assign(LABEL, "ann", 0, 11), assign(LABEL, "ann", 0, 12)
    gone = assign(LABEL, "ann", 2, None)
    state = replay(LABEL, [gone, verdict(LABEL, "ann"), second, first])
    assert {i: p.vertex for i, p in state.points.items()} == {0: 12, 1: 5}
    assert state.verdict == {"action": "accept", "reason": None}


def test_patches_of_regions_and_parts():
    state = apply_patch(
        initial_state(LABEL), {"regions": [[0.0, 0.0, 9.0, 0.0, 9.0, 9.0]], "parts": {"head": [[1.0] * 6]}}
    )
    assert len(state.regions) == 1
    assert state.parts == {"head": [[1.0] * 6]}
    assert apply_patch(state, {"parts": {"head": None}}).parts == {}


def test_an_undone_undo_is_a_redo_without_limit():
    decision = assign(LABEL, "ann", 0, 11)
    acts = [decision]
    for step in range(40):
        acts.append(undo(acts[-1]))
        assert replay(LABEL, acts).points[0].vertex == (3 if step % 2 == 0 else 11)
    assert effective(acts) == [decision]


steps = st.lists(
    st.one_of(
        st.tuples(st.integers(0, 4), st.one_of(st.none(), st.integers(-1, 99))),
        st.sampled_from(("accept", "reject", "skip", "unsure", "not_visible")),
    ),
    max_size=12,
)


def perform(done: list) -> list[Decision]:
    acts = []
    for step in done:
        if isinstance(step, str):
            acts.append(verdict(LABEL, "ann", step))
            continue
        point_id, vertex = step
        point = None if vertex is None else {"x": 1.0, "y": 2.0, "vertex": vertex, "visible": vertex > 0}
        acts.append(act(LABEL, "ann", "add", {"points": {str(point_id): point}}, point_id=point_id))
    return acts


@settings(deadline=None)
@given(steps)
def test_undoing_everything_in_order_returns_to_the_label_set(done: list):
    acts = perform(done)
    states = [replay(LABEL, acts[:n]) for n in range(len(acts) + 1)]
    undone = list(acts)
    for n in reversed(range(len(acts))):
        undone.append(undo(acts[n]))
        assert replay(LABEL, undone) == states[n]
    assert replay(LABEL, undone) == initial_state(LABEL)
    redone = undone + [undo(decision) for decision in undone[len(acts) :]]
    assert replay(LABEL, redone) == states[-1]


@settings(deadline=None)
@given(steps, st.randoms())
def test_the_order_in_which_acts_are_read_does_not_matter(done: list, random):
    acts = perform(done)
    shuffled = list(acts)
    random.shuffle(shuffled)
    assert replay(LABEL, shuffled) == replay(LABEL, acts)


def test_the_reviewed_label_set_says_nothing_of_what_it_no_longer_knows():
    label = make_label([3, 5, 7], score=np.ones(3, np.float32))
    state = replay(label, [assign(label, "ann", 1, 9, visible=False), assign(label, "ann", 0, None)])
    reviewed = reviewed_label(label, state, "new", "panel", weight=2.0)
    assert reviewed.point_ids is not None
    assert reviewed.visible is not None
    assert reviewed.point_ids.tolist() == [1, 2]
    assert reviewed.vertex.tolist() == [9, 7]
    assert reviewed.visible.tolist() == [False, True]
    assert (reviewed.source, reviewed.score, reviewed.weight) == ("correction", None, 2.0)
    assert reviewed.extra == {"reviewed": label.label_id}
