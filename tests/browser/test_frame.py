"""What the panel stands: its tab is left while it loads, acts come too early, its room changes."""

import pytest

from tests.browser.panel_page import Panel

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("asked", ["review_open", "review_history", "review_instance"])
def test_a_panel_left_while_it_loads_holds_nothing(desk, new_page, asked):
    desk.delays[asked] = 1.0
    page = new_page()
    page.goto(desk.url)
    while asked not in desk.calls:
        page.wait_for_timeout(50)
    page.evaluate("() => { window.left = window.densecorrReview.panel; left.close(); }")
    n_calls = len(desk.calls)
    page.wait_for_timeout(1800)
    assert desk.leases == {}
    assert set(desk.calls[n_calls:]) <= {"review_history", "review_release"}
    assert page.evaluate("window.densecorrReview === undefined")


def test_hands_that_are_faster_than_the_first_instance_do_nothing(desk, new_page):
    desk.delays["review_instance"] = 1.5
    page = new_page()
    page.goto(desk.url)
    panel = Panel(page)
    page.get_by_test_id("view-front").wait_for()  # the template is there, the instance is not
    box = panel.element("main").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=3)
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    panel.look("p.takeFocus()")
    panel.press("m", ".", "d", "a", "z", "b", "e", "Space")
    assert panel.look("p.session.state") is None
    panel.ready()
    assert panel.element("message").is_hidden()
    assert desk.acts == []


def test_a_zoom_stays_when_the_room_changes_and_a_fitted_picture_is_fitted_again(panel: Panel):
    fitted = panel.look("p.image.place")
    panel.press("+", "+")
    zoomed = panel.look("p.image.place")
    panel.press("q")
    panel.page.wait_for_timeout(300)
    assert panel.look("p.image.place") == zoomed
    panel.press("0", "q")
    panel.wait(f"p.image.place.x === {fitted['x']}")
    assert panel.look("p.image.place") == fitted


@pytest.mark.parametrize(("width", "height"), [(1366, 768), (900, 1100)])
def test_no_button_lies_over_a_picture_that_is_fitted(desk, new_page, width, height):
    page = new_page(width, height)
    page.goto(desk.url)
    panel = Panel(page).ready()
    x0, y0, x1, y1 = panel.look("p.session.item.image.crop")
    for x in (x0, (x0 + x1) / 2, x1 - 1):
        for y in (y0, y1 - 1):
            at = panel.on_screen(x, y)
            assert page.evaluate("(at) => document.elementFromPoint(...at).dataset.testid", at) == "above"


@pytest.mark.parametrize("key", ["a", "d"])
def test_a_point_that_a_key_takes_away_while_it_is_dragged_is_not_moved(panel: Panel, desk, key):
    panel.click_point(3)
    panel.wait("p.session.instances.ready.has('instance-01')")
    point = panel.point(3)
    panel.page.mouse.move(*panel.on_screen(point["x"], point["y"]))
    panel.page.mouse.down()
    panel.page.mouse.move(*panel.on_screen(point["x"] + 20, point["y"] + 9), steps=5)
    panel.press(key).saved()
    if key == "a":
        panel.wait("p.session.item.instance_id === 'instance-01'")  # which has a point 3 as well
    panel.page.mouse.move(*panel.on_screen(point["x"] + 25, point["y"] + 9))
    panel.page.mouse.up()
    panel.saved()
    assert panel.look("p.image.drag") is None
    assert [act["action"] for act in desk.acts] == [{"a": "accept", "d": "delete"}[key]]


@pytest.mark.parametrize("keys", [["Escape"], ["Escape", "Escape"], ["b"], ["b", "b"]])
def test_a_stroke_is_taken_back_and_a_tool_changed_while_the_button_is_held(panel: Panel, desk, keys):
    panel.press("b")
    x, y = panel.on_screen(60, 60)
    panel.page.mouse.move(x, y)
    panel.page.mouse.down()
    panel.page.mouse.move(x + 30, y, steps=3)
    panel.press(*keys)
    panel.page.mouse.move(x + 30, y + 30, steps=3)
    panel.page.mouse.up()
    assert desk.acts == []  # and the page complained of nothing


def test_a_picture_without_room_is_small_and_not_upside_down(panel: Panel):
    panel.page.set_viewport_size({"width": 500, "height": 200})
    panel.page.wait_for_timeout(300)
    assert panel.look("p.image.place.scale") > 0
    panel.page.set_viewport_size({"width": 1366, "height": 768})
    panel.wait("p.image.place.scale > 0.2")
