"""The queue: long lists, what comes after what, and what other reviewers decided."""

from typing import Any

import pytest

from tests.browser.panel_page import Panel

pytestmark = pytest.mark.browser
N_MANY = 10_000


def rows(panel: Panel) -> list[str]:
    return panel.element("queue-row").all_text_contents()


def in_sight(panel: Panel, row: str) -> bool:
    """Whether a row, as a CSS selector, lies within the list."""
    return panel.look(
        f"(() => {{ const r = p.queue.rows.querySelector('{row}')?.getBoundingClientRect(),"
        " l = p.queue.list.getBoundingClientRect();"
        " return Boolean(r && r.top >= l.top - 1 && r.bottom <= l.bottom + 1); })()"
    )


def test_ten_thousand_instances_are_reached_by_scroll_and_by_keyboard(desk, new_page):
    desk.instances = [f"instance-{i:02d}" for i in range(N_MANY)]
    page = new_page()
    page.goto(desk.url)
    panel = Panel(page).ready().press("q")
    assert panel.text("queue-count") == f"{N_MANY} of {N_MANY} open"
    for place, name in (
        (0.5, f"instance-{N_MANY // 2}"),
        (1.0, f"instance-{N_MANY - 1}"),
        (0.0, "instance-00"),
    ):
        panel.look(f"(p.queue.list.scrollTop = {place} * p.queue.list.scrollHeight, null)")
        panel.wait(f"p.queue.rows.textContent.includes('{name}')")
        assert len(rows(panel)) < 60
    panel.press("End", "ArrowUp")
    panel.wait(f"p.queue.rows.querySelector('.dc-at')?.title === 'instance-{N_MANY - 2}'")
    assert in_sight(panel, ".dc-at")
    panel.press("Enter")
    panel.wait(f"p.session.item.instance_id === 'instance-{N_MANY - 2}'")
    panel.press("a").saved()  # any other key is the panel's
    panel.wait(f"p.session.item.instance_id === 'instance-{N_MANY - 1}'")
    assert in_sight(panel, "[aria-current]")
    panel.press("a").saved()
    panel.wait("p.session.item.instance_id === 'instance-00'")  # from the start
    assert in_sight(panel, "[aria-current]")

    panel.page.get_by_label("find in the queue").fill("E-999")
    panel.wait("p.queue.rows.childElementCount === 11")
    panel.page.get_by_label("only open").check()
    panel.wait("p.queue.rows.childElementCount === 9")
    assert panel.text("queue-count") == f"{N_MANY - 2} of {N_MANY} open · 9 listed"
    panel.element("queue-row").last.click()
    panel.wait(f"p.session.item.instance_id === 'instance-{N_MANY - 3}'")


def test_the_arrows_are_the_points_again_after_any_other_key(panel, desk):
    panel.press("q", "ArrowDown", ".", "ArrowRight").saved()
    assert desk.acts[-1]["action"] == "move"
    panel.press("q")
    assert panel.look("document.activeElement === p.root")


def test_a_skipped_instance_comes_again_once_all_else_is_decided(desk, new_page):
    desk.instances = desk.instances[:3]
    page = new_page()
    page.goto(desk.url)
    panel = Panel(page).ready().press("s").saved()
    for name in ("instance-01", "instance-02"):
        panel.wait(f"p.session.item.instance_id === '{name}'")
        assert "1 of 3" in panel.text("rate") or "0 of 3" in panel.text("rate")
        panel.press("a").saved()
    panel.wait("p.session.item.instance_id === 'instance-00' && p.messageKind === 'remark'")
    assert "You skipped this one before" in panel.text("message")
    assert "2 of 3" in panel.text("rate")
    page.reload()
    panel.ready()
    assert panel.current() == "instance-00"
    panel.press("r").saved()
    assert "3 of 3" in panel.text("rate")
    assert "All 3 instances are decided" in panel.text("message")


def test_the_count_is_of_what_is_open_to_the_reviewer_whatever_is_listed(panel, desk):
    desk.leases["instance-05"] = "bob"
    panel.press("q", "a").saved()
    panel.wait("p.session.item.instance_id === 'instance-01'")
    panel.press("s").saved()
    panel.wait("p.session.item.instance_id === 'instance-02'")
    assert panel.text("queue-count") == "7 of 8 open"  # the skipped and the held one are
    panel.page.get_by_label("find in the queue").fill("e-00")
    assert panel.text("queue-count") == "7 of 8 open · 1 listed"
    panel.page.get_by_label("find in the queue").fill("")
    panel.page.get_by_label("only open").check()
    assert panel.text("queue-count") == "7 of 8 open · 7 listed"
    panel.press("z", "z").saved()  # as they are: the skip, then the verdict
    panel.wait("p.session.item.instance_id === 'instance-00' && p.session.state.verdict === null")
    assert panel.text("queue-count") == "8 of 8 open · 8 listed"
    assert len(rows(panel)) == 8


@pytest.fixture
def two(desk, new_page) -> Panel:
    """A queue of two."""
    desk.instances = desk.instances[:2]
    page = new_page()
    page.goto(desk.url)
    return Panel(page).ready()


def test_the_end_says_how_to_go_on_and_goes_away_with_an_undo(two, desk):
    two.press("a").saved()
    two.wait("p.session.item.instance_id === 'instance-01'")
    two.press("r").saved()
    two.wait("!p.parts.message.hidden")
    said = two.text("message")
    assert "All 2 instances are decided" in said
    assert "Ctrl-C in the terminal of `densecorr review open`" in said
    two.press("n")
    assert "All 2 instances are decided" in two.text("message")
    two.press("z").saved()
    two.wait("p.parts.message.hidden")
    two.press("r").saved()
    two.wait("!p.parts.message.hidden")
    two.page.reload()  # told again to who comes back
    two.ready()
    assert "All 2 instances are decided" in two.text("message")


def test_the_end_names_who_holds_the_rest_and_says_when_one_is_free(two, desk):
    desk.leases["instance-01"] = "bob"
    two.look("p.session.refreshQueue()")
    two.press("a").saved()
    two.wait("!p.parts.message.hidden")
    assert "bob holds 1 that you have not decided" in two.text("message")
    del desk.leases["instance-01"]
    two.look("p.session.refreshQueue()")
    assert two.text("message").startswith("An instance is free again: press N.")
    two.press("n")
    two.wait("p.session.item.instance_id === 'instance-01' && p.parts.message.hidden")


def test_the_end_says_that_the_one_shown_was_skipped(two, desk):
    two.press("a").saved()
    two.wait("p.session.item.instance_id === 'instance-01'")
    two.press("s").saved()
    two.wait("!p.parts.message.hidden")
    assert "Only this one is left to you; you skipped it" in two.text("message")


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
    assert "bob •" in rows(panel)[0]
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
    assert "bob ✓" in rows(panel)[0]
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
