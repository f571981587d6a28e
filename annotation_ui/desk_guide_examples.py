"""The guideline's examples, on the reviewer's own template: the camera is known, so right and wrong are exact."""

from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int

from densecorr.rendering.cameras import project_points

from .desk_guide_scene import (
    DISTINCT,
    SIZE,
    TOLERANCE,
    Scene,
    clearance,
    contrast_of,
    is_distinct,
    magnified,
    within,
)
from .desk_template import distances_from, has_sides

_N_POINTS = 20
_AREA = 8 * _N_POINTS  # pixels; less is too thin to draw points on
_MARGIN = 5  # pixels from a point to the outline of what it is on
_BESIDE = 22  # pixels from the object to a point beside it
_BRUSH = 24  # pixels around the points that the brush takes
_REGION = 4  # points, and those between them
_OFF, _NEAR = 0.06, 0.02  # diameters: a place to mend, and one to let pass


@dataclass(frozen=True, eq=False)
class Drawing:
    """Points on a scene's picture, in pixels of it (centres at integers).

    Attributes:
        xy: of the points.
        vertex: what each is labelled with.
        wrong: which are wrong.
        visible: which are not marked as hidden.
        named: where on the picture the label of a point is, rows of x, y of the point and x, y of that place.
        outline: corners of a stroke or a limit; none: no rows.
    """

    xy: Int[np.ndarray, "P 2"]
    vertex: Int[np.ndarray, " P"]
    wrong: Bool[np.ndarray, " P"]
    visible: Bool[np.ndarray, " P"]
    named: Float[np.ndarray, "n 4"] = field(default_factory=lambda: np.zeros((0, 4)))
    outline: Float[np.ndarray, "c 2"] = field(default_factory=lambda: np.zeros((0, 2)))


@dataclass(frozen=True, eq=False)
class Example:
    """One mistake: how it looks, and after the remedy; `name` is the key of its words."""

    name: str
    scene: Scene
    wrong: Drawing
    right: Drawing


def right_points(scene: Scene) -> Drawing:
    """Right points, spread over what is seen; none if there is too little to see."""
    clear = clearance(scene)
    pixels = np.argwhere(clear >= _MARGIN)[:, ::-1]
    pixels = pixels if len(pixels) >= _AREA else np.argwhere(scene.vertex >= 0)[:, ::-1]
    if len(pixels) < _AREA:
        return _drawing(np.zeros((0, 2), int), np.zeros(0, int))
    chosen = [int(clear[pixels[:, 1], pixels[:, 0]].argmax())]
    gap = np.full(len(pixels), np.inf)
    while len(chosen) < _N_POINTS:
        gap = np.minimum(gap, np.hypot(*(pixels - pixels[chosen[-1]]).T))
        chosen.append(int(gap.argmax()))
    xy = pixels[chosen]
    return _drawing(xy, scene.vertex[xy[:, 1], xy[:, 0]])


def guide_examples(scene: Scene, right: Drawing) -> list[Example]:
    """The mistakes that this template can show, each with the remedy; `right` are right points of the scene."""
    if not len(right.xy):
        return []
    made = [make(scene, right) for make in (_mirrored, _elsewhere, _beside, _hidden, _region, _close)]
    return [example for example in made if example is not None]


def _mirrored(scene: Scene, right: Drawing) -> Example | None:
    """Left for right throughout."""
    template = scene.template
    if not has_sides(template):
        return None
    swapped = template.mirror[right.vertex]
    clear = is_distinct(scene, right.xy, swapped)
    if clear.sum() < 2:
        return None
    after = _kept(right, clear)
    before = replace(after, vertex=swapped[clear], wrong=np.ones(len(after.xy), bool))
    return Example("mirrored", scene, before, after)


def _elsewhere(scene: Scene, right: Drawing) -> Example | None:
    """One point with the vertex of a far part."""
    V = scene.template.V[right.vertex]
    apart = np.linalg.norm(V[:, None] - V[None], axis=2)
    there, here = np.unravel_index(apart.argmax(), apart.shape)
    if not is_distinct(scene, right.xy[[here]], right.vertex[[there]])[0]:
        return None
    vertex = right.vertex.copy()
    vertex[here] = right.vertex[there]
    named = np.concatenate([right.xy[here], right.xy[there]]).astype(float)[None]
    before = replace(right, vertex=vertex, wrong=_only(right, int(here)), named=named)
    return Example("elsewhere", scene, before, right)


def _beside(scene: Scene, right: Drawing) -> Example | None:
    """One point beside the object."""
    gap = cv2.distanceTransform((scene.vertex < 0).astype(np.uint8), cv2.DIST_L2, 5)
    pixels = np.argwhere((gap >= _BESIDE) & (gap < _BESIDE + 2))[:, ::-1]
    if not len(pixels):
        return None
    far = np.hypot(*(right.xy[:, None] - pixels[None]).transpose(2, 0, 1))
    point, place = np.unravel_index(far.argmin(), far.shape)
    xy = right.xy.copy()
    xy[point] = pixels[place]
    wrong = _only(right, int(point))
    return Example("beside", scene, replace(right, xy=xy, wrong=wrong), _kept(right, ~wrong))


