"""The panel in the real App, on a real desk and a real database."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from flows.review_orders import Order, write_order
from storage.artifacts import Store
from storage.decisions import read_decisions
from tests.browser.app_page import (
    apart,
    offered_fields,
    offered_views,
    open_samples,
    pick_view,
    unknown,
    wait_for_picture,
    wait_for_tiles,
    watch,
)
from tests.browser.app_world import (
    App,
    add_review,
    add_similarities,
    alike,
    make_store,
    need_app,
    open_review,
)
from tests.browser.fake_scene import body
from tests.browser.panel_page import Panel, open_panel
from tests.browser.stored_review import check_acts, check_corrected, check_untouched, labels_of
from tests.flows.command_line import densecorr

pytestmark = [pytest.mark.browser, pytest.mark.mongo]

N = 12
REVIEWED = "p11"  # by someone else, before
BY_MOUSE = "p7"
TELLING_FIELDS = {"truth", "truth_points", "review_verdicts", "annotators_disagree", "review_fixed"}
TELLING_VIEWS = {"annotators-disagree", "fixed"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("app")


@pytest.fixture(scope="module")
def store(folder: Path) -> Store:
    made = make_store(folder / "store", N, outlined=True, true=True)
    add_similarities(made)
    add_review(made, REVIEWED)
    everyone = Order(tuple(f"p{i}" for i in range(N)), gold=("p3",))
    write_order(made, made.resolve("data"), "eve", everyone)
    return made


@pytest.fixture(scope="module")
def app(folder: Path, store: Store) -> Iterator[App]:
    need_app()
    options = ("--similarities", "alike", "--overlays", "colors")
    with open_review(store, folder, options=options) as running:
        yield running


@pytest.fixture
def page(app: App, new_page: Callable[..., Any], complaints: list[str]) -> Iterator[Any]:
    """A page for the App; all that it complains of fails the test, but for what is known of FiftyOne."""
    page = new_page()
    watch(page, complaints)
    yield page
    complaints[:] = unknown(complaints)


@pytest.fixture
def opened(app: App, page: Any) -> Panel:
    """The panel, opened as a user does."""
    return open_panel(page, app.url)


def test_the_grid_of_a_reviewer_tells_neither_truth_nor_decisions(app: App, page: Any):
    open_samples(page, app.url)
    wait_for_tiles(page, N)
    pick_view(page, "needs-review", N - 1)  # one was reviewed
    pick_view(page, None, N)
    fields = offered_fields(page, "needs_review")
    assert {"zero_shot", "needs_review"} <= fields
    assert fields & TELLING_FIELDS == set()
    assert offered_views(page) == {"needs-review", "probable-leftright-flip"}


@pytest.mark.usefixtures("app")
def test_who_browses_beside_it_sees_truth_and_decisions(store: Store, folder: Path, page: Any):
    with open_review(store, folder, reviewer=None) as browsed:
        open_samples(page, browsed.url)
        wait_for_tiles(page, N)
        assert offered_fields(page, "review_fixed") >= TELLING_FIELDS
        pick_view(page, "fixed", 1)  # one was reviewed, and changed
        assert offered_views(page) >= TELLING_VIEWS
        page.goto("about:blank")


def test_the_dense_overlay_is_switched_on_and_off(app: App, page: Any):
    open_samples(page, app.url)
    pick_view(page, None, N)
    wait_for_picture(page, lambda tile: True)  # a click before that may be drawn over
    page.locator("[data-cy=checkbox-instances]").click()  # silhouettes would lie above
    plain = wait_for_picture(page, lambda tile: True)
    page.locator("[data-cy=checkbox-zero_shot_dense]").click()
    wait_for_picture(page, lambda tile: apart(tile, plain) > 2)
    page.locator("[data-cy=checkbox-zero_shot_dense]").click()
    wait_for_picture(page, lambda tile: apart(tile, plain) < 0.5)


def test_acts_are_stored_and_undone(opened: Panel):
    first = opened.current()
    opened.wait("p.session.instances.ready.size > 0")
    before = opened.point(0)
    opened.press(".", "ArrowRight", "m", "z").saved()
    moved = opened.point(0)
    assert moved["x"] == before["x"] + 1
    assert moved["vertex"] == before["vertex"]
    opened.press("a").saved()
    opened.wait(f"p.session.item.instance_id !== '{first}'")
    opened.page.reload()
    again = Panel(opened.page).ready()
    assert again.current() != first
    stored = again.page.evaluate(
        "() => window.densecorrReview.panel.session.call('review_history', {limit: 9})"
    )["acts"]
    assert [act["action"] for act in stored] == ["accept", "undo", "mirror", "move"]


def test_a_hovered_point_shows_its_features_on_the_template(opened: Panel, store: Store):
    one = labels_of(store, "zero")[opened.current()]
    for key in (3, 8):
        opened.page.mouse.move(*opened.on_screen(float(one.x[key]), float(one.y[key])))
        best = alike(one)[key].argmax()
        opened.wait(f"p.hovered === {key} && p.template.heat?.indexOf(255) === {best}")
        assert "features" in opened.text("heat-note")
        assert opened.look("[...p.template.heat]") == alike(one)[key].tolist()
    assert opened.look("p.template.main.colors !== p.mesh.colors")
    opened.press("e")
    opened.wait("p.template.main.colors === p.mesh.colors && p.parts['heat-note'].textContent === ''")
    opened.press("e")
    opened.wait("p.template.main.colors !== p.mesh.colors")


def test_a_suggestion_comes_from_the_desk(opened: Panel):
    room = opened.element("above").bounding_box()
    opened.press(*"......")
    opened.element("suggestion").wait_for()  # point 5 is on the wrong side
    assert opened.element("above").bounding_box() == room  # nothing jumps under the pointer
    wanted = opened.look("p.suggestions.of(5).vertex")
    opened.press("Enter").saved()
    assert opened.point(5)["vertex"] == wanted


def test_a_database_that_goes_away_loses_nothing(opened: Panel, app: App):
    mongod = json.loads((app.folder / "mongo" / "densecorr.json").read_text())["pid"]
    os.kill(mongod, signal.SIGSTOP)
    try:
        opened.press("m")
        # The desk says that the leases are away, or, if FiftyOne itself hangs, the panel that nobody answers.
        opened.wait("['database', 'unreachable'].includes(p.messageKind) && !p.parts.message.hidden")
        told = opened.text("message")
        assert "decisions are stored all the same" in told or "What you did is kept" in told
    finally:
        os.kill(mongod, signal.SIGCONT)
    for _ in range(20):  # the desk asks the database again only now and then
        opened.page.wait_for_timeout(2000)
        if opened.press("m").saved().element("message").is_hidden():
            return
    pytest.fail(opened.text("message"))


def test_keys_for_the_panel_do_not_reach_the_app(opened: Panel):
    opened.look("window.addEventListener('keydown', (e) => (window.heard = (window.heard ?? '') + e.key))")
    opened.press("h")
    opened.element("sheet-help").wait_for()
    opened.press("Escape", "`")  # the last one is the App's: its operator browser
    assert opened.element("sheet-help").count() == 0
    assert opened.page.evaluate("window.heard") == "`"


def test_the_panel_follows_the_theme(opened: Panel):
    ground = "getComputedStyle(p.root).backgroundColor"
    dark = opened.look(ground)
    opened.page.get_by_title("Light mode").click()
    opened.wait(f"{ground} !== '{dark}'")
    opened.page.get_by_title("Dark mode").click()
    opened.wait(f"{ground} === '{dark}'")


def test_everything_has_room_in_the_app_too(app: App, page: Any):
    panel = open_panel(page, app.url)
    for width, height in [(1366, 768), (1920, 1080)]:
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_timeout(500)
        assert panel.outside(width, height) == []
        assert panel.look("p.root.querySelector('.dc-toolbar').clientHeight") < 30  # one row of buttons
        for pane in ("above", "main"):
            assert panel.element(pane).bounding_box()["height"] > 300


def test_a_review_by_mouse_reaches_the_table_and_the_next_export(
    opened: Panel, app: App, store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    before = labels_of(store, "zero")
    mouse = opened.page.mouse
    opened.element("queue").click()
    opened.page.get_by_text(f"person {BY_MOUSE}", exact=True).click()
    opened.wait(f"p.session.item.instance_id === '{BY_MOUSE}' && p.session.item.lease.mine")

    assigned, moved = opened.free_points()[:2]
    opened.click_point(assigned)
    opened.wait(f"p.selected === {assigned}")
    wanted = opened.free_vertex()
    mouse.click(*opened.vertex_on_screen("main", wanted))
    opened.wait(f"p.session.state.points.get({assigned}).vertex === {wanted}")

    point = opened.point(moved)
    mouse.move(*opened.on_screen(point["x"], point["y"]))
    mouse.down()
    mouse.move(*opened.on_screen(point["x"] + 9, point["y"] - 6), steps=5)
    mouse.up()
    opened.wait(f"p.session.state.points.get({moved}).x !== {point['x']}")
    kept = opened.look("[...p.session.state.points]")
    opened.element("mirror").click()
    opened.wait(f"p.session.state.points.get({assigned}).vertex !== {wanted}")
    opened.element("undo").click()
    assert opened.look("[...p.session.state.points]") == kept
    opened.element("accept").click()
    opened.saved().wait(f"p.session.item.instance_id !== '{BY_MOUSE}'")
    opened.page.goto("about:blank")
    app.process.terminate()
    app.process.wait(timeout=60)

    acts = [act for act in read_decisions(store) if act.instance_id == BY_MOUSE]
    check_acts(acts, before[BY_MOUSE], store.resolve("data"))
    assert [act.point_id for act in acts[:2]] == [assigned, moved]
    assert acts[0].after["points"][str(assigned)]["vertex"] == wanted
    place = [acts[1].after["points"][str(moved)][axis] for axis in ("x", "y")]
    assert place == pytest.approx([point["x"] + 9, point["y"] - 6], abs=0.5)

    monkeypatch.setenv("DENSECORR_STORE", store.place.uri)
    monkeypatch.setenv("DENSECORR_STATE", str(folder / "state"))
    told = densecorr("review", "export", "data", "--labels", "zero", "--weight", "2.5", cwd=folder)
    assert told.returncode == 0, told.stderr
    after = labels_of(store, told.stdout.split()[-1])
    check_corrected(after[BY_MOUSE], before[BY_MOUSE], dict(kept), assigned, moved)
    assert after[BY_MOUSE].weight == 2.5
    check_untouched(after["p9"], before["p9"])
    assert after[REVIEWED].vertex[0] == body().mirror[before[REVIEWED].vertex[0]]  # eve's is in, too
