"""Keypoint sets by name, and the keypoints of an instance.

An ingested data set keeps keypoints as its file has them: `keypoints` (x, y, visibility, one after the other) in the
instance's `extra`, and the names, where the file gives them, with the category in `dataset.json`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from ..errors import AnnotationError
from ..records import InstanceRecord

VISIBLE = 2  # of COCO's flags: 0 not labelled, 1 labelled but hidden, 2 visible


@dataclass(frozen=True)
class KeypointSet:
    """Keypoints in the order of a file, and which of them are left and right of each other."""

    name: str
    names: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]  # (left, right)

    @property
    def mirror(self) -> Int[np.ndarray, " K"]:
        """Index of each keypoint's partner on the other side, its own on the midline."""
        partner = {a: b for left, right in self.pairs for a, b in ((left, right), (right, left))}
        return np.array([self.names.index(partner.get(name, name)) for name in self.names], dtype=np.int64)

    @property
    def side(self) -> Int[np.ndarray, " K"]:
        """1 for a keypoint on the left, -1 on the right, 0 on the midline."""
        lefts, rights = ({pair[k] for pair in self.pairs} for k in (0, 1))
        return np.array([int(name in lefts) - int(name in rights) for name in self.names], dtype=np.int64)


def _by_prefix(name: str, names: str, left: str, right: str) -> KeypointSet:
    listed = tuple(names.split())
    pairs = tuple((one, one.replace(left, right, 1)) for one in listed if one.startswith(left))
    return KeypointSet(name, listed, pairs)


KEYPOINT_SETS = {
    one.name: one
    for one in (
        _by_prefix(
            "coco",
            "nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow right_elbow "
            "left_wrist right_wrist left_hip right_hip left_knee right_knee left_ankle right_ankle",
            "left_",
            "right_",
        ),
        _by_prefix(
            "ap10k",
            "left_eye right_eye nose neck root_of_tail left_shoulder left_elbow left_front_paw right_shoulder "
            "right_elbow right_front_paw left_hip left_knee left_back_paw right_hip right_knee right_back_paw",
            "left_",
            "right_",
        ),
        _by_prefix(
            "animalpose",
            "L_Eye R_Eye L_EarBase R_EarBase Nose Throat TailBase Withers L_F_Elbow R_F_Elbow L_B_Elbow R_B_Elbow "
            "L_F_Knee R_F_Knee L_B_Knee R_B_Knee L_F_Paw R_F_Paw L_B_Paw R_B_Paw",
            "L_",
            "R_",
        ),
        KeypointSet(
            "zebra",
            (
                *("snout", "head", "neck", "forelegL1", "forelegR1"),
                *("hindlegL1", "hindlegR1", "tailbase", "tailtip"),
            ),
            (("forelegL1", "forelegR1"), ("hindlegL1", "hindlegR1")),
        ),
    )
}
"""COCO's 17 (people), AP-10K's 17, Animal-Pose's 20 and Zebra's 9, by name."""


def find_keypoint_set(names: Iterable[str]) -> KeypointSet | None:
    """The known set with these names in this order (capitals do not count); None if there is none."""
    wanted = tuple(name.lower() for name in names)
    known = KEYPOINT_SETS.values()
    return next((one for one in known if tuple(name.lower() for name in one.names) == wanted), None)


def keypoint_names(info: Mapping[str, Any], category: str) -> tuple[str, ...]:
    """The keypoints' names of a category, from a data set's `dataset.json`; none if the file gave none."""
    rows = (row for row in info.get("categories", ()) if row.get("name") == category)
    return tuple(next(rows, {}).get("keypoints") or ())


def keypoint_set_of(info: Mapping[str, Any], category: str, count: int) -> KeypointSet | None:
    """The keypoints' meaning: by the names in `dataset.json`, else None (a number alone can be several sets)."""
    names = keypoint_names(info, category)
    if len(names) != count:
        return None
    known = find_keypoint_set(names)
    if known is not None:
        return known
    pairs = tuple((name, name.replace("left", "right", 1)) for name in names if name.startswith("left"))
    usable = tuple(pair for pair in pairs if pair[1] in names)
    return KeypointSet("file", names, usable) if usable else None


def has_keypoints(record: InstanceRecord) -> bool:
    """Whether any keypoint of an instance is labelled."""
    return any((record.extra.get("keypoints") or ())[2::3])


def instance_keypoints(
    record: InstanceRecord, names: Sequence[str]
) -> tuple[Float[np.ndarray, "K 2"], Int[np.ndarray, " K"]]:
    """The keypoints of an instance.

    Args:
        record: from an ingested data set.
        names: of the keypoints, in the file's order.

    Returns:
        xy: full-image pixels with centres at integers, as COCO's keypoints are.
        visibility: 0 not labelled, 1 labelled but hidden, 2 visible.

    Raises:
        AnnotationError: the instance has no keypoints, another number of them, or a value that is not one.
    """
    flat = record.extra.get("keypoints")
    if not isinstance(flat, list):
        raise AnnotationError(
            "an instance with keypoints", f"none in {record.instance_id}", "Leave such instances out."
        )
    if len(flat) != 3 * len(names):
        raise AnnotationError(
            f"{len(names)} keypoints of x, y, visibility",
            f"{len(flat)} numbers in {record.instance_id}",
            "Name the keypoint set that the file was made with.",
        )
    try:
        rows = np.array(flat, dtype=np.float64).reshape(-1, 3)
    except (ValueError, TypeError) as error:
        raise AnnotationError(
            "keypoints that are numbers", f"{error} in {record.instance_id}", "Correct them."
        ) from error
    if not np.isfinite(rows).all() or not np.isin(rows[:, 2], (0, 1, VISIBLE)).all():
        raise AnnotationError(
            "finite keypoints with visibility 0, 1 or 2", f"others in {record.instance_id}", "Correct them."
        )
    return rows[:, :2], rows[:, 2].astype(np.int64)
