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
