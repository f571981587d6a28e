"""Splits that keep what belongs together on one side: the frames of a video, a subject, duplicates."""

import hashlib
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from jaxtyping import Int64

from ..errors import SettingsError
from .duplicates import THRESHOLD, check_threshold, connected_labels

GroupBy = Literal["image", "video", "folder", "subject", "duplicates"]


@dataclass(frozen=True)
class SplitSettings:
    """How images are split.

    Attributes:
        shares: of the images, by the split's name; above 0, together 1. Without, train 0.8, val 0.1, test 0.1.
        seed: another one gives another split.
        group_by: what is never on two sides; with several, images that any of them connects stay together. "image":
            each on its own; "video": the frames of a video; "folder": the images of a folder; "subject": what
            `subject` names; "duplicates": the same files and near-duplicates.
        subject: a key of the images' `extra`, with dots for nested ones: `animal.id`.
        duplicate_threshold: bits of 64 that the perceptual hashes of near-duplicates may differ in.
    """

    shares: dict[str, float] = field(default_factory=dict)
    seed: int = 0
    group_by: tuple[GroupBy, ...] = ("image",)
    subject: str | None = None
    duplicate_threshold: int = THRESHOLD

    def __post_init__(self) -> None:
        """Refuse shares that are none, no grouping, and a subject without its key."""
        values = self.wanted.values()
        if not all(0 < value <= 1 for value in values) or abs(sum(values) - 1) > 1e-6:
            raise SettingsError("shares above 0 that sum to 1", str(self.shares), "Correct settings.shares.")
        if not self.group_by:
            raise SettingsError("something to group by", "nothing", "Write group_by = ['image'].")
        if ("subject" in self.group_by) != bool(self.subject):
            raise SettingsError(
                "'subject' in group_by together with the key settings.subject",
                f"group_by {list(self.group_by)} and subject {self.subject!r}",
                "Set both, or neither.",
            )
        check_threshold(self.duplicate_threshold)

    @property
    def wanted(self) -> dict[str, float]:
        """The shares, or the usual ones."""
        return self.shares or {"train": 0.8, "val": 0.1, "test": 0.1}


def join_groups(*keys: Sequence[Hashable | None]) -> Int64[np.ndarray, " N"]:
    """A group's number for each image: images stay together if any of the keys is the same; None is no key.

    Each argument has one key an image, such as its video.
    """
    n = len(keys[0]) if keys else 0
    pairs = []
    for column in keys:
        first: dict[Hashable, int] = {}
        pairs += [
            (first.setdefault(key, index), index) for index, key in enumerate(column) if key is not None
        ]
    return connected_labels(n, np.array(pairs, dtype=np.int64).reshape(-1, 2))


def assign_splits(
    image_ids: Sequence[str],
    groups: Int64[np.ndarray, " N"],
    categories: Sequence[Sequence[str]],
    settings: SplitSettings,
) -> list[str]:
    """The split of each image: no group in two, sizes as near to the shares as groups allow, categories spread evenly.

    Groups go from the largest to the smallest, among equals in the order of a hash of seed and name, to the split that
    has least, in proportion, of what the group holds (its images, its instances of each category), if it has room for
    the group. So the result depends neither on the order of the rows nor on the numbers of the groups.

    Args:
        image_ids: one an image, each once.
        groups: the number of each image's group.
        categories: of each image, the category of each instance.
        settings: shares and seed.

    Raises:
        SettingsError: a group larger than the largest split, or too few groups to give each split one.
    """
    members: dict[int, list[int]] = {}
    for index, group in enumerate(groups.tolist()):
        members.setdefault(group, []).append(index)
    named = [(min(image_ids[k] for k in group), group) for group in members.values()]
    order = sorted(named, key=lambda one: (-len(one[1]), _digest(settings.seed, one[0])))
    wanted = settings.wanted
    names = sorted(wanted, key=lambda name: (-wanted[name], name))
    shares = np.array([wanted[name] for name in names])
    room = np.ceil(shares * len(image_ids) - 1e-6)
    _check_groups(order, room, names)
    contents = _contents([group for _, group in order], categories)
    total = np.zeros(max(held.max() for held, _ in contents) + 1)
    for held, amount in contents:
        total[held] += amount
    want = shares[:, None] * total
    have = np.zeros_like(want)
    splits = [""] * len(image_ids)
    for k, ((_, group), (held, amount)) in enumerate(zip(order, contents, strict=True)):
        cost = ((have[:, held] + 0.5 * amount) / want[:, held]) @ (amount / total[held])
        over, empty = have[:, 0] + len(group) - room, have[:, 0] == 0
        if len(order) - k <= empty.sum():  # as many groups as splits are left: one for each
            cost, over = np.where(empty, cost, np.inf), np.where(empty, over, np.inf)
        fits = over <= 0
        chosen = int(np.argmin(np.where(fits, cost, np.inf) if fits.any() else over))
        have[chosen, held] += amount
        for index in group:
            splits[index] = names[chosen]
    return splits


def achieved_shares(
    splits: Sequence[str], categories: Sequence[Sequence[str]]
) -> dict[str, dict[str, float]]:
    """The share of the images, and of each category's instances, that each split got: `{"images": {"train": 0.8}}`."""
    names = sorted(set(splits))
    counts: dict[str, Counter[str]] = {"images": Counter(splits)}
    for split, many in zip(splits, categories, strict=True):
        for category in many:
            counts.setdefault(f"instances of {category}", Counter())[split] += 1
    return {
        what: {name: round(count[name] / count.total(), 4) for name in names}
        for what, count in sorted(counts.items())
    }


def _check_groups(order: Sequence[tuple[str, list[int]]], room: np.ndarray, names: Sequence[str]) -> None:
    if len(order) < len(names):  # also an empty data set
        raise SettingsError(
            f"a group for each of {', '.join(names)}",
            f"{len(order)} groups",
            "Name fewer splits, or group by less.",
        )
    name, largest = order[0]
    if len(largest) > room[0]:
        raise SettingsError(
            f"groups of at most {int(room[0])} images, which is what '{names[0]}' may hold",
            f"{len(largest)} images that stay together, with {name} among them",
            "Group by less (settings.group_by, settings.duplicate_threshold), or raise that share.",
        )


def _contents(
    groups: Sequence[list[int]], categories: Sequence[Sequence[str]]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """What each group holds, as columns and amounts: 0 its images, 1 those without instances, then its categories."""
    names = sorted({category for many in categories for category in many})
    column = {name: 2 + k for k, name in enumerate(names)}
    contents = []
    for group in groups:
        count = Counter({0: len(group)})
        for index in group:
            count.update([column[category] for category in categories[index]] or [1])
        held = np.array(sorted(count))
        contents.append((held, np.array([float(count[k]) for k in held.tolist()])))
    return contents


def _digest(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed} {name}".encode()).digest()
