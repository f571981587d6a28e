import base64
import io
import re
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import annotation_ui
from annotation_ui.desk import Desk
from annotation_ui.desk_guide import describe_tolerance, guide_page
from annotation_ui.desk_guide_examples import Example, guide_examples, right_points
from annotation_ui.desk_guide_scene import TOLERANCE, guide_scene
from densecorr.rendering.cameras import project_points
from densecorr.templates import TemplateSettings, build_template, load_catalog_mesh
from densecorr.templates.stored import Template, geodesic_rows
from tests.annotation_ui.review_world import ball

ALL = ["mirrored", "elsewhere", "beside", "hidden", "region", "close"]
SHAPES = ["body", "quadruped", "ball"]


@cache
def template_of(name: str) -> Template:
    V, F = ball() if name == "ball" else load_catalog_mesh(name)
    return build_template(V, F, f"{name}-v1", TemplateSettings(n_eigenpairs=4, n_coarse=20))


@cache
def page_of(name: str) -> str:
    return guide_page(template_of(name))


@cache
def examples_of(name: str) -> dict[str, Example]:
    scene = guide_scene(template_of(name))
    return {example.name: example for example in guide_examples(scene, right_points(scene))}


def without_sides(name: str) -> Template:
    template = template_of(name)
    return replace(template, mirror=np.arange(len(template.V)))


def pictures(page: str) -> dict[str, np.ndarray]:
    """The page's pictures by name, as a browser shows them."""
    found = re.findall(r'<image id="(\w+)"[^>]*href="data:image/png;base64,([^"]+)"', page)
    return {name: np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))) for name, data in found}


def figures(page: str) -> list[tuple[str, str, list[tuple[int, int, tuple[int, ...]]]]]:
    """Of each figure: good, bad or neither; its picture; the place and the colour of each point."""
    found = []
    for kind, inside in re.findall(r'<figure class="(\w*)">(.*?)</figure>', page, re.DOTALL):
        points = re.findall(
            r'class="point" cx="(\d+)" cy="(\d+)" r="[^"]+" fill="rgb\((\d+), (\d+), (\d+)\)"', inside
        )
        rows = [(int(x), int(y), (int(r), int(g), int(b))) for x, y, r, g, b in points]
        found.append((kind, re.findall(r'href="#(\w+)"', inside)[0], rows))
    return found


@pytest.mark.parametrize("name", SHAPES)
def test_right_points_have_the_colour_of_the_surface_under_them(name: str) -> None:
    images = pictures(page_of(name))
    good = [
        (picture, point)
        for kind, picture, points in figures(page_of(name))
        if (kind, picture) == ("good", "true")
        for point in points
    ]
    assert len(good) > 60
    assert all(tuple(images[picture][y, x]) == (*color, 255) for picture, (x, y, color) in good)


@pytest.mark.parametrize("name", SHAPES)
def test_each_bad_picture_shows_its_mistake_and_nothing_else(name: str) -> None:
    images = pictures(page_of(name))
    bad = [(picture, points) for kind, picture, points in figures(page_of(name)) if kind == "bad"]
    off = [
        sum(
            bool(np.abs(images[picture][y, x] - np.array([*color, 255])).max() > 60) for x, y, color in points
        )
        for picture, points in bad
    ]
    wrong = [int(example.wrong.wrong.sum()) for example in examples_of(name).values()]
    assert off[:-1] == wrong[:-1]
    assert wrong[1:4] == [1, 1, 1]
    assert wrong[0] == len(bad[0][1]) >= 8
    assert wrong[4] >= 3


@pytest.mark.parametrize("name", SHAPES)
def test_remedies_are_those_of_the_keys(name: str) -> None:
    template, examples = template_of(name), examples_of(name)
    assert list(examples) == ALL
    mirrored = examples["mirrored"]
    np.testing.assert_array_equal(template.mirror[mirrored.right.vertex], mirrored.wrong.vertex)
    for key in ("beside", "region"):  # deleted, dropped: what was right stays
        wrong, right = examples[key].wrong, examples[key].right
        np.testing.assert_array_equal(wrong.xy[~wrong.wrong], right.xy)
        np.testing.assert_array_equal(wrong.vertex[~wrong.wrong], right.vertex)
    beside = examples["beside"]
    x, y = beside.wrong.xy[beside.wrong.wrong][0]
    assert beside.scene.vertex[y, x] == -1


