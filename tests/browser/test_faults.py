"""What the panel does when something is wrong: it says so, and loses nothing."""

import pytest

from tests.browser.fake_desk import fault
from tests.browser.panel_page import Panel

pytestmark = pytest.mark.browser


def test_acts_made_while_nobody_answers_are_kept_shown_and_stored_later(panel, desk, complaints):
    desk.down = True
    panel.press("m", ".", "d")
    panel.wait("p.parts.status.dataset.kind === 'unsaved'")
    assert "2 not saved" in panel.text("status")
    assert "Check that `densecorr review open` still runs" in panel.text("message")
    assert panel.point(0) is None
    assert desk.acts == []
    desk.down = False
    panel.wait("p.parts.status.dataset.kind === 'saved'")
    assert [act["action"] for act in desk.acts] == ["mirror", "delete"]
    assert panel.element("message").is_hidden()
    complaints.clear()  # the browser reports failed requests itself


def test_acts_survive_a_closed_tab(panel, desk, new_page, complaints):
    desk.down = True
    panel.press("m", "z", ".", "d")
    panel.wait("p.parts.status.dataset.kind === 'unsaved'")
    context = panel.page.context
    panel.page.close()
    desk.down = False
    page = new_page(context=context)
    page.goto(desk.url)
    again = Panel(page).ready()
    assert [act["action"] for act in desk.acts] == ["mirror", "undo", "delete"]
    assert desk.acts[1]["undoes"] == desk.acts[0]["decision_id"]
    assert again.point(0) is None
    complaints.clear()


def test_an_act_whose_answer_was_lost_is_not_stored_twice(panel, desk, complaints):
    desk.lost = True
    panel.press("m")
    panel.wait("p.session.outbox.error !== null")
    desk.lost = False
    panel.saved()
    assert [act["action"] for act in desk.acts] == ["mirror"]
    panel.press("z").saved()
    assert desk.acts[1]["undoes"] == desk.acts[0]["decision_id"]
    complaints.clear()


def test_a_store_that_fails_is_told_and_tried_again(panel, desk):
    desk.errors["review_act"] = fault("storage", "room on the disk", "none")
    panel.press("m")
    panel.wait("p.parts.status.dataset.kind === 'unsaved'")
    assert "Mend the storage" in panel.text("message")
    assert "room on the disk" in panel.text("message")
    desk.errors.clear()
    panel.wait("p.parts.status.dataset.kind === 'saved'")
    assert len(desk.acts) == 1


def test_without_a_database_acts_are_stored_and_the_panel_says_what_is_missing(panel, desk):
    answer = desk.review_act
    desk.review_act = lambda act: answer(act) | {"error": fault("database", "leases", "no MongoDB")}
    panel.press("m").saved()
    assert len(desk.acts) == 1
    assert "no MongoDB" in panel.text("message")
    desk.review_act = answer
    panel.press("m").saved()
    assert panel.element("message").is_hidden()


@pytest.mark.parametrize("kind", ["stale", "template", "lease"])
def test_a_refused_act_is_told_and_the_stored_state_shown(panel, desk, kind):
    desk.errors["review_act"] = fault(kind)
    before = panel.look("[...p.session.state.points]")
    panel.press("m")
    panel.wait("p.messageKind !== undefined && !p.parts.message.hidden")
    assert f"Mend the {kind}" in panel.text("message")
    panel.wait("p.session.outbox.items.length === 0 && p.session.record.timeline.done.length === 0")
    assert panel.look("[...p.session.state.points]") == before


def test_another_version_is_refused_with_what_to_do(desk, new_page):
    desk.version = 2
    page = new_page()
    page.goto(desk.url)
    message = page.get_by_test_id("message")
    message.wait_for()
    assert "Restart `densecorr review open` and reload this page" in message.text_content()
    page.keyboard.press("a")


def test_an_instance_that_changed_meanwhile_is_drawn_anew(panel, desk):
    panel.wait("p.session.instances.ready.has('instance-01')")
    desk.revision = "revision-2"
    desk.points = []
    panel.press("n")
    panel.wait("p.session.item.revision === 'revision-2' && p.session.state.points.size === 0")


def test_a_template_without_mirror_or_parts(desk, new_page):
    desk.template |= {"mirror": None, "parts": None, "part_names": []}
    page = new_page()
    page.goto(desk.url)
    panel = Panel(page).ready()
    panel.press("m")
    assert "no mirror symmetry" in panel.text("message")
    panel.press("l")
    assert page.get_by_test_id("part-choice").locator("option").all_text_contents() == ["whole"]


def test_an_empty_queue_says_so(desk, new_page):
    desk.instances = []
    page = new_page()
    page.goto(desk.url)
    page.get_by_test_id("message").wait_for()
    assert "an empty queue" in page.get_by_test_id("message").text_content()


def test_a_server_that_hangs_is_told_of_early(panel, desk):
    desk.delay = 6.0
    panel.press("m")
    panel.wait("p.parts.status.dataset.kind === 'unsaved'")
    assert "none within 3 s" in panel.text("message")
    assert desk.acts == []
    desk.delay = 0.0
    panel.saved()
    assert len(desk.acts) == 1
    assert panel.element("message").is_hidden()


