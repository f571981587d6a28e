"""The panel in the real App, on a real desk and a real database."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from storage.artifacts import Store
from storage.decisions import read_decisions
from tests.browser.app_world import App, make_store, open_review
from tests.browser.panel_page import Panel, open_panel

pytestmark = [pytest.mark.browser, pytest.mark.mongo]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("app")


@pytest.fixture(scope="module")
def store(folder: Path) -> Store:
    return make_store(folder / "store", n=12)


@pytest.fixture(scope="module")
def app(folder: Path, store: Store) -> Iterator[App]:
    if not os.environ.get("DENSECORR_MONGOD"):
        pytest.skip("no DENSECORR_MONGOD: `bash infra/get_mongod.sh FOLDER` gets one")
    pytest.importorskip("fiftyone")
    with open_review(store, folder) as running:
        yield running


@pytest.fixture
def opened(app: App, new_page: Callable[..., Any], complaints: list[str]) -> Iterator[Panel]:
    """The panel, opened as a user does; the App's own complaints (fonts it cannot fetch) are not ours."""
    yield open_panel(new_page(), app.url)
    complaints[:] = [said for said in complaints if "densecorr" in said or "/plugins/" in said]


def test_acts_are_stored_and_undone(opened: Panel, store: Store):
    first = opened.current()
    opened.wait("p.session.ready.size > 0")
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


def test_heat_map_and_suggestion_come_from_the_desk(opened: Panel):
    opened.press(*"......")
    opened.wait("p.template.heat !== null")
    assert opened.look("Math.max(...p.template.heat)") == 255
    opened.element("suggestion").wait_for()  # point 5 is on the wrong side
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


def test_once_the_app_ends_the_decisions_are_in_the_store(opened: Panel, app: App, store: Store):
    opened.press("m").saved()
    opened.page.goto("about:blank")
    app.process.terminate()
    app.process.wait(timeout=60)
    assert {"mirror"} <= {decision.action for decision in read_decisions(store)}
