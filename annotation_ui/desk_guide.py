"""The guideline page: rules in words, and good and bad examples drawn on the reviewer's own template."""

import base64
import io
from importlib.resources import files
from string import Template as Text

import numpy as np
from jaxtyping import Float, Int, UInt8
from PIL import Image

from densecorr.rendering.shading import shaded_image
from densecorr.templates.stored import Template

from .desk_guide_examples import Drawing, Example, guide_examples, right_points
from .desk_guide_scene import TOLERANCE, Scene, guide_scene, plain_scene

_PAD = 24  # pixels around what a figure shows
_DOT = 0.024  # radius of a point, a share of the figure's longer side

# Title, what to do, under the wrong picture, under the right one.
_WORDS = {
    "mirrored": (
        "Left and right swapped",
        "Every point wears the colour of the other side: press <kbd>M</kbd>, it mirrors all points.",
        "left for right throughout",
        "after <kbd>M</kbd>",
    ),
    "elsewhere": (
        "One point on the wrong part",
        "Click the point, then the right place on the template. (The line shows which place its colour names.)",
        "names a place on another part",
        "after the click on the template",
    ),
    "beside": (
        "A point off the object",
        "Press <kbd>D</kbd> to delete it, or drag it onto the place it names.",
        "on the background",
        "after <kbd>D</kbd>",
    ),
    "hidden": (
        "A point whose place is hidden",
        "It names a place on the far side, which the object itself hides here: press <kbd>⇧V</kbd>, not visible.",
        "shown as if it were in front",
        "after <kbd>⇧V</kbd>: crossed out",
    ),
    "region": (
        "A region of wrong points",
        "Press <kbd>B</kbd> and brush around them: all points inside are dropped at once.",
        "the brush's stroke in yellow",
        "after <kbd>B</kbd>",
    ),
    "close": (
        "How close is close enough?",
        "The line ends at the place that the point's colour names. If that is within the dashed limit ({tolerance}), "
        "let it pass; else click the right place on the template.",
        "too far off: mend it",
        "close enough: leave it",
    ),
}


def guide_page(template: Template) -> str:
    """The page for one template: HTML that needs nothing else; about a second."""
    scene = guide_scene(template)
    right = right_points(scene)
    tolerance = describe_tolerance(template)
    pictures = _draw_all(scene, right, guide_examples(scene, right), tolerance) if len(right.xy) else ""
    page = files("annotation_ui").joinpath("desk_guide.html").read_text(encoding="utf-8")
    return Text(page).substitute(pictures=pictures, tolerance=tolerance)


def describe_tolerance(template: Template) -> str:
    """How far a point may be off, in words."""
    length = TOLERANCE * template.diameter
    share = f"{TOLERANCE:.0%} of the longest way along the surface".replace("%", " %")
    if template.unit == "none":
        return share
    return f"{100 * length:.2g} cm, {share}"


def painted(scene: Scene) -> UInt8[np.ndarray, "H W 4"]:
    """Each pixel in the colour of the vertex that it shows, clear beside the object."""
    alpha = np.where(scene.vertex >= 0, 255, 0).astype(np.uint8)
    return np.dstack([np.where(alpha[..., None] > 0, scene.colors[scene.vertex], 0).astype(np.uint8), alpha])


def _grey(scene: Scene) -> UInt8[np.ndarray, "H W 4"]:
    """The object as a photograph shows it: its own grey under a light."""
    V, F = scene.template.V, scene.template.F
    towards = -scene.camera.R[2] + [0.0, 0.5, 0.0]
    shaded = shaded_image(scene.seen, V, F, light=towards)
    return np.dstack([shaded, np.where(scene.vertex >= 0, 255, 0).astype(np.uint8)])


def _draw_all(scene: Scene, right: Drawing, examples: list[Example], tolerance: str) -> str:
    front = plain_scene(scene.template)
    images = {"photo": _grey(scene), "front": painted(front), "true": painted(scene)}
    scenes = {"true": scene}
    for example in examples:
        if example.scene is not scene:
            scenes[example.name] = example.scene
            images[example.name] = painted(example.scene)
    shared = "".join(_image(name, image) for name, image in images.items())
    box, none = _box(scene, examples), _nothing(right)
    intro = [
        _figure("photo", scene, right, box, "a picture with points", ""),
        _figure("front", front, none, _box(front, []), "the template: find each colour again", ""),
        _figure(
            "true", scene, right, box, "the same in true colours: all right, <kbd>A</kbd> accepts", "good"
        ),
    ]
    cards = []
    for example in examples:
        title, what, bad, good = _WORDS[example.name]
        name = example.name if example.name in scenes else "true"
        own = box if example.scene is scene else np.array([0.0, 0.0, *example.scene.vertex.shape[::-1]])
        pair = _figure(name, example.scene, example.wrong, own, bad, "bad")
        pair += _figure(name, example.scene, example.right, own, good, "good")
        words = what.format(tolerance=tolerance)
        cards.append(
            f'<section class="card" data-example="{example.name}"><h3>{title}</h3><p>{words}</p>'
            f'<div class="pair">{pair}</div></section>'
        )
    return (
        f'<svg class="shared" aria-hidden="true"><defs>{shared}</defs></svg>\n<div class="row">{"".join(intro)}</div>\n'
        "<p>Below, too, the object is painted in its true colours, which a picture does not show: a right point blends "
        "in, a wrong one stands out. A red ring marks a single wrong point.</p>\n"
        f'<div class="cards">{"".join(cards)}</div>'
    )


