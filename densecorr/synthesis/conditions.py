"""The depth image that a depth ControlNet is told: the template's, before that of a background."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32

from ..errors import SettingsError
from ..rendering.rasterize import Fragments


@dataclass(frozen=True)
class Blend:
    """How the range [0, 1] of a condition is shared out: 1 is nearest.

    Attributes:
        relief: the nearest part of the range, for the template from its farthest to its nearest visible point.
        gap: the part left empty behind it; what remains is the background's.
    """

    relief: float = 0.6
    gap: float = 0.05


@dataclass(frozen=True)
class DepthCondition:
    """Inverse depths in [0, 1], near is bright: `depth` for the ControlNet, `background` without the template."""

    depth: Float32[np.ndarray, "H W"]
    background: Float32[np.ndarray, "H W"]
    silhouette: Bool[np.ndarray, "H W"]


def check_blend(settings: Blend) -> None:
    """Raise a SettingsError unless template and background both get a part of the range."""
    if not (settings.relief > 0 and settings.gap > 0 and settings.relief + settings.gap < 1):
        raise SettingsError(
            "relief and gap above 0 that add up to less than 1",
            f"{settings.relief:g} and {settings.gap:g}",
            "Correct generator.blend.",
        )


def inverse_depth(fragments: Fragments) -> Float32[np.ndarray, "H W"]:
    """1 / depth (1/m) of a view; 0 where it is empty, as for what is infinitely far."""
    return np.where(fragments.face >= 0, 1.0 / fragments.depth, 0.0).astype(np.float32)


def blend_depths(
    fragments: Fragments, background: Float32[np.ndarray, "H W"], settings: Blend
) -> DepthCondition:
    """The template before a background.

    The template's inverse depth is scaled to [1 - relief, 1], the background's to [0, 1 - relief - gap], each from
    its own least to its own greatest value. So order within each is kept, and every pixel of the background, those
    the template hides included, lies behind all of the template. SHIC (Sec. 3.5) blends the two without saying how;
    true depths cannot be mixed, because a monocular estimate has neither scale nor origin.

    Args:
        fragments: the template's view, not empty.
        background: relative inverse depth (greater is nearer) in any unit.
        settings: the shares of the range.
    """
    silhouette = fragments.face >= 0
    template = inverse_depth(fragments)
    near, far = float(template[silhouette].max()), float(template[silhouette].min())
    inside = np.float32(1 - settings.relief) + np.float32(settings.relief) * _share(template, far, near)
    behind = np.float32(1 - settings.relief - settings.gap) * _share(
        background, float(background.min()), float(background.max())
    )
    return DepthCondition(np.where(silhouette, inside, behind), behind, silhouette)


def _share(values: Float32[np.ndarray, "H W"], low: float, high: float) -> Float32[np.ndarray, "H W"]:
    """Values from low to high as 0 to 1; all 1 where there is no extent."""
    if high <= low:
        return np.ones_like(values)
    return np.clip((values - np.float32(low)) / np.float32(high - low), 0, 1).astype(np.float32)
