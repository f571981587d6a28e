"""Annotating from scratch: outlines go to the desk, the points it spreads become one act."""

import pytest

from densecorr.review.protocol import spread_over_parts
from tests.browser.fake_desk import fault
from tests.browser.fake_scene import SIZE
from tests.browser.panel_page import Panel

pytestmark = pytest.mark.browser

LARGE = [(150, 180), (270, 180), (270, 340), (150, 340)]
SMALL = [(190, 60), (230, 60), (230, 100), (190, 100)]


def outline(panel: Panel, part: str, corners: list[tuple[int, int]]) -> None:
    panel.page.get_by_test_id("part-choice").select_option(part)
    panel.page.mouse.move(*panel.on_screen(*corners[0]))
    panel.page.mouse.down()
    for corner in corners[1:]:
        panel.page.mouse.move(*panel.on_screen(*corner), steps=6)
    panel.page.mouse.up()
    panel.saved()


def test_points_come_from_the_desk_at_most_fourteen_a_part(panel, desk):
    desk.points = []
    panel.page.reload()
    panel.ready().press("l")
    outline(panel, "trunk", LARGE)
    panel.press("Enter")
    panel.wait("p.session.state.points.size === 14")
    panel.saved()
    parts = desk.acts[0]["after"]["parts"]
    expected = spread_over_parts(parts, SIZE[1], SIZE[0]).xy.tolist()
    assert [[p["x"], p["y"]] for p in desk.acts[-1]["after"]["points"].values()] == expected

    outline(panel, "head", SMALL)  # a smaller part has fewer; nothing is added to the larger one
    panel.press("Enter")
    panel.wait("p.session.state.points.size > 14")
    panel.saved()
    added = desk.acts[-1]["after"]["points"]
    assert 1 <= len(added) < 6
    assert list(added) == [str(14 + k) for k in range(len(added))]
    assert all(190 <= p["x"] <= 230 and 60 <= p["y"] <= 100 for p in added.values())

    n_acts = len(desk.acts)
    panel.press("Enter")  # they are all there
    panel.wait("p.selected !== null")
    panel.page.wait_for_timeout(300)
    assert len(desk.acts) == n_acts


def test_a_desk_that_cannot_spread_says_why_and_nothing_is_lost(panel, desk):
    panel.press("l")
    outline(panel, "trunk", LARGE)
    desk.errors["review_spread"] = fault("input", "a polygon")
    n_acts = len(desk.acts)
    panel.press("Enter")
    panel.wait("!p.parts.message.hidden")
    assert "a polygon" in panel.text("message")
    assert len(desk.acts) == n_acts


def test_a_corrected_mask_is_the_outline_and_no_part(panel, desk):
    """What another tool made of the object's mask is drawn in place of the data set's, and undo takes it back."""
    drawn = """(() => {
      const [seen, draw] = [[], p.image.drawPolygon];
      p.image.drawPolygon = (context, polygon, style) => seen.push([polygon, Boolean(style.dashes)]);
      p.image.draw();
      p.image.drawPolygon = draw;
      return seen;
    })()"""
    before = panel.look(drawn)
    mask = [float(value) for corner in LARGE for value in corner]
    panel.look(f"p.session.do('delineate', {{ parts: {{ object: [{mask}] }} }})")
    panel.wait("p.session.state.parts.object")
    panel.saved()
    assert panel.look(drawn) == [[mask, True]]
    panel.page.reload()
    panel.ready().wait("p.session.state.parts.object")
    assert panel.look(drawn) == [[mask, True]]
    panel.press("l")
    assert "object" not in panel.text("part-choice")
    panel.press("l", "z")
    panel.wait("!p.session.state.parts.object")
    panel.saved()
    assert panel.look(drawn) == before
    assert [act["action"] for act in desk.acts] == ["delineate", "undo"]
