"""Each act of the panel, by mouse and by keyboard, on a fake desk: what is drawn and what is stored."""

import pytest

pytestmark = pytest.mark.browser


def last(desk):
    return desk.acts[-1]


def test_shows_the_first_instance_beside_the_template_and_preloads_the_next(panel, desk):
    assert panel.current() == "instance-00"
    assert panel.look("p.template.main.raster.face.some((f) => f >= 0)")
    assert panel.look("p.template.views.every((v) => v.raster.face.some((f) => f >= 0))")
    panel.wait("p.session.instances.ready.has('instance-01')")
    assert desk.leases == {"instance-00": "ann"}
    assert panel.text("rate") == "0 of 8 done · 212 an hour · 5 min"


def test_a_hovered_point_lights_up_with_its_heat_map(panel, desk):
    point = panel.point(0)
    panel.page.mouse.move(*panel.on_screen(point["x"], point["y"]))
    panel.wait("p.hovered === 0 && p.template.main.colors !== p.mesh.colors")
    assert panel.look("p.template.main.markers.map((m) => m.vertex)") == [point["vertex"]]
    assert f"vertex {point['vertex']}" in panel.text("point-info")
    panel.press("e")
    panel.wait("p.template.main.colors === p.mesh.colors")
    panel.press("e", ".")
    panel.wait("p.template.main.colors !== p.mesh.colors")
    panel.page.mouse.move(2, 2)
    panel.press("n")
    panel.wait("p.session.item.instance_id === 'instance-01' && p.template.main.colors === p.mesh.colors")


def test_a_click_on_the_template_assigns_the_vertex(panel, desk):
    panel.click_point(0)
    panel.wait("p.selected === 0")
    old, wanted = panel.point(0)["vertex"], panel.point(10)["vertex"]
    panel.page.mouse.click(*panel.vertex_on_screen("main", wanted))
    panel.saved()
    act = last(desk)
    assert (act["action"], act["point_id"]) == ("assign", 0)
    assert act["before"]["points"]["0"]["vertex"] == old
    assert act["after"]["points"]["0"]["vertex"] == panel.point(0)["vertex"] != old


def test_a_point_is_dragged_added_and_deleted(panel, desk):
    point = panel.point(3)
    start, end = panel.on_screen(point["x"], point["y"]), panel.on_screen(point["x"] + 9, point["y"] - 6)
    panel.page.mouse.move(*start)
    panel.page.mouse.down()
    panel.page.mouse.move(*end, steps=5)
    panel.page.mouse.up()
    panel.saved()
    assert last(desk)["action"] == "move"
    assert panel.point(3)["x"] == pytest.approx(point["x"] + 9, abs=0.1)

    panel.page.mouse.move(*panel.on_screen(60, 60))
    panel.press("i")
    panel.saved()
    assert (last(desk)["action"], last(desk)["point_id"]) == ("add", 48)
    assert panel.point(48)["vertex"] == -1
    panel.press("d").saved()
    assert last(desk)["after"] == {"points": {"48": None}}
    assert panel.point(48) is None
    panel.press("i").saved()
    assert last(desk)["point_id"] == 49  # no id twice


def test_mirror_swaps_the_sides_of_the_whole_instance_in_one_act(panel, desk):
    before = panel.look("[...p.session.state.points.values()].map((q) => q.vertex)")
    panel.press("m").saved()
    assert last(desk)["action"] == "mirror"
    assert len(desk.acts) == 1
    mirrored = panel.look("[...p.session.state.points.values()].map((q) => q.vertex)")
    assert mirrored != before
    assert len(last(desk)["after"]["points"]) == len(before)


@pytest.mark.parametrize(
    ("key", "action"), [("a", "accept"), ("r", "reject"), ("s", "skip"), ("v", "not_visible")]
)
def test_a_verdict_is_stored_and_the_next_instance_drawn(panel, desk, key, action):
    panel.wait("p.session.instances.ready.has('instance-01')")
    panel.press(key).saved()
    panel.wait("p.session.item.instance_id === 'instance-01'")
    assert last(desk)["after"] == {"verdict": {"action": action, "reason": ""}}
    panel.wait("p.session.times.nexts.length === 2")
    assert panel.look("p.session.times.nexts[1].preloaded")
    panel.wait("p.session.item.lease.mine")
    panel.page.wait_for_timeout(300)
    assert desk.leases == {"instance-01": "ann"}


def test_unsure_asks_for_a_reason_and_escape_takes_it_back(panel, desk):
    panel.press("u")
    panel.element("sheet-reason").wait_for()
    panel.press("Escape")
    assert desk.acts == []
    panel.press("u", "2").saved()
    assert last(desk)["after"]["verdict"] == {"action": "unsure", "reason": "blurred"}
    assert last(desk)["reason"] == "blurred"
    panel.wait("p.session.item.instance_id === 'instance-01'")
    panel.press("u")
    panel.page.get_by_label("another reason").fill("odd")
    panel.press("Enter").saved()
    assert last(desk)["reason"] == "odd"


def test_verdicts_on_points(panel, desk):
    panel.press(".", "Shift+A").saved()
    assert (last(desk)["action"], last(desk)["point_id"], last(desk)["after"]) == ("accept", 0, {})
    assert panel.look("p.selected") == 1
    panel.press("Shift+V").saved()
    assert last(desk)["action"] == "not_visible"
    assert panel.point(1)["visible"] is False
    panel.press("Shift+V").saved()
    assert panel.point(1)["visible"] is True
    panel.press("Shift+U")
    panel.press("1").saved()
    assert (last(desk)["action"], last(desk)["reason"]) == ("unsure", "left and right swapped")
    panel.press("Shift+R").saved()
    assert last(desk)["action"] == "reject"
    assert panel.point(2) is None


