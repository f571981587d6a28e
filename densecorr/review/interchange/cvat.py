"""CVAT's own XML ("CVAT for images 1.1"): every point a shape, its vertex an attribute to be edited.

CVAT counts from the edges of pixels: our pixel centre 0 is 0.5 there. The shapes of one object share a `group_id`.
Beside the XML goes `<name>.labels.json`, to be pasted into CVAT's label constructor ("Raw") before the upload.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from jaxtyping import Bool

from densecorr.errors import DatasetNotFoundError

from .types import ToolImage, ToolInstance, ToolPoint, flat_pairs, mask_polygons, unreadable

_MASKS = ("polygon", "mask")
_SHAPES = ("box", "points", *_MASKS)
_ATTRIBUTES = ("instance_id", "point_id", "vertex")


def write(path: Path, images: Sequence[ToolImage]) -> None:
    """Write the XML, and the labels that CVAT needs to know beside it."""
    root = ElementTree.Element("annotations")
    ElementTree.SubElement(root, "version").text = "1.1"
    group = 0
    for number, image in enumerate(images):
        element = ElementTree.SubElement(
            root, "image", id=str(number), name=image.name, width=str(image.width), height=str(image.height)
        )
        for instance in image.instances:
            group += 1
            _write_instance(element, instance, str(group))
    ElementTree.indent(root)
    ElementTree.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)
    names = sorted({instance.category for image in images for instance in image.instances})
    text = [
        {"name": name, "mutable": True, "input_type": "text", "default_value": "", "values": [""]}
        for name in _ATTRIBUTES
    ]
    labels = [{"name": name, "type": "any", "attributes": text} for name in names]
    path.with_suffix(".labels.json").write_text(json.dumps(labels, indent=1), encoding="utf-8")


def read(path: Path) -> list[ToolImage]:
    """Read CVAT's XML. Shapes without a group belong to the object their attribute names; masks become polygons.

    Raises:
        AnnotationError: it is not CVAT's XML for images.
        DatasetNotFoundError: there is none.
    """
    try:
        root = ElementTree.parse(path).getroot()
        return [_read_image(element) for element in root.iter("image")]
    except OSError as error:
        raise DatasetNotFoundError(
            "a file to read", f"{path} ({error.strerror})", "Correct its name."
        ) from error
    except (ElementTree.ParseError, KeyError, ValueError) as error:
        raise unreadable(path, "CVAT for images 1.1", f"{type(error).__name__}: {error}") from error


def _write_instance(parent: ElementTree.Element, instance: ToolInstance, group: str) -> None:
    common = {"label": instance.category, "source": "manual", "z_order": "0", "group_id": group}
    if instance.xywh:
        x, y, w, h = instance.xywh
        corners = {"xtl": x, "ytl": y, "xbr": x + w, "ybr": y + h}
        box = {name: repr(float(value)) for name, value in corners.items()}
        _attribute(
            ElementTree.SubElement(parent, "box", {**common, "occluded": "0", **box}),
            instance_id=instance.instance_id,
        )
    for polygon in instance.polygons:
        text = ";".join(f"{x!r},{y!r}" for x, y in flat_pairs(polygon))
        shape = ElementTree.SubElement(parent, "polygon", {**common, "occluded": "0", "points": text})
        _attribute(shape, instance_id=instance.instance_id)
    for point in instance.points:
        seen = "0" if point.visible else "1"
        text = f"{point.x + 0.5!r},{point.y + 0.5!r}"
        shape = ElementTree.SubElement(parent, "points", {**common, "occluded": seen, "points": text})
        _attribute(shape, instance_id=instance.instance_id, point_id=point.point_id, vertex=point.vertex)


def _attribute(shape: ElementTree.Element, **values: object) -> None:
    for name, value in values.items():
        if value is not None:
            ElementTree.SubElement(shape, "attribute", name=name).text = str(value)


def _read_image(element: ElementTree.Element) -> ToolImage:
    groups: dict[str, list[ElementTree.Element]] = {}
    unread = [shape.tag for shape in element if shape.tag not in (*_SHAPES, "tag")]
    for shape in element:
        if shape.tag in _SHAPES:
            key = shape.get("group_id") or _attributes(shape).get("instance_id") or ""
            if not key and shape.tag in _MASKS:  # drawn anew: an object of its own, told by its place
                key = f"\0{len(groups)}"
            groups.setdefault(key, []).append(shape)
    objects: dict[str, list[ElementTree.Element]] = {}
    for group, shapes in groups.items():  # a point drawn in CVAT has no group, but may name its object
        ids = [text for shape in shapes if (text := _attributes(shape).get("instance_id"))]
        objects.setdefault(ids[0] if ids else f"\0{group}", []).extend(shapes)
    width, height = int(element.attrib["width"]), int(element.attrib["height"])
    found = [_read_instance(shapes, height, width) for shapes in objects.values()]
    unread += [kind for _, kinds in found for kind in kinds]
    return ToolImage(element.attrib["name"], width, height, tuple(one for one, _ in found), tuple(unread))


def _read_instance(
    shapes: Sequence[ElementTree.Element], height: int, width: int
) -> tuple[ToolInstance, tuple[str, ...]]:
    ids = [text for shape in shapes if (text := _attributes(shape).get("instance_id"))]
    box = next((shape.attrib for shape in shapes if shape.tag == "box"), None)
    xywh = None
    if box is not None:
        left, top, right, bottom = (float(box[name]) for name in ("xtl", "ytl", "xbr", "ybr"))
        xywh = (left, top, right - left, bottom - top)
    polygons = tuple(
        tuple(value for pair in _positions(shape) for value in pair)
        for shape in shapes
        if shape.tag == "polygon"
    )
    unread: tuple[str, ...] = ()
    masks = [_mask(shape.attrib, height, width) for shape in shapes if shape.tag == "mask"]
    if masks:
        drawn, unread = mask_polygons(np.any(masks, axis=0))
        polygons += drawn
    points = tuple(
        _point(x - 0.5, y - 0.5, shape)
        for shape in shapes
        if shape.tag == "points"
        for x, y in _positions(shape)
    )
    made = ToolInstance(shapes[0].attrib["label"], points, ids[0] if ids else None, xywh, polygons)
    return made, unread


def _mask(shape: Mapping[str, str], height: int, width: int) -> Bool[np.ndarray, "H W"]:
    """CVAT's mask: runs over the rows of its own box, the first one outside."""
    left, top, w, h = (int(float(shape[name])) for name in ("left", "top", "width", "height"))
    runs = [int(float(run)) for run in shape["rle"].split(",")]
    box = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(h, w)
    mask = np.zeros((height, width), dtype=bool)
    mask[top : top + h, left : left + w] = box
    return mask


def _point(x: float, y: float, shape: ElementTree.Element) -> ToolPoint:
    attributes = _attributes(shape)
    vertex, number = (_whole(attributes.get(name)) for name in ("vertex", "point_id"))
    return ToolPoint(x, y, vertex, shape.get("occluded") != "1", number)


def _whole(text: str | None) -> int | None:
    return int(text) if text else None


def _positions(shape: ElementTree.Element) -> list[tuple[float, float]]:
    pairs = (pair.split(",") for pair in shape.attrib["points"].split(";"))
    return [(float(x), float(y)) for x, y in pairs]


def _attributes(shape: ElementTree.Element) -> dict[str, str]:
    return {one.attrib["name"]: (one.text or "").strip() for one in shape.iter("attribute")}
