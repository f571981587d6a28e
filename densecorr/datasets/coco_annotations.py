"""The annotations of a COCO file: rows of the instances and labels tables, made chunk by chunk."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from ..errors import AnnotationError
from .arrow import INSTANCES
from .checks import Rejects, check_box
from .coco_categories import Categories
from .coco_chunks import PlainReader, PlainRows, is_whole
from .coco_images import Images, Progress
from .coco_json import CocoFile, pack_extra, raw_text, row_fields
from .coco_masks import masks_as_silhouette
from .coco_types import EXACT, CocoAnnotation, CocoSettings, Rle, id_text
from .densepose import LABEL_FIELDS, check_points, has_points, label_table
from .segmentations import as_runs, pack_segmentation, silhouette_area, silhouette_box

CHUNK = 2048  # annotations decoded at once
AHEAD = 1  # chunks read before they are asked for

_decoder = msgspec.json.Decoder(CocoAnnotation)


@dataclass
class _Columns:
    """One chunk on its way to Arrow."""

    instances: dict[str, list[Any]] = field(default_factory=lambda: {name: [] for name in INSTANCES.names})
    labels: list[dict[str, Any]] = field(default_factory=list)
    places: list[int] = field(default_factory=list)  # of the instances in the chunk


class AnnotationReader:
    """Annotations to rows; remembers the ids it has seen, and counts the panoptic annotations it left out."""

    def __init__(
        self, source: str, label_source: str, settings: CocoSettings, images: Images, categories: Categories
    ) -> None:
        self._source, self._label_source, self._settings = source, label_source, settings
        self._images, self._categories = images, categories
        self._plain = PlainReader(source, settings, images.sizes, categories)
        self._seen: set[int | str] = set()
        self.n_panoptic = 0

    def read(
        self, file: CocoFile, rejects: Rejects, progress: Progress | None = None
    ) -> Iterator[tuple[pa.Table, pa.Table]]:
        """The instances and labels tables of one chunk after the other, in the file's order.

        Raises:
            AnnotationError: a bad row, with `on_error="raise"`.
        """
        total, n_done = len(file.annotations), 0
        for chunk, plain in self._read_ahead(file):
            yield self._add_others(chunk, plain, rejects)
            n_done += len(chunk)
            if progress is not None:
                progress(n_done, total, "annotations")

    def _read_ahead(self, file: CocoFile) -> Iterator[tuple[list[msgspec.Raw], PlainRows]]:
        """Chunks with their plain rows, read while the caller has those before: numbers are read in parallel."""
        waiting: deque[tuple[list[msgspec.Raw], Future[PlainRows]]] = deque()
        with ThreadPoolExecutor(AHEAD) as pool:
            for start in range(0, len(file.annotations), CHUNK):
                chunk = file.annotations[start : start + CHUNK]
                waiting.append((chunk, pool.submit(self._plain.read, chunk)))
                if len(waiting) > AHEAD:
                    chunk, plain = waiting.popleft()
                    yield chunk, plain.result()
            for chunk, plain in waiting:
                yield chunk, plain.result()

    def _add_others(
        self, chunk: list[msgspec.Raw], plain: PlainRows, rejects: Rejects
    ) -> tuple[pa.Table, pa.Table]:
        """The tables of a chunk whose plain rows are read."""
        ids = set(plain.ids)
        if len(ids) < len(plain.ids) or not self._seen.isdisjoint(ids):  # the slow path says which
            plain = self._plain.read([])
            others: Iterable[int] = range(len(chunk))
        else:
            self._seen.update(ids)
            others = plain.others
        columns = _Columns()
        for place in others:
            self._add(chunk[place], place, columns, rejects)
        instances = plain.table
        if columns.places:
            instances = pa.concat_tables([plain.table, _instance_table(columns.instances)])
            instances = instances.take(pa.array(np.argsort(np.concatenate([plain.places, columns.places]))))
        return instances, label_table(columns.labels)

    def _add(self, raw: msgspec.Raw, place: int, columns: _Columns, rejects: Rejects) -> None:
        id_ = image_id = None
        try:
            fields = row_fields(raw)
            if "segments_info" in fields and "category_id" not in fields:
                self.n_panoptic += 1
                return
            try:
                annotation = _decoder.decode(raw)
            except msgspec.DecodeError as error:
                raise AnnotationError(
                    "an annotation of COCO's form", str(error), "Correct the row."
                ) from error
            id_, image_id = id_text(annotation.id), id_text(annotation.image_id)
            category = self._category(annotation, image_id)
            if category is None:
                return
            key = int(id_) if is_whole(id_) else id_
            if key in self._seen:
                raise AnnotationError("every annotation id once", f"{id_} again", "Number the rows anew.")
            self._seen.add(key)
            if self._append(annotation, fields, (id_, image_id, category), columns):
                columns.places.append(place)
        except AnnotationError as error:
            rejects.add("annotation", id_, image_id, error, raw_text(raw))

    def _category(self, annotation: CocoAnnotation, image_id: str) -> str | None:
        """Its category's name; None when a filter drops the annotation."""
        category_id = id_text(annotation.category_id)
        category = self._categories.names.get(category_id)
        if category is not None and self._settings.categories and category not in self._settings.categories:
            return None
        if image_id in self._images.dropped:
            return None
        if image_id in self._images.rejected:
            reason = self._images.rejected[image_id]
            raise AnnotationError(
                "an image that could be used", f"image {image_id}: {reason}", "Mend the image first."
            )
        if image_id not in self._images.sizes:
            raise AnnotationError("the id of an image of the file", f"image_id {image_id}", "Add the image.")
        if category is None:
            raise AnnotationError(
                "the id of a category of the file", f"category_id {category_id}", "Add the category."
            )
        return category

    def _append(
        self,
        annotation: CocoAnnotation,
        fields: dict[str, msgspec.Raw],
        names: tuple[str, str, str],
        columns: _Columns,
    ) -> bool:
        """Add the row to the columns; False if it is too small."""
        id_, image_id, category = names
        silhouette = pack_segmentation(annotation.segmentation, *self._images.sizes[image_id])
        if annotation.bbox is not None:
            xywh = check_box(annotation.bbox)
        elif silhouette is not None:
            xywh = silhouette_box(as_runs(silhouette))
        else:
            raise AnnotationError("a box or a segmentation", "neither", "Add one of them.")
        if has_points(annotation):
            check_points(annotation)
        said = silhouette
        if silhouette is None and annotation.dp_masks:
            silhouette = masks_as_silhouette(annotation.dp_masks, xywh, *self._images.sizes[image_id])
        area = annotation.area
        if area is None:
            area = xywh[2] * xywh[3] if silhouette is None else silhouette_area(as_runs(silhouette))
        if area < self._settings.min_area:
            return False
        label_fields = {}
        if has_points(annotation):
            label_fields = {name: fields.pop(name) for name in LABEL_FIELDS if name in fields}
            columns.labels.append(
                {
                    "instance_id": f"{self._source}/{id_}",
                    "xywh": xywh,
                    "annotation": annotation,
                    "source": self._label_source,
                    "producer": f"dataset:{self._source}",
                    "extra": pack_extra(label_fields, []),
                }
            )
        absent = [name for name in ("bbox", "area", "iscrowd") if name not in fields]
        self._drop_kept(annotation, fields, (id_, image_id), said)
        made = None if silhouette is None else "dp_masks"
        values = {
            "instance_id": f"{self._source}/{id_}",
            "image_id": f"{self._source}/{image_id}",
            "category": category,
            "template_id": annotation.ref_model or None,
            "xywh": xywh,
            "silhouette": silhouette,
            "silhouette_source": made if said is None else "dataset",
            "area": area,
            "iscrowd": bool(annotation.iscrowd),
            "ignore": bool(annotation.ignore),
            "score": float(annotation.score) if _is_number(annotation.score) else None,
            "extra": pack_extra(fields, absent),
        }
        for name, value in values.items():
            columns.instances[name].append(value)
        return True

    def _drop_kept(
        self,
        annotation: CocoAnnotation,
        fields: dict[str, msgspec.Raw],
        ids: tuple[str, str],
        silhouette: dict[str, Any] | None,
    ) -> None:
        """Take out of `fields` what `export.instance_fields` will write equally from the columns."""
        token = self._categories.tokens.get(id_text(annotation.category_id))
        written = {"id": ids[0].encode(), "image_id": ids[1].encode(), "category_id": token}
        for name, text in written.items():
            if bytes(fields[name]) == text:
                del fields[name]
        if annotation.bbox is not None and max(map(abs, annotation.bbox)) < EXACT:
            del fields["bbox"]
        if annotation.area is not None and abs(annotation.area) < EXACT:
            del fields["area"]
        for name, texts in (("iscrowd", (b"0", b"1")), ("ignore", (b"1",))):
            if name in fields and bytes(fields[name]) in texts:
                del fields[name]
        if _is_number(annotation.score):
            del fields["score"]
        if isinstance(annotation.segmentation, Rle):
            if msgspec.json.decode(fields["segmentation"]) == as_runs(silhouette):
                del fields["segmentation"]
        elif silhouette is not None:  # polygons near an image: their numbers are float64s
            del fields["segmentation"]


def _is_number(value: Any) -> bool:
    """Whether a column of float64 holds the value as it is."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < EXACT


def _instance_table(columns: dict[str, list[Any]]) -> pa.Table:
    flat = np.array(columns["xywh"], dtype=np.float64).reshape(-1)
    arrays = [
        pa.FixedSizeListArray.from_arrays(pa.array(flat, pa.float64()), 4)
        if column.name == "xywh"
        else pa.array(columns[column.name], column.type)
        for column in INSTANCES
    ]
    return pa.table(arrays, schema=INSTANCES)