def elsewhere(desk, instance_id: str, point_id: int) -> None:
    """An act of the same reviewer that this page knows nothing of: a point deleted in another tab."""
    act = {
        "action": "delete",
        "point_id": point_id,
        "undoes": None,
        "after": {"points": {str(point_id): None}},
    }
    desk.acts.append(act | {"decision_id": f"{0:016x}", "instance_id": instance_id})


def test_an_act_on_its_way_stays_on_the_screen_when_the_instance_is_drawn_anew(panel, desk):
    panel.wait("p.session.instances.ready.has('instance-01')")
    elsewhere(desk, "instance-01", 5)
    desk.holds["review_act"] = 1.5  # looked at long after the lease was answered
    panel.press("n")
    panel.wait("p.session.item.instance_id === 'instance-01'")
    panel.press(".", "d")
    panel.wait("!p.session.state.points.has(5)")
    assert panel.saved().point(0) is None
    assert [one["point_id"] for one in desk.effective("instance-01")] == [5, 0]
    panel.press("z").saved()
    panel.wait("p.session.state.points.has(0)")


def test_what_cannot_be_stored_now_is_not_drawn_away(panel, desk):
    panel.wait("p.session.instances.ready.has('instance-01')")
    elsewhere(desk, "instance-01", 5)
    desk.errors["review_act"] = fault("storage")
    desk.holds["review_instance"] = 1.5  # looked at long after the act below was refused
    panel.press("n")
    panel.wait("p.session.item.instance_id === 'instance-01'")
    panel.press(".", "d")
    panel.wait("p.parts.status.dataset.kind === 'unsaved' && p.session.behind.has('instance-01')")
    assert panel.point(0) is None
    desk.errors.clear()
    panel.wait("!p.session.state.points.has(5)")
    assert panel.saved().point(0) is None


def test_acts_done_while_a_refused_one_is_taken_back_are_kept(panel, desk):
    answer, refusals = desk.review_act, [fault("input")]
    desk.review_act = lambda act: {"error": refusals.pop()} if refusals else answer(act)
    desk.delays["review_instance"] = 1.0  # of before what is done meanwhile
    before = panel.point(1)
    panel.press("m")
    panel.wait("!p.parts.message.hidden")
    panel.press(".", "d").saved()
    panel.wait("p.session.record.timeline.done.length === 1 && p.session.records.has('instance-00')")
    assert panel.point(0) is None
    assert panel.point(1) == before  # the mirror is gone
    assert panel.look("p.session.queue.of('instance-00').verdict") is None


def test_an_instance_that_was_passed_by_is_given_back(panel, desk):
    desk.delays["review_instance"] = 0.4
    panel.look("(p.session.go('instance-04'), p.session.go('instance-05'), null)")
    panel.wait("p.session.item.instance_id === 'instance-05'")
    panel.page.wait_for_timeout(800)
    assert desk.leases == {"instance-05": "ann"}


def test_an_act_like_the_one_before_is_not_taken_for_it_by_the_next_tab(panel, desk, new_page):
    desk.holds["review_act"] = 0.4
    panel.press(".", "ArrowRight", "ArrowRight")  # the second is made before the first is known to be stored
    panel.wait("p.session.outbox.items.length === 1")
    desk.errors["review_act"] = fault("storage")  # for the second, which is on its way
    panel.wait("p.session.outbox.error !== null")
    context = panel.page.context
    panel.page.close()
    desk.errors.clear()
    page = new_page(context=context)
    page.goto(desk.url)
    again = Panel(page).ready().saved()
    assert [act["action"] for act in desk.acts] == ["move", "move"]
    assert again.point(0) == desk.acts[1]["after"]["points"]["0"]


def test_what_another_tab_takes_over_at_the_same_moment_stops_none(panel, desk, new_page):
    page = new_page(context=panel.page.context)
    page.add_init_script(
        "localStorage.setItem('densecorr-review:demo:ann:gone', '[]'); Storage.prototype.getItem = () => null;"
    )
    page.goto(desk.url)
    Panel(page).ready()


def test_an_instance_that_the_page_does_not_know_stops_no_news(panel, desk):
    desk.instances.append("instance-99")  # the App was started again with another order
    desk.leases["instance-03"] = "bob"
    panel.press("q")
    panel.wait("p.session.queue.of('instance-03').leased_by === 'bob'")
    assert panel.element("message").is_hidden()


def test_what_was_loaded_ahead_is_not_kept_for_ever(panel, desk):
    panel.look(
        "(p.session.instances.preload('instance-03'), p.session.instances.preload('instance-05'), null)"
    )
    panel.look(
        "(p.session.instances.preload('instance-06'), p.session.instances.preload('instance-07'), null)"
    )
    assert panel.look("[...p.session.instances.ready.keys()]") == ["instance-06", "instance-07"]


def test_a_panel_that_is_left_with_an_act_on_its_way_holds_nothing(panel, desk):
    desk.holds["review_act"] = 0.5
    panel.press("m")
    panel.page.evaluate("() => { window.left = window.densecorrReview.panel; left.close(); }")
    panel.page.wait_for_function("left.session.outbox.items.length === 0")
    panel.page.wait_for_timeout(300)
    assert len(desk.acts) == 1
    assert desk.leases == {}
