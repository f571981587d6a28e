"""The queue: long lists, what comes after what, who holds what, and the end."""

import pytest

from tests.browser.panel_page import Panel

pytestmark = pytest.mark.browser
N_MANY = 10_000


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
        assert len(panel.rows()) < 60
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
    panel.look("(p.actions.undo(), p.actions.undo(), null)")  # at once: the skip, then the verdict
    panel.wait("p.session.item.instance_id === 'instance-00' && p.session.state.verdict === null")
    assert panel.text("queue-count") == "8 of 8 open · 8 listed"
    assert len(panel.rows()) == 8


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


def test_the_queue_shows_verdicts_and_leases(panel, desk):
    desk.leases["instance-02"] = "bob"
    panel.press("a").saved().press("q")
    panel.page.get_by_text("held by bob").wait_for()
    assert panel.rows()[0].startswith("✓")
    assert "held by bob" in panel.rows()[2]
    panel.press("a").saved()
    panel.wait("p.session.item.instance_id === 'instance-03'")
    panel.element("queue-row").nth(2).click()
    panel.wait("p.session.record.readOnly && !p.parts.message.hidden")
    assert "bob holds this instance" in panel.text("message")
    panel.press("m")
    assert "nothing was changed" in panel.text("message")
    assert desk.acts[-1]["instance_id"] == "instance-01"
