"""What a review by mouse leaves in the store: its acts in the table, its points in the next labels."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from densecorr.records import Decision, LabelRecord
from storage.artifacts import Store
from storage.datasets import read_labels


def labels_of(store: Store, text: str) -> dict[str, LabelRecord]:
    return dict(read_labels(store.path(store.resolve(text))))


def check_acts(acts: Sequence[Decision], label: LabelRecord, dataset_id: str) -> None:
    """Ann's on a label set: a vertex assigned, a point moved, all mirrored and that taken back, accepted."""
    assert [act.action for act in acts] == ["assign", "move", "mirror", "undo", "accept"]
    assert {(act.reviewer, act.label_id, act.dataset_id) for act in acts} == {
        ("ann", label.label_id, dataset_id)
    }
    assert all(0 < act.seconds < 60 for act in acts)
    assert acts[3].undoes == acts[2].decision_id
    assigned = acts[0].point_id
    assert acts[0].before["points"][str(assigned)]["vertex"] == label.vertex[assigned]


def check_corrected(
    label: LabelRecord,
    before: LabelRecord,
    states: Mapping[int, Mapping[str, Any]],
    assigned: int,
    moved: int,
) -> None:
    """The points are those that the panel had, by id; one has another vertex than before, one is elsewhere."""
    assert label.source == "correction"
    assert label.point_ids is not None
    assert list(label.point_ids) == sorted(states)
    for name in ("x", "y", "vertex", "visible"):
        expected = [states[key][name] for key in sorted(states)]
        np.testing.assert_allclose(getattr(label, name), expected, rtol=1e-6)
    assert np.flatnonzero(label.vertex != before.vertex).tolist() == [assigned]
    assert np.flatnonzero(label.x != before.x).tolist() == [moved]


def check_untouched(label: LabelRecord, before: LabelRecord) -> None:
    """Nobody reviewed it."""
    assert (label.source, label.weight) == (before.source, 1.0)
    assert (label.vertex == before.vertex).all()
