"""One image's instances of a category: absent silhouettes filled in, and with `mode="detect"` new instances."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import UInt8

from ..errors import ImageError
from ..images import box_of_silhouette, encode_silhouette
from ..records import ImageRecord, InstanceRecord
from .boxes import best_boxes, clip_boxes, overlap, usable_boxes
from .grounding_dino import Detections, check_image, load_grounding_dino
from .segment_anything import load_segment_anything
from .settings import SilhouetteSettings

FILLED, DETECTED = "sam", "grounding_dino+sam"  # silhouette_source
Detect = Callable[..., Detections]  # as GroundingDino is called
Segment = Callable[..., Iterator[tuple[np.ndarray, float]]]  # as SegmentAnything is called


@dataclass(frozen=True)
class Found:
    """What one image gave.

    `records` are the instances that changed or are new, `dropped` the boxes that gave none, by reason, and
    `best_score` the detector's best score, also below the threshold; None where it was not asked.
    """

    records: list[InstanceRecord]
    dropped: Counter[str] = field(default_factory=Counter)
    best_score: float | None = None


@dataclass(frozen=True)
class SilhouetteFinder:
    """The networks, loaded, with the settings; `detect` is None with `mode="missing"`."""

    settings: SilhouetteSettings
    segment: Segment
    detect: Detect | None = None

    def __call__(
        self,
        image: UInt8[np.ndarray, "H W 3"],
        record: ImageRecord,
        known: Sequence[InstanceRecord],
        category: str,
        first: int = 0,
    ) -> Found:
        """Silhouettes of one image.

        Args:
            image: its pixels.
            record: its row.
            known: the instances of the category in it.
            category: what to look for.
            first: number of the first new instance, in its id.

        Raises:
            ImageError: too small or too thin an image, or one of another size than its row says.
            FeatureError: a network's answer is not a number.
        """
        check_image(image)
        if image.shape[:2] != (record.height, record.width):
            raise ImageError(
                f"an image of {record.width} x {record.height}",
                f"{image.shape[1]} x {image.shape[0]}",
                "Ingest the data set anew.",
            )
        dropped: Counter[str] = Counter()
        lacking = [item for item in known if item.silhouette is None and not item.iscrowd]
        records = self._fill(image, lacking, dropped)
        if self.detect is None:
            return Found(records, dropped)
        settings = self.settings
        found = self.detect(image, settings.prompt(category), settings.box_threshold, settings.text_threshold)
        xywh, score = self._select(found, known, image.shape, dropped)
        for (silhouette, expected), value in zip(self.segment(image, xywh), score, strict=True):
            area = float(silhouette.sum())
            if area < max(settings.min_area, 1.0):
                dropped["silhouette below min_area"] += 1
                continue
            records.append(
                InstanceRecord(
                    instance_id=f"{id_prefix(record.image_id)}{first}",
                    image_id=record.image_id,
                    category=category,
                    xywh=box_of_silhouette(silhouette),
                    silhouette=encode_silhouette(silhouette),
                    silhouette_source=DETECTED,
                    area=area,
                    score=float(value),
                    extra={"expected_iou": round(expected, 6)},
                )
            )
            first += 1
        return Found(records, dropped, found.best)

    def _fill(
        self, image: UInt8[np.ndarray, "H W 3"], lacking: list[InstanceRecord], dropped: Counter[str]
    ) -> list[InstanceRecord]:
        """The instances with a silhouette from their box; those whose box or silhouette is no good stay out."""
        xywh = np.array([item.xywh for item in lacking], dtype=np.float64).reshape(-1, 4)
        xywh = clip_boxes(xywh, image.shape[0], image.shape[1])
        usable = usable_boxes(xywh)
        dropped["box not in the image"] += int((~usable).sum())
        asked = [item for item, good in zip(lacking, usable, strict=True) if good]
        filled = []
        for item, (silhouette, _) in zip(asked, self.segment(image, xywh[usable]), strict=True):
            if silhouette.sum() < max(self.settings.min_area, 1.0):
                dropped["silhouette below min_area"] += 1
                continue
            rle = encode_silhouette(silhouette)
            filled.append(replace(item, silhouette=rle, silhouette_source=FILLED))
        return filled

    def _select(
        self,
        found: Detections,
        known: Sequence[InstanceRecord],
        size: tuple[int, ...],
        dropped: Counter[str],
    ) -> tuple[np.ndarray, np.ndarray]:
        """The boxes (N, 4) and scores (N,) that are no repetition of each other or of a known instance."""
        xywh = clip_boxes(found.xywh, size[0], size[1])
        usable = usable_boxes(xywh)
        dropped["box not in the image"] += int((~usable).sum())
        xywh, score = xywh[usable], found.score[usable]
        kept = best_boxes(xywh, score, self.settings.nms)
        dropped["overlaps a better box"] += len(xywh) - len(kept)
        xywh, score = xywh[kept], score[kept]
        others = np.array([item.xywh for item in known], dtype=np.float64).reshape(-1, 4)
        crowd = np.array([item.iscrowd for item in known], dtype=bool)
        finite = np.isfinite(others).all(axis=1)
        shared = overlap(xywh, others[finite], crowd[finite])
        new = (shared <= self.settings.nms).all(axis=1)
        dropped["is a known instance"] += int((~new).sum())
        return xywh[new], score[new]


def id_prefix(image_id: str) -> str:
    """What the ids of an image's new instances begin with; a number follows."""
    source, _, original = image_id.partition("/")
    return f"{source}/sam/{original}/"


def load_finder(settings: SilhouetteSettings, device: str = "cpu") -> SilhouetteFinder:
    """Load the networks that the settings need.

    Raises:
        DependencyError: a model cannot be had; the message says why.
        SettingsError: no such device, or it cannot compute in that precision.
    """
    detect = None
    if settings.mode == "detect":
        detect = load_grounding_dino(settings.detector, settings.precision, device)
    segment = load_segment_anything(settings.segmenter, settings.precision, device)
    return SilhouetteFinder(settings, segment, detect)
