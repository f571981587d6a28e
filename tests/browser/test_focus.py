"""Where keys go: after a click, beside a form field, when what had the focus goes away, when they are held."""

from typing import Any

import pytest

from tests.browser.panel_page import Panel

pytestmark = pytest.mark.browser
FOCUS_INSIDE = "p.root.contains(document.activeElement)"


def test_keys_work_after_the_click_that_lists_only_open_instances(panel: Panel, desk: Any):
    panel.press("q")
    panel.page.get_by_label("only open").click()
    panel.press("Space")  # the box's own key
    assert not panel.page.get_by_label("only open").is_checked()
    panel.press("a").saved()
    assert [act["action"] for act in desk.acts] == ["accept"]


def test_escape_in_the_field_of_a_reason_closes_the_sheet(panel: Panel, desk: Any):
    panel.press("b", "u")
    panel.page.get_by_label("another reason").fill("hm")
    panel.press("Escape")
    assert panel.look("p.dialogs.open") is None
    assert panel.look("p.toolUse") == "region"  # one Escape leaves one thing
    panel.press("Escape", "u", "1").saved()
    assert [act["reason"] for act in desk.acts] == ["left and right swapped"]


def test_a_button_that_goes_away_leaves_the_focus_to_the_panel(panel: Panel, desk: Any):
    desk.others["instance-00"] = [
        {"reviewer": "bob", "verdict": {"action": "accept", "reason": ""}, "points": {"0": None}, "added": []}
    ]
    panel.press("a").saved()
    panel.wait("p.session.item.instance_id === 'instance-01'")
    panel.press("p")
    panel.wait("p.others.found.length === 1")
    panel.element("others").click()
    panel.look("(p.select(0), null)")
    panel.wait("!p.parts.suggestion.hidden")
    panel.element("suggestion").click()  # takes it: the point is gone, and the suggestion with it
    panel.wait("p.parts.suggestion.hidden")
    panel.page.wait_for_timeout(100)
    assert panel.look(FOCUS_INSIDE)
    desk.others.clear()
    panel.element("others").focus()
    panel.press("z", "z").saved()
    panel.wait("p.parts.others.hidden")
    panel.page.wait_for_timeout(100)
    assert panel.look(FOCUS_INSIDE)
    panel.look("(p.select(3), null)")
    panel.element("rejectPoint").click()  # the buttons of a point are off without one
    panel.page.wait_for_timeout(100)
    panel.press("z").saved()
    assert panel.point(3) is not None


def hold(panel: Panel, key: str, n_times: int) -> None:
    """A key is held, and repeated as a keyboard does."""
    for _ in range(n_times):
        panel.page.keyboard.down(key)
        panel.page.wait_for_timeout(100)
    panel.page.keyboard.up(key)
    panel.saved()


def test_a_verdict_key_that_is_held_judges_one_instance(panel: Panel, desk: Any):
    hold(panel, "a", 6)
    assert [act["instance_id"] for act in desk.acts] == ["instance-00"]
    panel.press("a").saved()
    assert len(desk.acts) == 2


def test_the_list_names_the_row_that_the_arrows_are_at(panel: Panel):
    active = "document.getElementById(p.queue.list.getAttribute('aria-activedescendant'))?.title"
    panel.press("q", "ArrowDown", "ArrowDown")
    assert panel.look(active) == "instance-02"
    assert panel.look(
        "p.queue.list.getAttribute('role') === 'listbox' && document.activeElement === p.queue.list"
    )
    panel.look("(p.status(), null)")
    assert panel.look(active) == "instance-02"


def test_a_row_that_is_drawn_anew_under_the_pointer_is_still_clicked(panel: Panel):
    panel.press("q")
    box = panel.element("queue-row").nth(3).bounding_box()
    panel.page.mouse.move(box["x"] + 40, box["y"] + 12)
    panel.page.mouse.down()
    panel.look("(p.status(), null)")  # an act was stored, others decided
    panel.page.mouse.up()
    panel.wait("p.session.item.instance_id === 'instance-03'")


def test_enter_after_a_click_on_a_button_is_for_the_suggestion_and_not_for_the_button(
    panel: Panel, desk: Any
):
    panel.element("accept").click()
    panel.saved().wait("p.session.item.instance_id === 'instance-01'")
    panel.press("Enter", "Space").saved()  # nothing is suggested, and nothing is under the cursor
    assert [act["action"] for act in desk.acts] == ["accept"]
    panel.press(*"......")
    panel.wait("!p.parts.suggestion.hidden")
    panel.element("togglePoints").click()
    panel.press("Enter").saved()
    assert [act["action"] for act in desk.acts] == ["accept", "assign"]
    assert not panel.look("p.image.pointsShown")


def test_a_button_that_the_tab_key_reached_is_pressed_once_however_long_enter_is_held(
    panel: Panel, desk: Any
):
    panel.element("accept").focus()
    hold(panel, "Enter", 4)
    assert [act["instance_id"] for act in desk.acts] == ["instance-00"]


def test_a_double_click_on_a_verdict_judges_one_instance(panel: Panel, desk: Any):
    panel.wait("p.session.instances.ready.has('instance-01')")
    panel.element("reject").dblclick(delay=30)
    panel.saved().wait("p.session.item.instance_id === 'instance-01'")
    panel.page.wait_for_timeout(100)
    assert [act["instance_id"] for act in desk.acts] == ["instance-00"]
    panel.element("mirror").dblclick(delay=30)
    panel.element("undo").dblclick(delay=30)  # other buttons may be pressed as fast as one likes
    panel.saved().wait("p.session.item.instance_id === 'instance-00'")
    assert [act["action"] for act in desk.acts] == ["reject", "mirror", "undo", "undo"]


@pytest.mark.parametrize(("key", "action"), [("Shift+A", "accept"), ("Shift+S", "skip"), ("m", "mirror")])
def test_a_key_that_is_held_judges_one_point_and_mirrors_once(panel: Panel, desk: Any, key: str, action: str):
    panel.press(".")
    *modifiers, letter = key.split("+")
    for down in (*modifiers, letter, letter, letter):
        panel.page.keyboard.down(down)
    for up in (letter, *modifiers):
        panel.page.keyboard.up(up)
    panel.saved()
    assert [act["action"] for act in desk.acts] == [action]
