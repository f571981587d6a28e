"""How the panel looks and what it says of itself: room, contrast, pointers, keys."""

from pathlib import Path

import pytest

from tests.browser.panel_page import Panel

pytestmark = pytest.mark.browser


def test_the_help_sheet_the_docs_and_the_keys_agree(panel):
    """Every key that is named does what it is said to do, and no key does two things."""
    table = panel.page.evaluate("async () => (await import('/plugins/x/keys.js')).KEYS")
    panel.press("?")
    told = panel.look(
        "[...p.root.querySelectorAll('.dc-help section')].flatMap((s) => [...s.querySelectorAll('.dc-help-row')]"
        ".map((row) => [s.querySelector('h3').textContent, ...[...row.children].map((e) => e.textContent)]))"
    )
    assert told == [[group, key, text] for group, _, key, text, _ in table]
    docs = (Path(__file__).parents[2] / "docs/review.md").read_text(encoding="utf-8").split("\n## Keys\n")[1]
    for group, key, text in told:
        assert f"| {group} | `{key}` | {text} |" in docs
    keys = [key for *_, keys in table for key in keys]
    assert len(keys) == len(set(keys))
    shown = {"\u2212": "-", "Arrows": "ArrowLeft", "Space": " ", "Esc": "Escape", "1\u20136": "1"}
    for _, action, key, _, bound in table:
        pressed = shown.get(key, key.replace("⇧", "Shift+"))
        pressed = pressed.lower() if len(pressed) == 1 else pressed
        assert pressed in bound
        name = pressed.removeprefix("Shift+")
        event = f"new KeyboardEvent('keydown', {{ key: {name!r}, shiftKey: {str(name != pressed).lower()} }})"
        found = panel.page.evaluate(f"async () => (await import('/plugins/x/keys.js')).actionOf({event})")
        assert found == action
        assert panel.look(f"typeof p.actions.{action}") == "function"
    panel.press("Escape", "w")
    panel.element("sheet-guide").wait_for()


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize(("width", "height"), [(1366, 768), (1920, 1080), (1066, 768), (530, 768)])
def test_everything_has_room(desk, new_page, width, height, theme):
    page = new_page(width, height)
    page.goto(f"{desk.url}?theme={theme}")
    panel = Panel(page).ready()
    for keys in ([*"......"], ["q"], ["l"]):
        panel.press(*keys)
        page.wait_for_timeout(400)
        assert panel.outside(width, height) == []
        if width > 1000:
            assert panel.look("p.parts.rate.scrollWidth <= p.parts.rate.clientWidth")
    box = panel.element("above").bounding_box()
    assert box["width"] > 100
    assert box["height"] > 200


def test_a_remark_moves_nothing_and_lets_clicks_through(panel):
    before = [panel.element(name).bounding_box() for name in ("above", "main", "strip")]
    panel.press("d")
    assert "Select a point first" in panel.text("message")
    assert [panel.element(name).bounding_box() for name in ("above", "main", "strip")] == before
    box = panel.element("message").bounding_box()
    assert panel.page.evaluate(
        "([x, y]) => document.elementFromPoint(x, y).closest('[role=alert]') === null",
        [box["x"] + 20, box["y"] + box["height"] / 2],
    )
    panel.page.get_by_title("hide this message").click()
    assert panel.element("message").is_hidden()


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_what_is_written_on_colours_can_be_read(desk, new_page, theme):
    """A contrast of 4.5 at least (WCAG AA): the verdicts' buttons and signs, the hint of a tool, keys."""
    page = new_page()
    page.goto(f"{desk.url}?theme={theme}")
    panel = Panel(page).ready().press("b")
    contrast = (
        "(e) => { const light = (c) => { const [r, g, b] = c.match(/[0-9.]+/g).map((v) => v / 255)"
        ".map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));"
        " return 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05; };"
        " const s = getComputedStyle(e), [a, b] = [light(s.color), light(s.backgroundColor)];"
        " return Math.max(a, b) / Math.min(a, b); }"
    )
    assert page.get_by_test_id("tool-hint").evaluate(contrast) >= 4.5
    for name in ("accept", "reject"):
        assert page.get_by_test_id(name).evaluate(contrast) >= 4.5
    assert page.get_by_test_id("skip").locator("kbd").evaluate(contrast) >= 4.5
    panel.press("Escape")
    for action in ("accept", "reject", "unsure", "skip"):
        panel.look(f"p.session.do('{action}', {{ verdict: {{ action: '{action}', reason: '' }} }})")
        panel.wait(f"p.parts.verdict.classList.contains('dc-{action}')")
        assert page.get_by_test_id("verdict").evaluate(contrast) >= 4.5


def test_the_pointer_says_what_a_click_does(panel):
    point = panel.point(0)
    panel.page.mouse.move(*panel.on_screen(point["x"], point["y"]))
    panel.wait("p.image.above.style.cursor === 'pointer'")
    panel.press("b")
    assert panel.look("p.image.above.style.cursor") == "crosshair"
    panel.press("Escape")
    panel.page.mouse.move(*panel.on_screen(10, 10))
    panel.wait("p.image.above.style.cursor === 'default'")
