"""Outlines of silhouettes: filled again, they cover the silhouette."""

import numpy as np
from pycocotools import mask as coco_mask

from densecorr.datasets.outlines import outline_polygons


def test_a_disc_filled_from_its_outline_is_the_disc() -> None:
    y, x = np.mgrid[:80, :100]
    disc = (x - 40) ** 2 + (y - 35) ** 2 <= 25**2
    disc |= (abs(x - 85) < 6) & (abs(y - 60) < 4)
    outlines = outline_polygons(disc)
    assert len(outlines) == 2
    filled = coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects([list(o) for o in outlines], 80, 100)))
    union, both = (disc | (filled > 0)).sum(), (disc & (filled > 0)).sum()
    assert both / union > 0.98
    xs = np.array(outlines[1][::2])
    assert abs(xs.min() - 80) <= 0.5
    assert abs(xs.max() - 91) <= 0.5


def test_holes_are_filled_and_nothing_has_no_outline() -> None:
    ring = np.zeros((30, 30), bool)
    ring[5:25, 5:25] = True
    ring[10:20, 10:20] = False
    assert len(outline_polygons(ring)) == 1
    assert outline_polygons(np.zeros((4, 4), bool)) == ()
