"""What other reviewers decided: when it is shown, asked for again, and taken over."""

from typing import Any

import pytest

from tests.browser.fake_desk import fault
from tests.browser.panel_page import Panel

pytestmark = pytest.mark.browser


def bobs(panel: Panel) -> list[dict[str, Any]]:
    """Bob accepted, with one point elsewhere and one deleted."""
    one = panel.point(0) | {"x": panel.point(0)["x"] + 20, "vertex": 3}
    return [
        {
            "reviewer": "bob",
            "verdict": {"action": "accept", "reason": ""},
            "points": {"0": one, "7": None},
            "added": [],
        }
    ]


def compare(panel: Panel) -> None:
    """Decide on the first instance, come back to it, and lay bob's points over one's own."""
    panel.press("a").saved()
    panel.wait("p.session.item.instance_id === 'instance-01'")
    panel.press("p")
    panel.wait("p.others.found.length === 1")
    panel.press("c")


def test_what_others_decided_is_shown_once_one_has_decided_oneself(panel, desk):
    desk.others["instance-00"] = bobs(panel)
    panel.press("q")
    panel.wait("p.queue.rows.textContent.includes('bob')")
    assert "bob •" in panel.rows()[0]
    assert panel.text("others") == "bob decided"
    panel.press("c")
    assert "shown once you did" in panel.text("message")
    panel.press("s").saved()
    panel.wait("p.session.item.instance_id === 'instance-01'")
    panel.press("p")
    panel.wait("p.session.item.instance_id === 'instance-00'")
    assert panel.text("others") == "bob decided"  # to skip is not to decide
    assert "review_others" not in desk.calls
    panel.press("a").saved()
    panel.wait("p.session.item.instance_id === 'instance-01'")
    assert "bob ✓" in panel.rows()[0]
    panel.press("p")
    panel.wait("p.parts.others.textContent === 'bob accepted, 2 points changed'")
    panel.press("z").saved()  # open again: blind again
    panel.wait("p.parts.others.textContent === 'bob decided'")


def test_another_reviewers_points_are_looked_at_and_taken_over(panel, desk):
    desk.others["instance-00"] = bobs(panel)
    compare(panel)
    assert panel.look("[...p.image.scene.theirs.keys()]") == [0, 7]
    panel.press(".")
    assert "bob: vertex 3" in panel.text("suggestion")
    panel.press("Enter").saved()
    assert (desk.acts[-1]["action"], desk.acts[-1]["point_id"]) == ("assign", 0)
    assert panel.point(0) == desk.others["instance-00"][0]["points"]["0"]
    panel.look("p.select(7)")
    assert "bob: deleted" in panel.text("suggestion")
    panel.press("Enter").saved()
    assert panel.point(7) is None
    assert panel.look("p.image.scene.theirs.size") == 0
    panel.press("c")
    assert "Only your points" in panel.text("message")


def test_points_that_another_reviewer_added_are_taken_over(panel, desk):
    first, second = (
        {"x": x, "y": 60.0, "vertex": vertex, "visible": True} for x, vertex in ((60.0, 3), (90.0, 4))
    )
    bob = bobs(panel)[0] | {"points": {}, "added": [first, second]}
    desk.others["instance-00"] = [bob]
    panel.press(".").look("p.actions.addPoint(70, 90)")  # one's own new point, 48; theirs were 48 and 49
    panel.saved()
    own = panel.point(48)
    panel.press("Escape")
    compare(panel)
    assert panel.text("others") == "bob accepted, 2 points changed"

    before = panel.on_screen(first["x"], first["y"])
    panel.page.mouse.move(*before)
    panel.page.mouse.down()
    panel.page.mouse.move(before[0] + 2, before[1])
    panel.page.mouse.up()
    panel.wait("p.selected === '+0'")
    assert "bob: a point at vertex 3" in panel.text("suggestion")
    assert panel.element("acceptPoint").is_disabled()
    panel.press("d", "Shift+R", "ArrowUp", "Shift+A")  # theirs is not one's own to change
    assert "Select a point first" in panel.text("message")
    panel.press("Enter").saved()
    assert (desk.acts[-1]["action"], desk.acts[-1]["point_id"]) == ("add", 49)
    assert panel.point(49) == first
    assert panel.point(48) == own
    assert panel.look("[p.selected, ...p.image.scene.theirs.keys()]") == [49, "+1"]

    panel.press(".")  # by keyboard: after one's own
    assert panel.look("p.selected") == "+1"
    panel.press("Enter").saved()
    assert panel.point(50) == second
    assert panel.look("p.image.scene.theirs.size") == 0
    panel.press("z").saved()
    assert panel.point(50) is None
    assert panel.look("[...p.image.scene.theirs.keys()]") == ["+1"]


