"""The guideline page in the panel: made from the template, in the panel's colours, read with the keyboard alone."""

import pytest

from annotation_ui.desk_guide import guide_page
from densecorr.templates import TemplateSettings, build_template, load_catalog_mesh
from tests.browser.panel_page import Panel

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def guide():
    V, F = load_catalog_mesh("quadruped")
    return guide_page(build_template(V, F, "quadruped-v1", TemplateSettings(n_eigenpairs=4, n_coarse=20)))


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_the_guide_has_the_panels_colours_and_scrolls(desk, new_page, guide, theme):
    desk.review_guide = lambda: {"html": guide}
    page = new_page(1366, 768)
    page.goto(f"{desk.url}?theme={theme}")
    panel = Panel(page).ready().press("w")
    panel.element("sheet-guide").wait_for()
    frame = page.locator("iframe").element_handle().content_frame()
    frame.wait_for_selector("section.card")
    ground = frame.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == panel.look("getComputedStyle(p.root).backgroundColor")
    assert frame.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert frame.evaluate("document.querySelectorAll('figure use').length") == 15
    cut = "[...document.querySelectorAll('figure > svg')].filter((e) => e.getBoundingClientRect().height < 150).length"
    assert frame.evaluate(cut) == 0
    for key, down in (("PageDown", True), ("PageUp", False)):
        panel.press(key)
        frame.wait_for_function(f"scrollY > 0 === {str(down).lower()}")
    panel.press("Escape")
    assert panel.element("sheet-guide").count() == 0


def test_escape_closes_the_guide_after_a_click_on_its_page(panel):
    panel.press("w")
    panel.element("sheet-guide").wait_for()
    panel.page.frame_locator(".dc-guide").locator("h1").click()
    panel.press("Escape")
    panel.wait("p.dialogs.open === null && document.activeElement === p.root")
