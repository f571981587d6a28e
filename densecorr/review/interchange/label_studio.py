"""Label Studio's JSON tasks: every point a keypoint region with its vertex as a number of that region.

Label Studio counts in percent of the image from its edges. Beside the tasks goes `<name>.config.xml`, the labelling
interface that these tasks need; `data.image` is the image's name, to be prefixed by the storage it is served from.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from .types import ToolImage, ToolInstance, ToolPoint, flat_pairs, read_json, unreadable

_DRAWN = ("points", "masks", "boxes")  # names of the controls whose shapes are read
# Label Studio's kinds of shapes
_KINDS = ("keypoint", "polygon", "rectangle", "brush", "bitmask", "ellipse", "vector")
_SIZE = 0.5  # of a drawn point, percent of the image's width


def write(path: Path, images: Sequence[ToolImage]) -> None:
    """Write the tasks with the label sets as predictions, and the labelling interface beside them."""
    tasks = [
        {
            "data": {"image": image.name, "name": image.name, "width": image.width, "height": image.height},
            "predictions": [{"model_version": "densecorr", "result": list(_results(image))}],
        }
        for image in images
    ]
    path.write_text(json.dumps(tasks), encoding="utf-8")
    names = sorted({instance.category for image in images for instance in image.instances})
    labels = "".join(f"<Label value={quoteattr(name)}/>" for name in names)
    config = (
        '<View><Image name="image" value="$image" zoom="true" brightnessControl="true"/>\n'
        f'<KeyPointLabels name="points" toName="image">{labels}</KeyPointLabels>\n'
        f'<PolygonLabels name="masks" toName="image">{labels}</PolygonLabels>\n'
        f'<RectangleLabels name="boxes" toName="image">{labels}</RectangleLabels>\n'
        '<Number name="vertex" toName="image" perRegion="true"/>\n'
        '<Number name="point_id" toName="image" perRegion="true"/>\n'
        '<Choices name="hidden" toName="image" perRegion="true"><Choice value="hidden"/></Choices>\n'
        '<TextArea name="instance_id" toName="image" perRegion="true"/></View>\n'
    )
    path.with_suffix(".config.xml").write_text(config, encoding="utf-8")


def read(path: Path) -> list[ToolImage]:
    """Read exported tasks: the last annotation of each that was not cancelled; others say nothing.

    Raises:
        AnnotationError: it is not Label Studio's JSON.
        DatasetNotFoundError: there is none.
    """
    tasks = read_json(path)
    try:
        return [_read_task(task) for task in tasks]
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise unreadable(path, "Label Studio tasks", f"{type(error).__name__}: {error}") from error


def _results(image: ToolImage) -> Iterable[dict[str, Any]]:
    size = {"original_width": image.width, "original_height": image.height, "image_rotation": 0}
    for i, instance in enumerate(image.instances):

        def region(key: str, i: int = i) -> dict[str, Any]:
            return {"id": f"o{i}-{key}", "to_name": "image", **size}

        def notes(
            key: str, value: dict[str, Any], instance: ToolInstance = instance
        ) -> Iterable[dict[str, Any]]:
            if instance.instance_id is not None:
                text = {**value, "text": [instance.instance_id]}
                yield {**region(key), "from_name": "instance_id", "type": "textarea", "value": text}

        if instance.xywh:
            x, y, w, h = instance.xywh
            box = {**_percent(x, y, image), "width": 100 * w / image.width, "height": 100 * h / image.height}
            labelled = {**box, "rotation": 0, "rectanglelabels": [instance.category]}
            yield {**region("box"), "from_name": "boxes", "type": "rectanglelabels", "value": labelled}
            yield from notes("box", box)
        for j, polygon in enumerate(instance.polygons):
            corners = [list(_percent(x, y, image).values()) for x, y in flat_pairs(polygon)]
            value = {"points": corners, "closed": True, "polygonlabels": [instance.category]}
            yield {**region(f"mask{j}"), "from_name": "masks", "type": "polygonlabels", "value": value}
            yield from notes(f"mask{j}", {"points": corners})
        for j, point in enumerate(instance.points):
            key, at = f"p{j}", {**_percent(point.x + 0.5, point.y + 0.5, image), "width": _SIZE}
            labelled = {**at, "keypointlabels": [instance.category]}
            yield {**region(key), "from_name": "points", "type": "keypointlabels", "value": labelled}
            for name, number in (("vertex", point.vertex), ("point_id", point.point_id)):
                if number is not None:
                    yield {
                        **region(key),
                        "from_name": name,
                        "type": "number",
                        "value": {**at, "number": number},
                    }
            if not point.visible:
                hidden = {**at, "choices": ["hidden"]}
                yield {**region(key), "from_name": "hidden", "type": "choices", "value": hidden}
            yield from notes(key, at)


def _percent(x: float, y: float, image: ToolImage) -> dict[str, float]:
    return {"x": 100 * x / image.width, "y": 100 * y / image.height}


def _read_task(task: dict[str, Any]) -> ToolImage:
    done = [one for one in task.get("annotations", []) if not one.get("was_cancelled")]
    results = done[-1]["result"] if done else []
    unread = [one for one in results if _kind(one) in _KINDS and one["from_name"] not in _DRAWN]
    lost = {one["id"] for one in unread}
    regions: dict[str, dict[str, Any]] = {}
    for result in (one for one in results if one.get("id") not in lost):
        regions.setdefault(result["id"], {})[result["from_name"]] = result
    sizes = [(r["original_width"], r["original_height"]) for r in results if "original_width" in r]
    data = task["data"]
    width, height = sizes[0] if sizes else (data["width"], data["height"])
    objects: dict[str, list[dict[str, Any]]] = {}
    for key, region in regions.items():
        own = region["instance_id"]["value"]["text"] if "instance_id" in region else [""]
        name = own[0] if isinstance(own, list) else own
        if not name and "masks" in region:  # drawn anew: an object of its own, told by its place
            name = f"\0{key}"
        objects.setdefault(name, []).append({"id": key, **region})
    instances = tuple(
        _read_instance(None if one.startswith("\0") else one or None, parts, width, height)
        for one, parts in objects.items()
    )
    return ToolImage(
        data.get("name") or data["image"], width, height, instances, tuple(_kind(one) for one in unread)
    )


def _kind(result: dict[str, Any]) -> str:
    """The kind of shape of a region, such as `brush`: by the control it was drawn with, with a label or without."""
    return result.get("type", "").removesuffix("labels")


def _read_instance(
    instance_id: str | None, regions: Sequence[dict[str, Any]], width: int, height: int
) -> ToolInstance:
    scale = width / 100, height / 100
    points, polygons, xywh, category = [], [], None, ""
    for region in regions:
        if "points" in region:
            value = region["points"]["value"]
            vertex, number = (_whole(region.get(name)) for name in ("vertex", "point_id"))
            x, y = value["x"] * scale[0] - 0.5, value["y"] * scale[1] - 0.5
            points.append(ToolPoint(x, y, vertex, "hidden" not in region, number))
            category = value["keypointlabels"][0]
        elif "masks" in region:
            value = region["masks"]["value"]
            polygons.append(
                tuple(v * s for pair in value["points"] for v, s in zip(pair, scale, strict=True))
            )
            category = category or value["polygonlabels"][0]
        elif "boxes" in region:
            value = region["boxes"]["value"]
            sides = zip(("x", "y", "width", "height"), scale * 2, strict=True)
            x, y, w, h = (value[name] * factor for name, factor in sides)
            xywh, category = (x, y, w, h), category or value["rectanglelabels"][0]
    return ToolInstance(category, tuple(points), instance_id, xywh, tuple(polygons))


def _whole(result: dict[str, Any] | None) -> int | None:
    return None if result is None else int(result["value"]["number"])