def test_a_point_that_one_deleted_comes_back_as_another_reviewer_has_it(panel, desk):
    desk.others["instance-00"] = bobs(panel)
    panel.look("p.select(0)")
    panel.press("d").saved()
    compare(panel)
    panel.look("p.select(0)")
    panel.press("Enter").saved()
    assert panel.point(0) == desk.others["instance-00"][0]["points"]["0"]
    assert desk.acts[-1]["point_id"] == 0


def test_suggestions_for_all_points_are_asked_for_while_points_are_compared(panel, desk):
    desk.others["instance-00"] = bobs(panel)
    compare(panel)
    panel.look("(p.suggestions.found.set(0, null), p.suggestions.found.set(7, null), null)")  # asked: none
    panel.press("g")
    panel.wait("p.parts.message.textContent.includes('suggestions. Enter takes one')")


def fail_to_ask(panel: Panel, desk: Any) -> None:
    """Decide on the first instance, and come back to it while the desk cannot say what others decided."""
    desk.others["instance-00"] = bobs(panel)
    desk.errors["review_others"] = fault("database")
    panel.press("a").saved()
    panel.wait("p.session.item.instance_id === 'instance-01'")
    panel.press("p")
    panel.wait("p.session.item.instance_id === 'instance-00' && p.others.failed")


def test_what_failed_is_asked_for_again_once_the_desk_answers(panel, desk):
    fail_to_ask(panel, desk)
    n_asked = desk.calls.count("review_others")
    panel.look("([...Array(20)].forEach(() => p.status()), null)")  # drawing asks for nothing
    panel.page.wait_for_timeout(300)
    assert desk.calls.count("review_others") == n_asked
    panel.look("p.session.refreshQueue()")  # answered: one try more, in vain
    panel.wait("p.others.failed")
    assert desk.calls.count("review_others") == n_asked + 1
    desk.errors.clear()
    panel.look("p.session.refreshQueue()")
    panel.wait("p.parts.others.textContent === 'bob accepted, 2 points changed'")
    panel.look("p.session.refreshQueue()")
    panel.page.wait_for_timeout(300)
    assert desk.calls.count("review_others") == n_asked + 2


def test_what_failed_is_asked_for_again_once_an_act_is_stored(panel, desk):
    fail_to_ask(panel, desk)
    desk.errors.clear()
    panel.press("m").saved()
    panel.wait("p.parts.others.textContent === 'bob accepted, 2 points changed'")


def test_enter_takes_theirs_and_nothing_else_while_points_are_compared(panel, desk):
    desk.others["instance-00"] = bobs(panel)
    compare(panel)
    panel.look(
        "(p.suggestions.found.set(5, {point_id: 5, vertex: 1, why: 'neighbours', confidence: 1}), p.select(5), null)"
    )
    panel.press("Enter").saved()
    assert [act["action"] for act in desk.acts] == ["accept"]
    panel.press("g")
    panel.wait("p.others.at < 0 && p.suggestions.of(p.selected) !== null")
    panel.press("Enter").saved()
    assert [act["action"] for act in desk.acts] == ["accept", "assign"]
