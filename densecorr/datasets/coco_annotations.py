"""The annotations of a COCO file: rows of the instances and labels tables, made chunk by chunk."""

from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from ..errors import AnnotationError
from .arrow import INSTANCES, LABELS
from .checks import Rejects, check_box
from .coco_categories import Categories
from .coco_images import Images, Progress
from .coco_json import CocoFile, pack_extra, raw_text, row_fields
from .coco_types import CocoAnnotation, CocoSettings, Rle, id_text
from .densepose import LABEL_FIELDS, check_points, has_points, label_table
from .segmentations import compress_segmentation, silhouette_area, silhouette_box

CHUNK = 2048  # annotations decoded at once
EXACT = 2**53  # whole numbers below it are float64s
_decoder = msgspec.json.Decoder(CocoAnnotation)


@dataclass
class _Columns:
    """One chunk on its way to Arrow."""

    instances: dict[str, list[Any]] = field(default_factory=lambda: {name: [] for name in INSTANCES.names})
    labels: list[dict[str, Any]] = field(default_factory=list)


class AnnotationReader:
    """Annotations to rows; remembers the ids it has seen."""

    def __init__(
        self, source: str, label_source: str, settings: CocoSettings, images: Images, categories: Categories
    ) -> None:
        self._source, self._label_source, self._settings = source, label_source, settings
        self._images, self._categories = images, categories
        self._seen: set[str] = set()

    def read(
        self, file: CocoFile, rejects: Rejects, progress: Progress | None = None
    ) -> tuple[pa.Table, pa.Table]:
        """The instances and labels tables.

        Raises:
            AnnotationError: a bad row, with `on_error="raise"`.
        """
        instances, labels = [INSTANCES.empty_table()], [LABELS.empty_table()]
        total = len(file.annotations)
        for start in range(0, total, CHUNK):
            columns = _Columns()
            for raw in file.annotations[start : start + CHUNK]:
                self._add(raw, columns, rejects)
            instances.append(_instance_table(columns.instances))
            labels.append(label_table(columns.labels))
            if progress is not None:
                progress(min(start + CHUNK, total), total, "annotations")
        return pa.concat_tables(instances), pa.concat_tables(labels)

    def _add(self, raw: msgspec.Raw, columns: _Columns, rejects: Rejects) -> None:
        id_ = image_id = None
        try:
            fields = row_fields(raw)
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
            if id_ in self._seen:
                raise AnnotationError("every annotation id once", f"{id_} again", "Number the rows anew.")
            self._seen.add(id_)
            self._append(annotation, fields, (id_, image_id, category), columns)
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
    ) -> None:
        id_, image_id, category = names
        silhouette = compress_segmentation(annotation.segmentation, *self._images.sizes[image_id])
        if annotation.bbox is not None:
            xywh = check_box(annotation.bbox)
        elif silhouette is not None:
            xywh = silhouette_box(silhouette)
        else:
            raise AnnotationError("a box or a segmentation", "neither", "Add one of them.")
        area = annotation.area
        if area is None:
            area = xywh[2] * xywh[3] if silhouette is None else silhouette_area(silhouette)
        if has_points(annotation):
            check_points(annotation)
        if area < self._settings.min_area:
            return
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
        self._drop_kept(annotation, fields, (id_, image_id), silhouette)
        values = {
            "instance_id": f"{self._source}/{id_}",
            "image_id": f"{self._source}/{image_id}",
            "category": category,
            "template_id": annotation.ref_model or None,
            "xywh": xywh,
            "silhouette": silhouette,
            "silhouette_source": None if silhouette is None else "dataset",
            "area": area,
            "iscrowd": bool(annotation.iscrowd),
            "ignore": bool(annotation.ignore),
            "score": float(annotation.score) if _is_number(annotation.score) else None,
            "extra": pack_extra(fields, absent),
        }
        for name, value in values.items():
            columns.instances[name].append(value)

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
        if (
            isinstance(annotation.segmentation, Rle)
            and msgspec.json.decode(fields["segmentation"]) == silhouette
        ):
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
