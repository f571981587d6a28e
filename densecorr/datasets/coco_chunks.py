"""Whole chunks of plain annotations to Arrow at once: polygons, a box, whole ids, and no field besides COCO's own.

Almost every row of LVIS and COCO instances is one. A row that is not, or that fails any check, is left to
`coco_annotations`, which reads it alone, keeps its other fields, or says what is wrong with it.
"""

from dataclasses import dataclass
from itertools import chain
from typing import Annotated, Literal

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Int

from .arrow import INSTANCES, RLE_TYPE
from .checks import LARGEST
from .coco_categories import Categories
from .coco_json import pack_extra
from .coco_polygons import read_polygons
from .coco_types import EXACT, CocoSettings

_Whole = Annotated[int, msgspec.Meta(ge=-(2**62), le=2**62)]


class PlainAnnotation(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A row that columns hold without a rest."""

    id: _Whole
    image_id: _Whole
    category_id: _Whole
    bbox: tuple[float, float, float, float]
    area: float
    segmentation: list[msgspec.Raw]
    iscrowd: Literal[0, 1] | msgspec.UnsetType = msgspec.UNSET


_decoder = msgspec.json.Decoder(PlainAnnotation)


@dataclass(frozen=True)
class PlainRows:
    """The plain rows of a chunk: their table, places in the chunk and ids; `others` are the places of the rest."""

    table: pa.Table
    places: np.ndarray
    ids: list[int]
    others: list[int]


class PlainReader:
    """Reads the plain rows of chunks of one file.

    Args:
        source: the first part of every id.
        settings: filters.
        sizes: (height, width) of the kept images, by id as text.
        categories: of the file.
    """

    def __init__(
        self, source: str, settings: CocoSettings, sizes: dict[str, tuple[int, int]], categories: Categories
    ) -> None:
        self._prefix, self._min_area = f"{source}/", settings.min_area
        self._sizes = {int(key): size for key, size in sizes.items() if is_whole(key)}
        self._names = {
            int(key): name
            for key, name in categories.names.items()
            if categories.tokens.get(key) == key.encode()
            and is_whole(key)
            and (not settings.categories or name in settings.categories)
        }

    def read(self, chunk: list[msgspec.Raw]) -> PlainRows:
        """The plain rows among those of a chunk."""
        rows, places, others = [], [], []
        for place, raw in enumerate(chunk):
            try:
                row = _decoder.decode(raw)
            except msgspec.DecodeError:
                others.append(place)
                continue
            if row.segmentation and row.image_id in self._sizes and row.category_id in self._names:
                rows.append(row)
                places.append(place)
            else:
                others.append(place)
        at = np.array(places, dtype=np.int64)
        sides = chain.from_iterable([self._sizes[row.image_id] for row in rows])
        size = np.fromiter(sides, dtype=np.int32).reshape(-1, 2)
        polygons = read_polygons([row.segmentation for row in rows])
        boxes = np.fromiter(chain.from_iterable([row.bbox for row in rows]), dtype=np.float64).reshape(-1, 4)
        areas = np.array([row.area for row in rows], dtype=np.float64)
        good = (
            polygons_fit(polygons, size)
            & (np.abs(boxes) < LARGEST).all(axis=1)
            & (boxes[:, 2:] >= 0).all(axis=1)
        )
        good &= polygons.is_valid().to_numpy(zero_copy_only=False)
        good &= (np.abs(areas) < EXACT) & (areas >= self._min_area)
        if not good.all():
            others = sorted(others + at[~good].tolist())
            kept = np.flatnonzero(good)
            rows, at, size, boxes, areas = (
                [rows[i] for i in kept],
                at[good],
                size[good],
                boxes[good],
                areas[good],
            )
            polygons = polygons.take(pa.array(kept))
        return PlainRows(
            self._table(rows, size, polygons, boxes, areas), at, [row.id for row in rows], others
        )

    def _table(
        self,
        rows: list[PlainAnnotation],
        size: np.ndarray,
        polygons: pa.Array,
        boxes: np.ndarray,
        areas: np.ndarray,
    ) -> pa.Table:
        n = len(rows)
        sizes = pa.ListArray.from_arrays(
            pa.array(np.arange(n + 1, dtype=np.int32) * 2), pa.array(size.ravel())
        )
        silhouette = pa.StructArray.from_arrays(
            [sizes, pa.nulls(n, pa.string()), polygons], fields=list(RLE_TYPE)
        )
        extra = pa.array([pack_extra({}, ["iscrowd"]), pack_extra({}, [])])
        said = [row.iscrowd is not msgspec.UNSET for row in rows]
        columns = {
            "instance_id": self._ids([row.id for row in rows]),
            "image_id": self._ids([row.image_id for row in rows]),
            "category": pa.array([self._names[row.category_id] for row in rows], pa.string()),
            "xywh": pa.FixedSizeListArray.from_arrays(pa.array(boxes.ravel()), 4),
            "silhouette": silhouette,
            "silhouette_source": pa.repeat(pa.scalar("dataset"), n),
            "area": pa.array(areas),
            "iscrowd": pa.array([row.iscrowd == 1 for row in rows], pa.bool_()),
            "ignore": pa.repeat(pa.scalar(False), n),
            "extra": extra.take(pa.array(said, pa.bool_()).cast(pa.int8())),
        }
        arrays = [columns.get(f.name, pa.nulls(n, f.type)) for f in INSTANCES]
        return pa.table(arrays, schema=INSTANCES)

    def _ids(self, numbers: list[int]) -> pa.Array:
        text = pa.array(numbers, pa.int64()).cast(pa.string())
        return pc.binary_join_element_wise(pa.scalar(self._prefix), text, "")


def polygons_fit(polygons: pa.ListArray, size: Int[np.ndarray, "N 2"]) -> Bool[np.ndarray, " N"]:
    """Which rows have only polygons that `checks.check_polygons` takes, of exact numbers.

    Args:
        polygons: one or more flat polygons (x, y, x, y, ...) a row.
        size: height and width of each row's image.
    """
    ends = polygons.offsets.to_numpy()
    flat = polygons.values
    starts = flat.offsets.to_numpy()
    lengths = np.diff(starts)
    owner = np.repeat(np.arange(len(polygons)), np.diff(ends))
    fits = (lengths >= 6) & (lengths % 2 == 0)
    if (
        not fits.all()
    ):  # coordinates alternate only in whole polygons: look at each row with a broken one alone
        good = np.ones(len(polygons), dtype=bool)
        good[owner[~fits]] = False
        rows = np.flatnonzero(good)
        good[rows] = polygons_fit(polygons.take(pa.array(rows)), size[rows]) if len(rows) else True
        return good
    if not len(lengths):
        return np.ones(len(polygons), dtype=bool)
    xy = flat.values.to_numpy().reshape(-1, 2)
    low = np.minimum.reduceat(xy, starts[:-1] // 2)
    high = np.maximum.reduceat(xy, starts[:-1] // 2)
    sides = size[owner, ::-1].astype(np.int64)  # (width, height)
    reach = sides.max(axis=1, keepdims=True)
    fits = ((low >= -reach) & (high <= sides + reach)).all(axis=1)
    return np.bincount(owner[~fits], minlength=len(polygons)) == 0


def is_whole(text: str) -> bool:
    """Whether an id's text is that of a whole number, as an int is written."""
    return text.removeprefix("-").isdecimal() and text.isascii() and str(int(text)) == text
