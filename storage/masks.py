"""Masks that reviewers corrected, which label sets carry, in place of the data set's.

Readers of a data set and a label artifact call one of these, so that training and exports see the corrected
pixels. Boxes stay the data set's.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from densecorr.datasets.segmentations import silhouette_area
from densecorr.records import LabelRecord
from densecorr.review.masks import KEY, corrected_silhouette, to_edges
from densecorr.review.protocol import fill_polygons

from .datasets import DatasetInstance

SOURCE = "correction"  # silhouette_source of a corrected mask


def with_corrected_masks(
    items: Sequence[DatasetInstance], labels: Mapping[str, LabelRecord]
) -> list[DatasetInstance]:
    """The instances, each with the mask that its label set (by instance id) carries, if any; area and source with it.

    Raises:
        AnnotationError: polygons that do not fit the image.
    """
    return [_corrected(item, labels.get(item.instance.instance_id)) for item in items]


def _corrected(item: DatasetInstance, label: LabelRecord | None) -> DatasetInstance:
    mask = None if label is None else corrected_silhouette(label, item.image.height, item.image.width)
    if mask is None:
        return item
    area = silhouette_area(mask)
    return replace(
        item, instance=replace(item.instance, silhouette=mask, silhouette_source=SOURCE, area=area)
    )


def correct_tables(instances: pa.Table, images: pa.Table, labels: pa.Table) -> pa.Table:
    """The table of instances, each with the mask that its label set carries, if any, as `with_corrected_masks`.

    Masks stay polygons; of several label sets of one instance the last counts.

    Args:
        instances: to be corrected.
        images: theirs, for the sizes.
        labels: label sets.

    Raises:
        AnnotationError: polygons that do not fit the image.
    """
    masks = {}
    pairs = zip(labels["instance_id"].to_pylist(), labels["extra"].to_pylist(), strict=True)
    for instance_id, text in pairs:
        polygons = json.loads(text).get(KEY) if text and KEY in text else None
        masks[instance_id] = polygons
    masks = {key: polygons for key, polygons in masks.items() if polygons is not None}
    if not masks:
        return instances
    keys, image_ids = (instances[name].to_pylist() for name in ("instance_id", "image_id"))
    names = ("silhouette", "silhouette_source", "area", "extra")
    columns = {name: instances[name].to_pylist() for name in names}
    of_images = images.select(["image_id", "height", "width"]).to_pylist()
    sizes = {image["image_id"]: (image["height"], image["width"]) for image in of_images}
    for row, (key, image_id) in enumerate(zip(keys, image_ids, strict=True)):
        if key in masks:
            height, width = sizes[image_id]
            edges = to_edges(masks[key])
            columns["silhouette"][row] = {"size": [height, width], "counts": None, "polygons": edges}
            columns["silhouette_source"][row] = SOURCE
            columns["area"][row] = float(np.count_nonzero(fill_polygons(masks[key], height, width)))
            columns["extra"][row] = _without_segmentation(columns["extra"][row])
    for name, values in columns.items():
        place = instances.schema.get_field_index(name)
        field = instances.schema.field(place)
        instances = instances.set_column(place, field, pa.array(values, field.type))
    return instances


def _without_segmentation(text: str | None) -> str | None:
    """What was kept of an annotation, less the original form of the mask that does not hold any more."""
    extra = json.loads(text) if text else {}
    if "segmentation" not in extra:
        return text
    del extra["segmentation"]
    return json.dumps(extra, ensure_ascii=False, separators=(",", ":"))
