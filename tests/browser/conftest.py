"""A browser page with the panel on a fake desk; whatever the page reports as an error fails its test."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.fake_desk import FakeDesk, serve
from tests.browser.panel_page import Panel

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium, once for all tests."""
    playwright = pytest.importorskip("playwright.sync_api")
    if not CHROMIUM.exists():
        pytest.skip(f"no {CHROMIUM}: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield chromium
        chromium.close()


def told(said: Any) -> str:
    """A console message and the address that it is about."""
    return f"{said.text} ({said.location['url']})"


@pytest.fixture
def complaints() -> list[str]:
    """What the pages reported; a test that provokes network errors empties it."""
    return []


@pytest.fixture
def new_page(browser: Any, complaints: list[str]) -> Iterator[Callable[..., Any]]:
    """Makes pages in one context, as the tabs of one browser."""
    contexts = []

    def make(width: int = 1366, height: int = 768, context: Any = None) -> Any:
        if context is None:
            context = browser.new_context(viewport={"width": width, "height": height})
            contexts.append(context)
        page = context.new_page()
        page.on("console", lambda said: said.type in ("error", "warning") and complaints.append(told(said)))
        page.on("pageerror", lambda error: complaints.append(f"{error.message}\n{error.stack}"))
        return page

    yield make
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture
def desk() -> Iterator[FakeDesk]:
    """A fake desk that is served; `desk.url` is its page."""
    made = FakeDesk()
    server = serve(made)
    made.url = f"http://127.0.0.1:{server.server_port}/"
    yield made
    server.shutdown()
    server.server_close()


@pytest.fixture
def panel(desk: FakeDesk, new_page: Callable[..., Any]) -> Panel:
    """The panel, with the first instance drawn."""
    page = new_page()
    page.goto(desk.url)
    return Panel(page).ready()