def _hidden(scene: Scene, right: Drawing) -> Example | None:
    """One point that names a place behind what is seen."""
    template = scene.template
    at, depth = project_points(template.V, scene.camera)
    xy = np.clip(np.round(at).astype(int), 0, SIZE - 1)
    x, y = xy.T
    behind = depth - scene.seen.depth[y, x] > TOLERANCE * template.diameter
    contrast = np.where(behind & (clearance(scene)[y, x] >= _MARGIN), contrast_of(scene, xy, scene.colors), 0)
    vertex = int(contrast.argmax())
    if contrast[vertex] <= DISTINCT:
        return None
    others = _kept(right, np.hypot(*(right.xy - xy[vertex]).T) > _BRUSH)
    point = _drawing(xy[[vertex]], np.array([vertex]))
    before = _joined(others, replace(point, wrong=np.ones(1, bool)))
    return Example("hidden", scene, before, _joined(others, replace(point, visible=np.zeros(1, bool))))


def _region(scene: Scene, right: Drawing) -> Example | None:
    """The lowest points with vertices of the highest."""
    nearest = np.hypot(*(right.xy - right.xy[right.xy[:, 1].argmax()]).T).argsort()
    angles = np.linspace(0.0, 2 * np.pi, 24, endpoint=False)
    circle = _BRUSH * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    around = (right.xy[nearest[:_REGION], None] + circle).reshape(-1, 2)
    stroke = cv2.convexHull(around.astype(np.float32)).reshape(-1, 2)
    inside = np.array([cv2.pointPolygonTest(stroke, (float(x), float(y)), False) >= 0 for x, y in right.xy])
    highest = np.hypot(*(right.xy - right.xy[right.xy[:, 1].argmin()]).T).argsort()[: inside.sum()]
    if not is_distinct(scene, right.xy[inside], right.vertex[highest]).all():
        return None
    vertex = right.vertex.copy()
    vertex[inside] = right.vertex[highest]
    before = replace(right, vertex=vertex, wrong=inside, outline=stroke.astype(float))
    return Example("region", scene, before, _kept(right, ~inside))


def _close(scene: Scene, right: Drawing) -> Example | None:
    """One point close up: its label just too far off, and near enough; the outline is the limit."""
    from_here = distances_from(scene.template, int(right.vertex[0]))
    reach = float(np.sqrt(within(scene, from_here, TOLERANCE).sum() / np.pi))
    zoom = SIZE / (7.0 * max(reach, 1.0))
    close = magnified(scene, right.xy[0], zoom)
    middle = SIZE // 2
    limit = within(close, from_here, TOLERANCE).astype(np.uint8)
    outlines = cv2.findContours(limit, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
    seen = np.zeros(len(from_here), bool)
    seen[close.vertex[close.vertex >= 0]] = True
    off = np.where(seen & (from_here > 1.5 * TOLERANCE), np.abs(from_here - _OFF), np.inf)
    near = np.where(seen & (from_here <= TOLERANCE), np.abs(from_here - _NEAR), np.inf)
    if not outlines or not np.isfinite([off.min(), near.min()]).all():
        return None
    outline = cv2.approxPolyDP(max(outlines, key=cv2.contourArea), 1.0, True).reshape(-1, 2).astype(float)
    drawn = []
    for vertex in (int(off.argmin()), int(near.argmin())):
        place = project_points(scene.template.V[[vertex]], close.camera)[0][0]
        named = np.concatenate([[middle, middle], place])[None]
        point = _drawing(np.array([[middle, middle]]), np.array([vertex]))
        drawn.append(replace(point, named=named, outline=outline))
    return Example("close", close, replace(drawn[0], wrong=np.ones(1, bool)), drawn[1])


def _drawing(xy: Int[np.ndarray, "P 2"], vertex: Int[np.ndarray, " P"]) -> Drawing:
    return Drawing(xy, vertex, np.zeros(len(xy), bool), np.ones(len(xy), bool))


def _kept(drawing: Drawing, which: Bool[np.ndarray, " P"]) -> Drawing:
    return _drawing(drawing.xy[which], drawing.vertex[which])


def _joined(a: Drawing, b: Drawing) -> Drawing:
    return Drawing(
        *(
            np.concatenate([getattr(a, name), getattr(b, name)])
            for name in ("xy", "vertex", "wrong", "visible")
        )
    )


def _only(drawing: Drawing, index: int) -> Bool[np.ndarray, " P"]:
    return np.arange(len(drawing.xy)) == index
