"""Pictures of the worst findings of `densecorr data check`."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from densecorr.datasets.quality import Finding
    from densecorr.datasets.quality_pictures import Marks
    from densecorr.records import LabelRecord
    from storage.datasets import DatasetInstance


def draw_worst(
    items: "list[DatasetInstance]",
    labels: "dict[str, list[LabelRecord]]",
    findings: "list[Finding]",
    most: int,
    info: dict[str, Any],
    side: "np.ndarray | None",
) -> "list[tuple[Finding, np.ndarray | None]]":
    """The worst findings of each kind with their pictures; None where the image cannot be read.

    Args:
        items: the instances.
        labels: label sets by instance.
        findings: all of them.
        most: pictures of each kind.
        info: `dataset.json`, for the keypoints' names.
        side: of each template vertex, 1 left, -1 right, 0 neither; None without a template.
    """
    from densecorr.datasets.quality_pictures import beside, draw_instance
    from densecorr.datasets.quality_report import worst_findings
    from densecorr.errors import ImageError
    from densecorr.images import read_image

    by_instance = {item.instance.instance_id: item for item in items}
    by_image = {item.image.image_id: item for item in items}
    drawn = []
    for chosen in worst_findings(findings, most).values():
        for one in chosen:
            item = by_instance[one.instance_id] if one.instance_id else by_image[one.image_id]
            try:
                if one.instance_id is None:
                    pair = [
                        draw_instance(read_image(by_image[i].path)) for i in (one.image_id, one.other) if i
                    ]
                    drawn.append((one, beside(*pair)))
                    continue
                marks = _marks(item, labels.get(one.instance_id, []), one.kind, info, side)
                image = read_image(item.path)
                drawn.append((one, draw_instance(image, item.instance.xywh, item.silhouette(), marks)))
            except ImageError:  # a page without this picture is better than none
                drawn.append((one, None))
    return drawn


def _marks(
    item: "DatasetInstance",
    sets: "list[LabelRecord]",
    kind: str,
    info: dict[str, Any],
    side: "np.ndarray | None",
) -> "list[Marks]":
    """What a kind of finding is about: keypoints, points, or both with their sides."""
    import numpy as np

    from densecorr.datasets.keypoints import instance_keypoints, keypoint_set_of
    from densecorr.datasets.quality_pictures import Marks

    told = kind == "left_right"
    marks = []
    for one in sets if kind != "keypoint_outside_box" else ():
        on = np.zeros(len(one.vertex), dtype=np.int64)
        if told and side is not None:
            known = (one.vertex >= 0) & (one.vertex < len(side))
            on[known] = side[one.vertex[known]]
        marks.append(Marks(np.stack([one.x, one.y], axis=1).astype(np.float64), on))
    if told or kind == "keypoint_outside_box":
        count = len(item.instance.extra.get("keypoints") or ()) // 3
        names = keypoint_set_of(info, item.instance.category, count) if told else None
        xy, visibility = instance_keypoints(item.instance, [""] * count)
        on = np.zeros(count, dtype=np.int64) if names is None else names.side
        marks.append(Marks(xy[visibility > 0], on[visibility > 0], crosses=True))
    return marks
