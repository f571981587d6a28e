"""Each annotator's errors on the surface: the template from four sides in heat colours, and what the colours mean."""

import math
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, UInt8

from densecorr.evaluation.charts import nice_ticks
from densecorr.evaluation.report import Panel, PictureRow
from densecorr.rendering.cameras import RigSettings, camera_rig, view_direction
from densecorr.rendering.rasterize import make_scene
from densecorr.rendering.shading import shaded_image
from densecorr.review.error_map import ErrorMap
from densecorr.templates.template import Template

SIDES = {"front": 0.0, "back": 180.0, "left side": 90.0, "right side": 270.0}  # azimuths, degrees
UNKNOWN = (0.68, 0.70, 0.72)
HEAT = (
    np.array(  # ColorBrewer's YlOrRd, 9 classes, from 0 to the largest error
        [
            (255, 255, 204),
            (255, 237, 160),
            (254, 217, 118),
            (254, 178, 76),
            (253, 141, 60),
            (252, 78, 42),
            (227, 26, 28),
            (189, 0, 38),
            (128, 0, 38),
        ]
    )
    / 255
)
SHOWN = 0.95  # share of an annotator's surface whose errors the colours tell apart
_SIZE, _FINER = 360, 2  # pixels of a picture's side, and how much finer it is drawn
_PAPER = 255


def heat_colors(share: Float[np.ndarray, " n"]) -> Float[np.ndarray, "n 3"]:
    """Colours in [0, 1] of shares of the largest error; above 1 as 1, grey for NaN."""
    at = np.nan_to_num(np.clip(share, 0, 1)) * (len(HEAT) - 1)
    colors = np.stack(
        [np.interp(at, np.arange(len(HEAT)), HEAT[:, channel]) for channel in range(3)], axis=-1
    )
    return np.where(np.isfinite(share)[..., None], colors, UNKNOWN)


def map_rows(
    maps: Mapping[str, ErrorMap], template: Template, scale: float, unit: str, facts: Mapping[str, str]
) -> tuple[PictureRow, ...]:
    """A row an annotator: the template from four sides and the legend, all rows in the same colours.

    Args:
        maps: by annotator.
        template: of the maps.
        scale: from the template's unit to that of the legend.
        unit: of the legend, such as "cm".
        facts: what to say beside each annotator's name.
    """
    known = [one.error[np.isfinite(one.error)] for one in maps.values()]
    highest = max((float(np.quantile(error, SHOWN)) for error in known if len(error)), default=0.0)
    ticks = nice_ticks(0.0, scale * highest if highest > 0 else 1.0, 5)
    draw = _Sides(template)
    legend = Panel(f"mean error in {unit}", draw_legend(ticks, draw.height, draw.width, unit))
    return tuple(
        PictureRow(
            name,
            (*draw(heat_colors(scale * one.error / ticks[-1])), legend),
            facts.get(name, ""),
        )
        for name, one in maps.items()
    )


class _Sides:
    """The template from four sides, its rays cast once for all colours; all pictures are cropped alike."""

    def __init__(self, template: Template) -> None:
        self._template = template
        scene = make_scene(template.V, template.F)
        cameras = camera_rig(
            template.V, RigSettings(4, (0.0,), _SIZE * _FINER, margin=0.02, field_of_view=20.0)
        )
        by_azimuth = dict(zip((0.0, 90.0, 180.0, 270.0), cameras, strict=True))
        self._views = {name: scene.fragments(by_azimuth[azimuth]) for name, azimuth in SIDES.items()}
        covered = np.any([view.face >= 0 for view in self._views.values()], axis=0)
        self._crop = rows, columns = _around(covered.any(axis=1)), _around(covered.any(axis=0))
        self.height, self.width = ((part.stop - part.start) // _FINER for part in (rows, columns))

    def __call__(self, colors: Float[np.ndarray, "V 3"]) -> list[Panel]:
        """One picture a side, lit from the camera so that all sides read alike."""
        V, F = self._template.V, self._template.F
        panels = []
        for name, view in self._views.items():
            light = view_direction(math.radians(SIDES[name]), 0.35)
            picture = shaded_image(view, V, F, colors, light, ambient=0.6)
            picture[view.face < 0] = _PAPER
            fine = picture[self._crop].astype(np.float64)
            blocks = fine.reshape(fine.shape[0] // _FINER, _FINER, fine.shape[1] // _FINER, _FINER, 3)
            panels.append(Panel(name, np.rint(blocks.mean(axis=(1, 3))).astype(np.uint8)))
        return panels


def _around(covered: np.ndarray) -> slice:
    """What is covered with a little to spare, in whole blocks of the finer pixels."""
    index = np.flatnonzero(covered)
    first = max(0, int(index[0]) // _FINER - 6)
    last = min(len(covered) // _FINER, int(index[-1]) // _FINER + 7)
    return slice(first * _FINER, last * _FINER)


def draw_legend(ticks: list[float], height: int, width: int, unit: str) -> UInt8[np.ndarray, "H W 3"]:
    """A bar of colours from the first tick (below) to the last, with their numbers, and a swatch of grey."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(size=max(11, height // 24))
    top, bottom, left, right = round(0.08 * height), round(0.80 * height), 14, 14 + max(16, height // 16)
    picture = np.full((height, width, 3), _PAPER, dtype=np.uint8)
    shares = np.linspace(1, 0, bottom - top)
    picture[top:bottom, left:right] = np.rint(255 * heat_colors(shares))[:, None]
    low, high = round(0.88 * height), round(0.94 * height)
    picture[low:high, left:right] = np.rint(255 * np.array(UNKNOWN))
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    for tick in ticks:
        y = bottom - (bottom - top) * tick / ticks[-1]
        text = f"{tick:.4g}" + (f" {unit} or more" if tick == ticks[-1] else "")
        draw.line([(right, y), (right + 5, y)], fill=(90, 90, 90))
        draw.text((right + 10, y), text, fill=(40, 40, 40), font=font, anchor="lm")
    draw.text((right + 10, (low + high) / 2), "no point near", fill=(40, 40, 40), font=font, anchor="lm")
    return np.asarray(image)
