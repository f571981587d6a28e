"""Label sets of a data set as other annotation tools hold them, and what was done there as acts of a reviewer."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from densecorr.errors import AnnotationError

if TYPE_CHECKING:
    from densecorr.records import Decision, LabelRecord
    from densecorr.review.interchange import ToolImage, ToolInstance
    from densecorr.review.interchange.changes import Importer
    from storage.datasets import DatasetInstance

MIN_IOU = 0.5  # of boxes, for an object whose id the tool lost


def tool_images(
    instances: "Sequence[DatasetInstance]", labels: "Mapping[str, LabelRecord]"
) -> "list[ToolImage]":
    """The labelled instances as a tool holds them: images in the data set's order, only those with a label set."""
    from densecorr.review.interchange import ToolImage, ToolInstance, ToolPoint
    from densecorr.review.state import initial_state

    images = {one.image.image_id: one.image for one in instances if one.instance.instance_id in labels}
    objects: dict[str, list[ToolInstance]] = {image_id: [] for image_id in images}
    for one in instances:
        label = labels.get(one.instance.instance_id)
        if label is None:
            continue
        state = initial_state(label)
        objects[one.image.image_id].append(
            ToolInstance(
                one.instance.category,
                tuple(ToolPoint(p.x, p.y, p.vertex, p.visible, i) for i, p in state.points.items()),
                one.instance.instance_id,
                one.instance.xywh,
                exported_polygons(one, label),
            )
        )
    return [
        ToolImage(image.uri, image.width, image.height, tuple(objects[image_id]))
        for image_id, image in images.items()
    ]


def exported_polygons(one: "DatasetInstance", label: "LabelRecord") -> tuple[tuple[float, ...], ...]:
    """An object's mask as a tool gets it, in COCO's edge coordinates: the label set's own, else the data set's."""
    from densecorr.datasets.outlines import outline_polygons
    from densecorr.review.masks import corrected_polygons, to_edges

    own = corrected_polygons(label)
    if own is not None:
        return tuple(map(tuple, to_edges(own)))
    silhouette = one.silhouette()
    return () if silhouette is None else outline_polygons(silhouette)


@dataclass
class Imported:
    """The acts that a tool's file comes to, the objects that could not be told, how many were imported before.

    `unread` has one entry, the image's name and the kind, for each shape that is not taken over.
    """

    decisions: "list[Decision]" = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    unread: list[tuple[str, str]] = field(default_factory=list)
    n_again: int = 0


def imported_decisions(
    found: "Iterable[ToolImage]",
    instances: "Sequence[DatasetInstance]",
    labels: "Mapping[str, LabelRecord]",
    importer: "Importer",
    earlier: "Mapping[str, Sequence[Decision]]",
) -> Imported:
    """The acts of a tool's file on what the reviewer decided before (`earlier`, by label id).

    An object without an id is the one of its image and category that its box fits best; a mask that was drawn anew,
    without an id, is that of the object whose box it fits.

    Raises:
        AnnotationError: a vertex the template does not have, a point id twice, one object twice, a mask that is none.
    """
    from densecorr.review.interchange.changes import SentMask

    by_id = {one.instance.instance_id: one for one in instances}
    by_image: dict[str, list[DatasetInstance]] = {}
    for one in instances:
        by_image.setdefault(one.image.uri, []).append(one)
    by_name = {uri.rpartition("/")[2]: uri for uri in by_image}  # tools tend to drop folders
    unique = len(by_name) == len(by_image)
    result = Imported()
    seen: set[str] = set()
    for image in found:
        result.unread += [(image.name, kind) for kind in image.unread]
        uri = (
            image.name if image.name in by_image or not unique else by_name.get(image.name.rpartition("/")[2])
        )
        for instance, known in _told_apart(image.instances, by_id, by_image.get(uri or "", [])):
            label = None if known is None else labels.get(known.instance.instance_id)
            if known is None or label is None:
                result.unknown.append(f"{image.name}: {instance.instance_id or instance.category}")
                continue
            if label.instance_id in seen:
                raise AnnotationError(
                    "each object once", f"{label.instance_id} twice", "Delete the copy in the tool."
                )
            seen.add(label.instance_id)
            mask = None
            if instance.polygons:
                mask = SentMask(exported_polygons(known, label), known.image.height, known.image.width)
            acts = importer.decisions(label, instance, earlier.get(label.label_id, ()), mask)
            result.n_again += not acts  # an accepted object is one act at least
            result.decisions += acts
    return result


def _told_apart(
    found: "Iterable[ToolInstance]",
    by_id: "Mapping[str, DatasetInstance]",
    candidates: "Sequence[DatasetInstance]",
) -> "list[tuple[ToolInstance, DatasetInstance | None]]":
    """The objects of one image of a file, and the data set's; masks that name none are put to their object."""
    named, loose = [], []
    for instance in found:
        if instance.instance_id is None and instance.xywh is None and not instance.points:
            loose.append(instance)
        else:
            named.append((instance, by_id.get(instance.instance_id or "") or _by_box(instance, candidates)))
    for mask in loose:
        known = _by_box(replace(mask, xywh=_bounds(mask)), [own for _, own in named if own is not None])
        if known is None:
            named.append((mask, None))
            continue
        place = next(i for i, (_, own) in enumerate(named) if own is known)
        instance = named[place][0]
        named[place] = replace(instance, polygons=(*instance.polygons, *mask.polygons)), known
    return named


def _bounds(instance: "ToolInstance") -> tuple[float, float, float, float] | None:
    xs = [value for polygon in instance.polygons for value in polygon[::2]]
    ys = [value for polygon in instance.polygons for value in polygon[1::2]]
    return (min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)) if xs else None


def _by_box(instance: "ToolInstance", candidates: "Sequence[DatasetInstance]") -> "DatasetInstance | None":
    from pycocotools import mask as coco_mask

    same = [one for one in candidates if one.instance.category == instance.category]
    if not same or instance.xywh is None:
        return None
    boxes: Any = [list(one.instance.xywh) for one in same]  # pycocotools' stub knows masks only
    own: Any = [list(instance.xywh)]
    overlap = coco_mask.iou(own, boxes, [0] * len(same))[0]
    best = int(overlap.argmax())
    return same[best] if overlap[best] >= MIN_IOU else None