def test_a_brushed_region_drops_its_points(panel, desk):
    point = panel.point(0)
    panel.press("b")
    corners = [(-15, -15), (15, -15), (15, 15), (-15, 15)]
    places = [panel.on_screen(point["x"] + dx, point["y"] + dy) for dx, dy in corners]
    panel.page.mouse.move(*places[0])
    panel.page.mouse.down()
    for place in places[1:]:
        panel.page.mouse.move(*place, steps=4)
    panel.page.mouse.up()
    panel.saved()
    assert last(desk)["action"] == "drop_region"
    assert panel.point(0) is None
    assert len(last(desk)["after"]["regions"]) == 1
    panel.press("z").saved()
    assert panel.point(0) == point
    assert panel.look("p.session.state.regions") == []


def test_a_suggestion_is_taken_with_one_key(panel, desk):
    panel.press(*"......")
    assert panel.look("p.selected") == 5
    panel.element("suggestion").wait_for()
    wanted = panel.look("p.suggestions.of(5).vertex")
    panel.press("Enter").saved()
    assert (last(desk)["action"], panel.point(5)["vertex"]) == ("assign", wanted)
    panel.press("g")
    panel.wait("p.selected !== 5 && p.selected !== null")
    panel.press("Enter")
    panel.press("Enter").saved()
    assert [act["action"] for act in desk.acts] == ["assign"] * 3


def test_undo_and_redo_have_no_limit_and_reach_back_across_instances(panel, desk):
    start = panel.look("[...p.session.state.points]")
    panel.press(".", "d", ".", "ArrowRight", "m", "a").saved()
    panel.wait("p.session.item.instance_id === 'instance-01'")
    panel.press("z").saved()
    panel.wait("p.session.item.instance_id === 'instance-00' && p.session.state.verdict === null")
    panel.press("z", "z", "z").saved()
    assert sorted(panel.look("[...p.session.state.points]"), key=lambda pair: pair[0]) == start
    panel.press("z")
    assert "Nothing to undo" in panel.text("message")
    panel.press("y", "y", "Control+y", "Shift+Z").saved()
    assert panel.look("p.session.state.verdict.action") == "accept"
    assert panel.point(0) is None
    assert desk.replay("instance-00")["verdict"]["action"] == "accept"
    theirs = {key: point["vertex"] for key, point in desk.replay("instance-00")["points"].items()}
    assert theirs == dict(panel.look("[...p.session.state.points].map(([id, q]) => [id, q.vertex])"))


def test_acts_of_an_earlier_session_are_undone_and_redone(panel, desk):
    panel.press(".", "d", ".", "d").saved()
    panel.page.reload()
    panel.ready()
    assert panel.point(1) is None
    panel.press("z")
    panel.wait("p.session.state.points.has(1)")
    panel.press("z")
    panel.wait("p.session.state.points.has(0)")
    panel.press("y")
    panel.wait("!p.session.state.points.has(0)")
    assert [act["action"] for act in desk.acts] == ["delete"] * 2 + ["undo"] * 3


def test_annotating_by_parts(panel, desk):
    desk.points = []
    panel.page.reload()
    panel.ready().press("l")
    panel.page.get_by_test_id("part-choice").select_option("trunk")
    panel.page.mouse.move(*panel.on_screen(170, 180))
    panel.page.mouse.down()
    for x, y in [(240, 180), (240, 300), (170, 300)]:
        panel.page.mouse.move(*panel.on_screen(x, y), steps=6)
    panel.page.mouse.up()
    panel.saved()
    assert last(desk)["action"] == "delineate"
    assert list(last(desk)["after"]["parts"]) == ["trunk"]
    panel.press("Enter")
    panel.wait("p.session.state.points.size > 0")
    panel.saved()
    assert last(desk)["action"] == "add"
    n_points = len(last(desk)["after"]["points"])
    assert 5 <= n_points <= 14
    for _ in range(n_points):
        box = panel.element("view-front").bounding_box()
        panel.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        panel.saved()
    assert all(point["vertex"] >= 0 for point in panel.look("[...p.session.state.points.values()]"))
    assert all(len(view) >= n_points for view in panel.look("p.template.views.map((v) => v.markers)"))
    assert "All points of trunk" in panel.text("message")


def test_zoom_pan_and_brightness(panel):
    scale = panel.look("p.image.place.scale")
    panel.press("+")
    assert panel.look("p.image.place.scale") == pytest.approx(1.25 * scale)
    place = panel.look("p.image.place.x")
    x, y = panel.on_screen(100, 380)
    panel.page.mouse.move(x, y)
    panel.page.mouse.down()
    panel.page.mouse.move(x + 40, y, steps=3)
    panel.page.mouse.up()
    assert panel.look("p.image.place.x") == pytest.approx(place + 40)
    panel.page.mouse.wheel(0, -200)
    panel.wait(f"p.image.place.scale > {1.3 * scale}")
    panel.press("0", "]")
    assert panel.look("p.image.place.scale") == pytest.approx(scale)
    assert "brightness(1.15)" in panel.look("p.image.below.style.filter")


def test_all_of_it_by_keyboard(panel, desk):
    assert panel.look("document.activeElement === p.root")
    panel.press(".", "ArrowRight", "ArrowDown").saved()
    assert [act["action"] for act in desk.acts] == ["move", "move"]
    panel.press("t", "ArrowUp", "Shift+ArrowUp", "Space").saved()
    assert last(desk)["action"] == "assign"
    panel.press("Escape", "t", "b")
    for step in ["ArrowRight"] * 3 + ["ArrowDown"] * 3 + ["ArrowLeft"] * 3:
        panel.press(step, "Space")
    panel.press("Enter").saved()
    assert last(desk)["action"] == "drop_region"
