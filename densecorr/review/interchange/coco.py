"""The frame of a COCO file, which keypoint and DensePose JSON share: images, categories, one annotation an object."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

from densecorr.datasets.coco_types import Rle
from densecorr.datasets.segmentations import compress_segmentation
from densecorr.images import decode_silhouette

from .types import ToolImage, ToolInstance, mask_polygons, read_json, unreadable


def write_file(
    path: Path,
    images: Sequence[ToolImage],
    fields: Callable[[ToolInstance], dict[str, Any]],
    category_fields: Callable[[str], dict[str, Any]] = lambda name: {},
) -> None:
    """Write a COCO file; `fields` and `category_fields` give what a format adds to an annotation and a category."""
    names = sorted({instance.category for image in images for instance in image.instances})
    numbers = count(1)
    file = {
        "images": [
            {"id": i, "file_name": image.name, "width": image.width, "height": image.height}
            for i, image in enumerate(images, 1)
        ],
        "categories": [{"id": i, "name": name, **category_fields(name)} for i, name in enumerate(names, 1)],
        "annotations": [
            {
                "id": next(numbers),
                "image_id": i,
                "category_id": names.index(instance.category) + 1,
                "bbox": list(instance.xywh or (0, 0, 0, 0)),
                "area": instance.xywh[2] * instance.xywh[3] if instance.xywh else 0.0,
                "iscrowd": 0,
                "segmentation": [list(polygon) for polygon in instance.polygons],
                **fields(instance),
            }
            for i, image in enumerate(images, 1)
            for instance in image.instances
        ],
    }
    path.write_text(json.dumps(file), encoding="utf-8")


def read_file(
    path: Path, kind: str, instance: Callable[[dict[str, Any], str], ToolInstance | None]
) -> list[ToolImage]:
    """Read a COCO file; `instance` makes the object of an annotation and its category's name, or None to leave it out.

    The objects' masks are filled in here: polygons as they are, run-length encodings by their outlines.

    Raises:
        AnnotationError: the file is not what `kind` says.
        DatasetNotFoundError: there is none.
    """
    file = read_json(path)
    try:
        categories = {category["id"]: category["name"] for category in file["categories"]}
        images = {
            image["id"]: ToolImage(image["file_name"], image["width"], image["height"], ())
            for image in file["images"]
        }
        for annotation in file["annotations"]:
            made = instance(annotation, categories[annotation["category_id"]])
            if made is not None:
                key = annotation["image_id"]
                image = images[key]
                polygons, unread = _polygons(annotation, image)
                made = replace(made, polygons=polygons)
                images[key] = replace(
                    image, instances=(*image.instances, made), unread=(*image.unread, *unread)
                )
        return list(images.values())
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise unreadable(path, kind, f"{type(error).__name__}: {error}") from error


def box_of(annotation: dict[str, Any]) -> tuple[float, float, float, float] | None:
    """An annotation's box; None where it has none or only zeros."""
    box = annotation.get("bbox")
    if not box or not any(box):
        return None
    x, y, w, h = map(float, box)
    return x, y, w, h


def _polygons(
    annotation: dict[str, Any], image: ToolImage
) -> tuple[tuple[tuple[float, ...], ...], tuple[str, ...]]:
    """An annotation's mask as polygons, and what they cannot hold of it."""
    segmentation = annotation.get("segmentation") or []
    if isinstance(segmentation, list):
        return tuple(tuple(map(float, polygon)) for polygon in segmentation), ()
    rle = Rle(segmentation["size"], segmentation["counts"])
    runs = compress_segmentation(rle, image.height, image.width)
    return ((), ()) if runs is None else mask_polygons(decode_silhouette(runs, image.height, image.width))
