"""What a COCO-style file holds, as typed as its writers keep it, and the settings of reading one."""

from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from ..errors import AnnotationError
from .silhouettes import GrabCut

Id = int | float | str  # float: files written through pandas say 12.0
EXACT = 2**53  # whole numbers below it are float64s
ABSENT = "densecorr:absent"  # key of `extra`: fields that the source row did not have though our columns do


@dataclass(frozen=True)
class CocoSettings:
    """How a COCO, LVIS or DensePose file becomes a data set.

    Attributes:
        split: the name of the split that the file is, for images that do not name their own (`"split"`).
        splits: keep only images of these splits; all when empty. So for the next two.
        categories: keep only instances of these categories, by name.
        licences: keep only images under these licences, by id or name as the file lists them.
        min_area: keep only instances of at least this area, square pixels.
        empty_images: images without any kept instance: "auto" drops them when `categories` is set.
        label_source: who made the DensePose points; a file's own `info.densecorr.label_source` comes first.
        check_images: require the image files and compare their sizes with the file's (their headers are
            read).
        on_error: stop at the first bad row ("raise"), or set bad rows aside in the quarantine table ("skip").
        missing_silhouettes: "grabcut" cuts an instance without segmentation out of its box, "none" leaves it.
        grabcut: how.
    """

    kind: Literal["coco"] = "coco"
    split: str | None = None
    splits: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    licences: tuple[str, ...] = ()
    min_area: float = 0.0
    empty_images: Literal["auto", "keep", "drop"] = "auto"
    label_source: Literal["human", "synthetic"] = "human"
    check_images: bool = True
    on_error: Literal["raise", "skip"] = "raise"
    missing_silhouettes: Literal["none", "grabcut"] = "none"
    grabcut: GrabCut = field(default_factory=GrabCut)

    @property
    def drops_empty_images(self) -> bool:
        """Whether images without any kept instance are left out."""
        return self.empty_images == "drop" or (self.empty_images == "auto" and bool(self.categories))


class Rle(msgspec.Struct):
    """A COCO run-length encoding; counts are text when compressed, a list of run lengths when not."""

    size: list[int]
    counts: list[int] | str


class CocoCategory(msgspec.Struct):
    """A category's identity; the rest of its fields is kept as it is."""

    id: Id
    name: str


class CocoImage(msgspec.Struct):
    """The fields of an image that have a column; LVIS names the file by `coco_url` alone."""

    id: Id
    file_name: str | None = None
    coco_url: str | None = None
    flickr_url: str | None = None
    width: int | float | None = None
    height: int | float | None = None
    license: Any = None
    split: Any = None
    camera_id: Any = None
    frame: Any = None


class CocoAnnotation(msgspec.Struct):
    """The fields of an annotation that have a column, a silhouette or a label made from them."""

    id: Id
    image_id: Id
    category_id: Id
    bbox: list[float] | None = None
    area: float | None = None
    iscrowd: int | bool | None = None
    ignore: int | bool | None = None
    score: Any = None
    segmentation: list[list[float]] | Rle | None = None
    dp_x: list[float] | None = None
    dp_y: list[float] | None = None
    dp_I: list[float] | None = None
    dp_U: list[float] | None = None
    dp_V: list[float] | None = None
    dp_vertex: list[int] | None = None
    ref_model: str | None = None
    dp_masks: list[Rle | list[Any] | None] | Rle | None = None


def id_text(value: Id) -> str:
    """An id as text, the same for 12 and 12.0.

    Raises:
        AnnotationError: a fraction.
    """
    if isinstance(value, float):
        if not value.is_integer():
            raise AnnotationError("an id that is a whole number or a text", repr(value), "Number the rows.")
        return str(int(value))
    return str(value)
