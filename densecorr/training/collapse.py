"""Has the model collapsed to one side? SHIC reports models that put natural images on one half of the template only.

The share of answers on the template's left half is compared with the labels' share at the same points, over a window of
the last steps. Flips of the images make both halves common, so a model that always takes one side shows.
"""

from collections import deque
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from ..losses import Scored

WINDOW = 100  # steps
ONE_SIDED = 0.02  # share of answers on the rarer side, up to which it counts as none
BOTH_SIDES = 0.1  # share of labels on the rarer side, from which the labels have both


class SideCounter:
    """Answers and labels on the left half, over the last steps."""

    def __init__(self, side: Int[Tensor, " K"], counts: list[list[float]]) -> None:
        """`side` is 1 for vertices on the left, -1 on the right, 0 on the plane; `counts` those of a run before."""
        self._side = side
        self._counts = deque((torch.tensor(row, device=side.device) for row in counts), maxlen=WINDOW)

    @torch.no_grad()
    def count(self, scored: Scored) -> Tensor:
        """Answers on the left and on either side, and the same of labels: (4,), of one process's points."""
        counted = (scored.vertex >= 0) & (scored.weight > 0)
        answer = self._side[scored.log_p.argmax(dim=-1)[counted]]
        label = self._side[scored.vertex[counted]]
        return torch.stack(
            [(answer > 0).sum(), (answer != 0).sum(), (label > 0).sum(), (label != 0).sum()]
        ).float()

    def add(self, counts: Tensor) -> None:
        """Keep a step's counts (averaged over processes)."""
        self._counts.append(counts)

    def shares(self) -> dict[str, float]:
        """`left_predicted` and `left_labels`; a half where there is nothing on either side."""
        if not self._counts:
            return {"left_predicted": 0.5, "left_labels": 0.5}
        left, sided, left_labels, sided_labels = torch.stack(list(self._counts)).sum(dim=0).tolist()
        return {
            "left_predicted": left / sided if sided else 0.5,
            "left_labels": left_labels / sided_labels if sided_labels else 0.5,
        }

    def state(self) -> list[list[float]]:
        """The counts, for a run that goes on."""
        return [row.tolist() for row in self._counts]


def summarise_sides(shares: dict[str, float]) -> dict[str, Any]:
    """The shares and the verdict `collapsed_to_one_side`."""
    rarer = min(shares["left_predicted"], 1 - shares["left_predicted"])
    rarer_label = min(shares["left_labels"], 1 - shares["left_labels"])
    collapsed = rarer <= ONE_SIDED and rarer_label >= BOTH_SIDES
    return {name: round(value, 4) for name, value in shares.items()} | {"collapsed_to_one_side": collapsed}


def collapse_warning(summary: dict[str, Any]) -> str:
    """What the user is told of a model that has collapsed."""
    return (
        f"the model has collapsed to one side: {summary['left_predicted']:.0%} of its answers are on the template's "
        f"left half, {summary['left_labels']:.0%} of the labels are. Check the labels (pseudo-labels weigh too little, "
        "or are mirrored), or raise loss.pseudo."
    )