def _nothing(drawing: Drawing) -> Drawing:
    none = slice(0, 0)
    return Drawing(drawing.xy[none], drawing.vertex[none], drawing.wrong[none], drawing.visible[none])


def _image(name: str, pixels: UInt8[np.ndarray, "H W 4"]) -> str:
    """A picture that figures name; pixel centres lie at integers."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", optimize=True)
    data = base64.b64encode(file.getvalue()).decode()
    height, width = pixels.shape[:2]
    return (
        f'<image id="{name}" x="-0.5" y="-0.5" width="{width}" height="{height}" '
        f'href="data:image/png;base64,{data}"/>'
    )


def _box(scene: Scene, examples: list[Example]) -> Float[np.ndarray, " 4"]:
    """x, y, width, height of the object and all points on its picture."""
    spots = [np.argwhere(scene.vertex >= 0)[:, ::-1]]
    spots += [example.wrong.xy for example in examples if example.scene is scene]
    spots += [example.wrong.outline for example in examples if example.scene is scene]
    low = np.min([spot.min(axis=0) for spot in spots if len(spot)], axis=0) - _PAD
    high = np.max([spot.max(axis=0) for spot in spots if len(spot)], axis=0) + _PAD
    return np.concatenate([low, high - low]).astype(float)


def _figure(
    picture: str,
    scene: Scene,
    drawing: Drawing,
    box: Float[np.ndarray, " 4"],
    words: str,
    kind: str,
) -> str:
    radius = float(_DOT * box[2:].max())
    marks = _path(drawing.outline, radius, "stroke" if drawing.wrong.sum() > 1 else "limit")
    marks += "".join(_line(named, radius) for named in drawing.named)
    ringed = drawing.wrong & (drawing.wrong.sum() == 1)
    rows = zip(drawing.xy, drawing.vertex, ringed, drawing.visible, strict=True)
    marks += "".join(
        _point(xy, scene.colors[v], bool(ring), bool(seen), radius) for xy, v, ring, seen in rows
    )
    view = " ".join(f"{value:.1f}" for value in box)
    return (
        f'<figure class="{kind}"><svg viewBox="{view}" role="img"><use href="#{picture}"/>{marks}</svg>'
        f"<figcaption>{words}</figcaption></figure>"
    )


def _point(
    xy: Int[np.ndarray, " 2"], color: UInt8[np.ndarray, " 3"], ringed: bool, visible: bool, radius: float
) -> str:
    """As the panel draws points: rimmed black and white, crossed out where not visible; a red ring if asked for."""
    x, y = (int(value) for value in xy)
    rgb = "rgb({}, {}, {})".format(*color.tolist())
    if not visible:
        cross = f'd="M{x - radius:.1f} {y + radius:.1f}L{x + radius:.1f} {y - radius:.1f}"'
        circle = f'cx="{x}" cy="{y}" r="{1.3 * radius:.2f}" fill="none"'
        return "".join(
            f'<circle {circle} stroke="{stroke}" stroke-width="{width * radius:.2f}"/>'
            f'<path {cross} stroke="{stroke}" stroke-width="{width * radius:.2f}"/>'
            for stroke, width in (("#000", 0.7), (rgb, 0.4))
        )
    rim = f'<circle cx="{x}" cy="{y}" r="{1.2 * radius:.2f}" fill="#000" fill-opacity="0.75"/>'
    dot = (
        f'<circle class="point" cx="{x}" cy="{y}" r="{radius:.2f}" fill="{rgb}" stroke="#fff" '
        f'stroke-width="{0.2 * radius:.2f}"/>'
    )
    ring = (
        f'<circle cx="{x}" cy="{y}" r="{1.9 * radius:.2f}" fill="none" stroke="#d62020" '
        f'stroke-width="{0.4 * radius:.2f}"/>'
    )
    return rim + dot + (ring if ringed else "")


def _line(named: Float[np.ndarray, " 4"], radius: float) -> str:
    """From a point to the place that its vertex has, a small square."""
    x, y, to_x, to_y = named
    path = f'd="M{x:.1f} {y:.1f}L{to_x:.1f} {to_y:.1f}"'
    half = 0.6 * radius
    square = f'x="{to_x - half:.1f}" y="{to_y - half:.1f}" width="{2 * half:.1f}" height="{2 * half:.1f}"'
    return "".join(
        f'<path {path} stroke="{stroke}" stroke-width="{width * radius:.2f}"/>'
        f'<rect {square} fill="#fff" stroke="{stroke}" stroke-width="{width * radius:.2f}"/>'
        for stroke, width in (("#000", 0.6), ("#fff", 0.3))
    )


def _path(corners: Float[np.ndarray, "c 2"], radius: float, kind: str) -> str:
    """A closed line: the brush's stroke in the panel's yellow, or a dashed limit."""
    if not len(corners):
        return ""
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in corners) + "Z"
    color, dashes = ("#ffd84d", "") if kind == "stroke" else ("#fff", f'stroke-dasharray="{radius:.1f}"')
    return (
        f'<path d="{path}" fill="none" stroke="#000" stroke-width="{0.6 * radius:.2f}"/>'
        f'<path d="{path}" fill="none" stroke="{color}" stroke-width="{0.3 * radius:.2f}" {dashes}/>'
    )
