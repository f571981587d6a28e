"""Groups stay whole, shares and categories come out, whatever the order of the rows."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from densecorr.datasets.splits import SplitSettings, achieved_shares, assign_splits, join_groups
from densecorr.errors import SettingsError

HALVES = {"train": 0.5, "val": 0.3, "test": 0.2}


def ids(n: int) -> list[str]:
    return [f"toy/{index}" for index in range(n)]


@st.composite
def worlds(draw: st.DrawFn) -> tuple[list[int], list[list[str]], int]:
    """Groups of up to 4 of 30 or more images, some categories, a seed."""
    sizes = draw(st.lists(st.integers(1, 4), min_size=30, max_size=60))
    groups = [group for group, size in enumerate(sizes) for _ in range(size)]
    some = st.lists(st.sampled_from(["cow", "dog", "owl"]), max_size=3)
    return groups, [draw(some) for _ in groups], draw(st.integers(0, 5))


@effort(max_examples=40, deadline=None)
@given(worlds(), st.randoms(use_true_random=False))
def test_no_group_has_two_sides_and_the_rows_order_is_nothing(world: tuple, random: object) -> None:
    groups, categories, seed = world
    chosen = SplitSettings(HALVES, seed)
    names = ids(len(groups))
    splits = assign_splits(names, np.array(groups), categories, chosen)
    assert set(splits) == set(HALVES)
    assert all(len({splits[k] for k in range(len(groups)) if groups[k] == g}) == 1 for g in set(groups))
    for name, count in Counter(splits).items():
        assert abs(count - HALVES[name] * len(groups)) <= 4  # the largest group
    order = list(range(len(groups)))
    random.shuffle(order)  # type: ignore[attr-defined]
    again = assign_splits(
        [names[k] for k in order],
        np.array([100 - groups[k] for k in order]),
        [categories[k] for k in order],
        chosen,
    )
    assert again == [splits[k] for k in order]


def test_single_images_get_exact_shares_and_the_seed_counts() -> None:
    alone = join_groups([None] * 200)
    made = [assign_splits(ids(200), alone, [[]] * 200, SplitSettings(seed=seed)) for seed in (0, 0, 1)]
    assert made[0] == made[1] != made[2]
    assert Counter(made[0]) == Counter(made[2]) == {"train": 160, "val": 20, "test": 20}
    together = sum(a == b for a, b in zip(made[0], made[2], strict=True))
    assert together == pytest.approx(200 * (0.8**2 + 2 * 0.1**2), abs=25)  # as chance has it


def test_categories_are_spread_evenly() -> None:
    categories = [["owl"] if k % 10 == 0 else ["cow"] if k % 2 else [] for k in range(400)]
    splits = assign_splits(ids(400), join_groups([None] * 400), categories, SplitSettings())
    shares = achieved_shares(splits, categories)
    assert shares["images"] == {"test": 0.1, "train": 0.8, "val": 0.1}
    assert shares["instances of owl"] == {"test": 0.1, "train": 0.8, "val": 0.1}
    assert shares["instances of cow"]["val"] == pytest.approx(0.1, abs=0.01)


def test_images_that_any_key_connects_are_one_group() -> None:
    videos = ["a", "a", "b", None, None, "c"]
    subjects = [1, 2, 2, 3, None, 3]
    assert join_groups(videos, subjects).tolist() == [0, 0, 0, 1, 2, 1]
    assert join_groups([None] * 3).tolist() == [0, 1, 2]


def test_few_large_groups_still_give_every_split_one() -> None:
    groups = np.repeat(np.arange(5), 20)
    splits = assign_splits(ids(100), groups, [[]] * 100, SplitSettings())
    assert Counter(splits) == {"train": 60, "val": 20, "test": 20}


def test_groups_that_no_split_can_hold_are_named() -> None:
    with pytest.raises(SettingsError, match=r"at most 80 images.*90 images that stay together, with toy/0"):
        assign_splits(ids(100), np.array([0] * 90 + list(range(1, 11))), [[]] * 100, SplitSettings())
    with pytest.raises(SettingsError, match="a group for each of train, test, val; received 2 groups"):
        assign_splits(ids(9), np.array([0] * 5 + [1] * 4), [[]] * 9, SplitSettings())
    with pytest.raises(SettingsError, match="0 groups"):
        assign_splits([], np.zeros(0, dtype=np.int64), [], SplitSettings())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"shares": {"train": 0.8, "val": 0.1}}, "sum to 1"),
        ({"shares": {"train": 1.5, "val": -0.5}}, "above 0"),
        ({"group_by": ()}, "group by"),
        ({"group_by": ("subject",)}, "Set both"),
        ({"subject": "animal"}, "Set both"),
        ({"duplicate_threshold": 40}, "0 to 31"),
    ],
)
def test_wrong_settings_are_refused(wrong: dict, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        SplitSettings(**wrong)