@pytest.mark.parametrize("name", SHAPES)
def test_the_hidden_point_is_where_its_place_is_but_behind(name: str) -> None:
    example = examples_of(name)["hidden"]
    wrong, right = example.wrong, example.right
    vertex, (x, y) = wrong.vertex[wrong.wrong], wrong.xy[wrong.wrong][0]
    place, depth = project_points(template_of(name).V[vertex], example.scene.camera)
    assert np.abs(place[0] - [x, y]).max() <= 0.5
    assert depth[0] > example.scene.seen.depth[y, x] + 0.02 * template_of(name).diameter
    np.testing.assert_array_equal(right.visible, ~wrong.wrong)


@pytest.mark.parametrize("name", SHAPES)
def test_the_limit_is_where_the_tolerance_is(name: str) -> None:
    template, example = template_of(name), examples_of(name)["close"]
    x, y = example.wrong.xy[0]
    here = int(example.scene.vertex[y, x])
    shares = geodesic_rows(template, [here])[0] / template.diameter
    assert shares[example.right.vertex[0]] <= TOLERANCE + 0.005 < shares[example.wrong.vertex[0]]
    under = [int(example.scene.vertex[round(v), round(u)]) for u, v in example.wrong.outline]
    assert np.abs(shares[under] - TOLERANCE).max() < (
        0.03 if name == "ball" else 0.01
    )  # a coarse mesh's edge
    for drawing in (example.wrong, example.right):  # the line ends where the vertex is
        place, _ = project_points(template.V[drawing.vertex], example.scene.camera)
        np.testing.assert_allclose(drawing.named[0, 2:], place[0], atol=1e-6)


def test_a_template_without_sides_is_not_mirrored() -> None:
    page = guide_page(without_sides("quadruped"))
    assert re.findall('data-example="(.*?)"', page) == ALL[1:]
    assert "<kbd>M</kbd>" not in page


def test_a_surface_too_thin_to_see_has_the_words_alone() -> None:
    V, F = ball()
    page = guide_page(replace(template_of("ball"), V=V * [1.0, 1e-4, 1e-4], F=F))
    assert "<h2>Verdicts</h2>" in page
    assert "<svg" not in page


@pytest.mark.parametrize("name", SHAPES)
def test_the_page_needs_nothing_else_and_is_small(name: str) -> None:
    page = page_of(name)
    links = re.findall(r'(?:href|src)="([^"]{0,30})', page) + re.findall(r"url\(([^)]*)", page)
    assert links
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in links)
    assert "://" not in page
    assert "<script" not in page
    assert "$" not in page
    assert len(page) < 600_000


def test_its_keys_are_the_panels() -> None:
    table = (Path(annotation_ui.__file__).parent / "plugin" / "keys.js").read_text(encoding="utf-8")
    keys = {row[2]: row[1] for row in re.findall(r'\["(.*?)", "(.*?)", "(.*?)", "', table)}
    used = set(re.findall("<kbd>(.*?)</kbd>", page_of("body")))
    actions = [
        "mirror",
        "delete",
        "hidePoint",
        "region",
        "accept",
        "reject",
        "unsure",
        "skip",
        "hideInstance",
        "undo",
    ]
    assert {keys[key] for key in used} == set(actions)


def test_the_tolerance_is_told_in_the_templates_unit() -> None:
    body = template_of("body")
    assert describe_tolerance(body).startswith(f"{3 * body.diameter:.2g} cm, 3 %")
    assert describe_tolerance(replace(body, unit="none")).startswith("3 % of")


def test_the_desk_makes_it_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    first = desk.review_guide()["html"]
    monkeypatch.setattr("annotation_ui.desk.guide_page", lambda template: pytest.fail("made again"))
    assert desk.review_guide()["html"] == first
    assert "data-example" in first
