"""The template's view: what is seen of it, and when it turns."""

from typing import Any

import pytest

from tests.browser.panel_page import Panel

pytestmark = pytest.mark.browser


def test_the_rasteriser_finds_the_vertex_under_a_pixel(panel):
    vertices = [p["vertex"] for p in panel.look("[...p.session.state.points.values()]")]
    found = panel.look(
        f"{vertices}.map((v) => {{ const r = p.template.main.raster, at = r.place(v);"
        " return at.seen ? [v, r.pick(at.x, at.y, 8)] : null; }).filter(Boolean)"
    )
    assert len(found) > 20
    V = panel.look("[...p.mesh.vertices]")
    for vertex, picked in found:
        gap = sum((V[3 * vertex + k] - V[3 * picked + k]) ** 2 for k in range(3)) ** 0.5
        assert gap < 0.02


VIEW = "p.template.main.view"
# Of the present view: how far a vertex faces the viewer, as a cosine, and whether it is drawn as seen.
FACING = (
    "const m = p.template.main, { yaw, pitch } = m.view, n = m.mesh.normals; if (m.stale) m.draw();"
    " const t = [Math.cos(pitch) * Math.sin(yaw), Math.sin(pitch), Math.cos(pitch) * Math.cos(yaw)];"
    " const facing = (v) => t[0] * n[3 * v] + t[1] * n[3 * v + 1] + t[2] * n[3 * v + 2];"
    " const vertexOf = (id) => p.session.state.points.get(id).vertex;"
)


def of_view(panel: Panel, expression: str) -> Any:
    """An expression of `m`, the turned view, of `facing(vertex)` and `vertexOf(id)`."""
    return panel.look(f"(() => {{ {FACING} return {expression}; }})()")


def sees(panel: Panel, point_id: int) -> bool:
    return of_view(panel, f"m.placeOf(vertexOf({point_id})).seen")


def drag_template(panel: Panel, dx: int, dy: int) -> None:
    box = panel.element("main").bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    panel.page.mouse.move(*middle)
    panel.page.mouse.down()
    panel.page.mouse.move(middle[0] + dx, middle[1] + dy, steps=4)
    panel.page.mouse.up()


def test_a_chosen_view_stays_for_a_point_in_sight_and_comes_back_after_one_that_was_not(panel):
    panel.press("3")
    drag_template(panel, 30, 15)
    chosen = panel.look(f"({{ ...{VIEW} }})")
    ids = "[...p.session.state.points.keys()]"
    seen = of_view(panel, f"{ids}.filter((id) => facing(vertexOf(id)) > 0.5 && m.placeOf(vertexOf(id)).seen)")
    hidden = of_view(panel, f"{ids}.filter((id) => facing(vertexOf(id)) < -0.3)")
    panel.look(f"p.select({seen[0]})")
    assert panel.look(VIEW) == chosen
    panel.look(f"p.select({hidden[0]})")
    assert panel.look(VIEW) != chosen
    assert sees(panel, hidden[0])
    gone = of_view(panel, f"{seen}.filter((id) => facing(vertexOf(id)) < -0.2)")
    panel.look(
        f"p.select({gone[0]})"
    )  # not in sight where the template was turned to, but in the chosen view
    assert panel.look(VIEW) == chosen


def test_a_vertex_beside_the_zoomed_template_is_shifted_into_sight(panel):
    panel.look("p.template.main.turn({ zoom: 6, panX: 0, panY: 1100 })")  # the head
    foot = of_view(
        panel,
        "[...p.session.state.points.keys()].filter((id) => facing(vertexOf(id)) > 0.6)"
        ".sort((a, b) => m.mesh.vertices[3 * vertexOf(a) + 1] - m.mesh.vertices[3 * vertexOf(b) + 1])[0]",
    )
    assert not sees(panel, foot)
    panel.look(f"p.select({foot})")
    assert sees(panel, foot)
    assert panel.look(f"[{VIEW}.yaw, {VIEW}.pitch, {VIEW}.zoom]") == [0, 0, 6]


def test_what_faces_away_is_not_in_sight_even_beside_the_outline(panel):
    vertices = "[...Array(p.mesh.count).keys()]"
    assert of_view(panel, f"{vertices}.filter((v) => facing(v) < -0.2 && m.placeOf(v).seen)") == []


def test_drag_turns_the_template_and_a_canonical_view_turns_it_back(panel):
    drag_template(panel, 80, 20)
    assert panel.look("p.template.main.view.yaw") < -0.5
    panel.element("view-back").click()
    assert panel.look("p.template.main.view.yaw") == pytest.approx(3.1416, abs=1e-3)
    panel.press("1")
    assert panel.look("p.template.main.view.yaw") == 0
