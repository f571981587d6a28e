"""Choosing how to pool views, without truth: the variant whose matches come back closest to their start."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from ..errors import EmptyInstanceError
from ..view_matching import Pooling
from .zero_shot import GeodesicRows, InstanceScores, ZeroShotSettings, label_instance, restrict

POOLINGS: tuple[Pooling, ...] = ("max", "mean", "best")
POINTS = 64


@dataclass(frozen=True)
class Variant:
    """A pooling rule, over all views or those within the data's azimuths."""

    pooling: Pooling
    azimuths: tuple[tuple[float, float], ...]

    def __str__(self) -> str:
        """Such as `best, all views`."""
        return f"{self.pooling}, {'azimuths of the data' if self.azimuths else 'all views'}"


def variants(azimuths: tuple[tuple[float, float], ...]) -> list[Variant]:
    """Every pooling over all views and, when there are intervals, over the views within them."""
    ranges = [(), azimuths] if azimuths else [()]
    return [Variant(pooling, kept) for kept in ranges for pooling in POOLINGS]


def choose_variant(
    scored: Iterable[InstanceScores],
    geodesics: GeodesicRows,
    diameter: float,
    settings: ZeroShotSettings,
) -> tuple[Variant, dict[str, float]]:
    """The variant with the least mean cycle error (a share of the crop) over some instances, and all errors.

    `scored` must hold similarities with all views. Only cycle errors decide; no label is looked at. Azimuths
    in `settings` are kept: the errors over all views are for information.

    Raises:
        EmptyInstanceError: no instance.
    """
    candidates = variants(settings.azimuths)
    errors: list[list[float]] = [[] for _ in candidates]
    for scores in scored:
        kept = {azimuths: restrict(scores, azimuths) for azimuths in {v.azimuths for v in candidates}}
        for index, variant in enumerate(candidates):
            rule = replace(settings, pooling=variant.pooling, points=POINTS, candidates=1)
            rng = np.random.default_rng(settings.seed)
            labels = label_instance(kept[variant.azimuths], geodesics, diameter, rule, rng)
            errors[index].append(float(labels.cycle_px.mean() * scores.frame.scale / scores.frame.size))
    if not errors[0]:
        raise EmptyInstanceError("an instance with a silhouette", "none", "Check the data set's silhouettes.")
    means = [float(np.mean(values)) for values in errors]
    allowed = [index for index, variant in enumerate(candidates) if variant.azimuths == settings.azimuths]
    best = candidates[min(allowed, key=lambda index: means[index])]
    return best, {str(variant): round(mean, 5) for variant, mean in zip(candidates, means, strict=True)}
