"""The transfer tool's work on files: a pair of images in, predicted and true pixels out."""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from densecorr.datasets.pairs import ImagePair, Xywh, find_pair_image
from densecorr.errors import DatasetNotFoundError, ImageError, SettingsError
from densecorr.evaluation.transfer import Reference, TransferMethod, TransferredPair, transfer_embedded
from densecorr.images import read_image
from densecorr.models import Predictor
from densecorr.models.predictor import Embedded

from .predict import box_silhouette, read_boxes, whole_image

N_KEPT = 256  # crops after the network: benchmarks use an image in many pairs


@dataclass(frozen=True)
class Side:
    """One image of a pair: its crop after the network, its size (height, width), and the object's box if known."""

    embedded: Embedded
    size: tuple[int, int]
    xywh: Xywh | None


class PairTransfer:
    """Transfers the keypoints of one pair after another.

    `n_whole` counts images of pairs that had no box, `n_outside` keypoints outside their image.
    """

    def __init__(
        self,
        models: dict[str, Predictor],
        images: Path,
        method: TransferMethod,
        reference: Reference,
        boxes: Path | None = None,
        silhouettes: bool = False,
    ) -> None:
        self._models, self._images, self._coco, self._told = models, images, boxes, silhouettes
        self._method: TransferMethod = method
        self._reference: Reference = reference
        self.n_whole = self.n_outside = 0
        self._embed = lru_cache(N_KEPT)(self._embed_now)

    def __call__(self, pair: ImagePair) -> TransferredPair:
        """Predicted and true pixels in image B.

        Raises:
            DatasetNotFoundError: an image is not there; the message names the pair.
            ImageError: an image cannot be read.
            SettingsError: a box is needed and there is none.
        """
        try:
            a = self._side(pair.category, pair.image_a, pair.xywh_a, pair.xy_a)
            b = self._side(pair.category, pair.image_b, pair.xywh_b, pair.xy_b)
        except (DatasetNotFoundError, ImageError) as error:
            expected, received, remedy = error.args
            raise type(error)(expected, f"{received} ({pair.pair_id})", remedy) from error
        if self._reference == "image":
            length = float(max(b.size))
        elif b.xywh is not None:
            length = float(max(b.xywh[2:]))
        else:
            raise SettingsError(
                "the object's box in image B, whose longer side is the reference length",
                f"none for {pair.image_b} ({pair.pair_id})",
                "Name a COCO file that has it (--boxes), or use --reference image.",
            )
        model = self._models[pair.category]
        xy = transfer_embedded(model, a.embedded, pair.xy_a, b.embedded, self._method)
        return TransferredPair(pair.category, xy, pair.xy_b, length)

    def _side(self, category: str, name: str, own: Xywh | None, xy: np.ndarray) -> Side:
        path = find_pair_image(self._images, name)
        number: int | None = None
        if self._coco is not None:
            boxes = self._boxes[category].get(path.name, [])
            number = best_box(boxes, xy)
            own = None if number is None else boxes[number]["bbox"]
        embedded, size = self._embed(category, path, own, number)
        self.n_whole += own is None
        inside = (xy >= -0.5) & (xy <= np.array([size[1], size[0]]) - 0.5)
        self.n_outside += int((~inside.all(axis=1)).sum())
        return Side(embedded, size, own)

    @cached_property
    def _boxes(self) -> dict[str, dict[str, list[dict[str, Any]]]]:
        """Boxes of the COCO file by category and file name."""
        if self._coco is None:
            return {}
        return {category: read_boxes(self._coco, category, None) for category in self._models}

    def _embed_now(
        self, category: str, path: Path, xywh: Xywh | None, number: int | None
    ) -> tuple[Embedded, tuple[int, int]]:
        """The crop after the network and the image's size; `number` is that of the box in the COCO file."""
        image = read_image(path)
        size = image.shape[0], image.shape[1]
        silhouette = None
        if self._told and number is not None:
            silhouette = box_silhouette(self._boxes[category][path.name][number], *size)
        box = whole_image(image, path, 0)["bbox"] if xywh is None else xywh
        return self._models[category].embed(image, box, silhouette), size


def best_box(boxes: list[dict[str, Any]], xy: np.ndarray) -> int | None:
    """Which box holds most of the points; of several, the smallest: that of the object which the points are of."""

    def rank(number: int) -> tuple[int, float]:
        x, y, w, h = boxes[number]["bbox"]
        at = xy + 0.5  # COCO counts edges
        inside = (at >= [x, y]).all(axis=1) & (at <= [x + w, y + h]).all(axis=1)
        return int(inside.sum()), -w * h

    return max(range(len(boxes)), key=rank, default=None)
