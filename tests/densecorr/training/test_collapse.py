import torch
from torch import Tensor

from densecorr.losses import Scored
from densecorr.training.collapse import WINDOW, SideCounter, collapse_warning, summarise_sides

SIDE = torch.tensor([1, 1, 0, -1, -1])


def scored(answers: list[int], labels: list[int]) -> Scored:
    """One image whose points get these answers for sure."""
    n = len(answers)
    return Scored(
        log_p=(50 * torch.eye(5)[answers])[None].log_softmax(dim=-1),
        vertex=torch.tensor([labels]),
        weight=torch.ones(1, n),
        xy=torch.zeros(1, n, 2),
        logit=torch.zeros(1, 2, 2),
        share=torch.zeros(1, 2, 2),
        known=torch.tensor([False]),
    )


def shares(*steps: tuple[list[int], list[int]]) -> dict[str, float]:
    counter = SideCounter(SIDE, [])
    for answers, labels in steps:
        counter.add(counter.count(scored(answers, labels)))
    return counter.shares()


def test_shares_leave_out_the_plane_and_points_without_a_label() -> None:
    found = shares(([0, 3, 2, 0, 4], [1, 4, 3, 2, -1]))
    assert found == {"left_predicted": 2 / 3, "left_labels": 1 / 3}
    assert shares() == {"left_predicted": 0.5, "left_labels": 0.5}
    assert shares(([2], [2])) == {"left_predicted": 0.5, "left_labels": 0.5}


def test_only_the_last_steps_count() -> None:
    left, right = ([0], [0]), ([3], [3])
    assert shares(*[left] * 50, *[right] * WINDOW)["left_predicted"] == 0.0


def test_a_counter_goes_on_from_its_state() -> None:
    counter = SideCounter(SIDE, [])
    counter.add(counter.count(scored([0, 3], [1, 1])))
    again = SideCounter(SIDE, counter.state())
    assert again.shares() == counter.shares() == {"left_predicted": 0.5, "left_labels": 1.0}


def verdict(predicted: float, labels: float) -> bool:
    found = summarise_sides({"left_predicted": predicted, "left_labels": labels})["collapsed_to_one_side"]
    assert isinstance(found, bool)
    return found


def test_one_sided_answers_are_a_collapse_only_if_the_labels_have_both_sides() -> None:
    assert verdict(1.0, 0.5)
    assert verdict(0.01, 0.6)
    assert not verdict(0.05, 0.5)
    assert not verdict(1.0, 0.97)  # every animal is seen from its left
    assert not verdict(0.5, 0.5)


def test_the_warning_gives_both_shares() -> None:
    text = collapse_warning({"left_predicted": 0.997, "left_labels": 0.48})
    assert "100% of its answers" in text
    assert "48% of the labels" in text


def test_sides_are_counted_on_tensors() -> None:
    counts = SideCounter(SIDE, []).count(scored([0, 3], [1, 4]))
    assert isinstance(counts, Tensor)
    assert counts.tolist() == [1.0, 2.0, 1.0, 2.0]
